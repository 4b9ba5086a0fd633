"""Hessian-free steps, Adam and momentum, with as many gradient evaluations each."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.evaluation.classifier import Network, network_of
from gan_jax.theory import second_order

BATCH = 50  # of the optimisers that do not see all images at once
# Chosen with the seed 100, each from the settings that docs/hessian_free.md lists; the
# last is the best of those that converge with seed 0 as well.
# Name: optimiser, and its batch, None for all images.
FIRST_ORDER = {
    "Adam": (optax.adam(1e-2), None),
    "momentum": (optax.sgd(0.1, momentum=0.9), None),
    f"Adam, batches of {BATCH}": (optax.adam(1e-2), BATCH),
    f"momentum, batches of {BATCH}": (optax.sgd(0.03, momentum=0.9), BATCH),
}
NEWTON = {
    "Gauss-Newton": second_order.hessian_free("gauss_newton", max_steps=5),
    "Hessian": second_order.hessian_free("hessian", max_steps=5),
}
Courses = dict[str, list[tuple[float, ...]]]  # a row of `COLUMNS` after each round
COLUMNS = ("steps", "evaluations", "seconds", "loss")


class Problem(NamedTuple):
    """A classifier and what it is trained on.

    Attributes:
      images: in [-1, 1], ``[images, height, width, channels]``.
      labels: int32, ``[images]``.
    """

    images: jax.Array
    labels: jax.Array

    def logits(self, params: Any, index: Any = slice(None)) -> jax.Array:
        """Of all images or of those of ``index``, ``[images, classes]``."""
        return network_of(params).apply({"params": params}, self.images[index])[1]

    def loss(self, params: Any, index: Any = slice(None)) -> jax.Array:
        """Mean cross-entropy."""
        return _cross_entropy(self.labels[index], self.logits(params, index))


def _cross_entropy(labels: jax.Array, logits: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _exact_loss(logits: jax.Array, labels: jax.Array) -> float:
    """`_cross_entropy` from the others' logits less the label's own, in float64.

    In float32 an image whose loss is below 6e-8 has none.
    """
    values = np.asarray(logits, np.float64)
    own = np.asarray(labels)[:, None]
    values = values - np.take_along_axis(values, own, axis=1)
    others = np.arange(values.shape[1])[None] != own
    return float(np.log1p(np.sum(np.exp(values), axis=1, where=others)).mean())


def _first_order(
    problem: Problem, optimiser: optax.GradientTransformation, batch: int | None
) -> Callable[..., Any]:
    """``(carry, key, steps) -> carry``: steps on all images, or on batches of them."""
    every = len(problem.labels)

    def step(key: jax.Array, i: jax.Array, carry: Any) -> Any:
        params, state = carry
        index = jnp.arange(every)
        if batch is not None:
            index = jax.random.choice(
                jax.random.fold_in(key, i), every, (batch,), False
            )
        gradients = jax.grad(problem.loss)(params, index)
        updates, state = optimiser.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    return lambda carry, key, steps: jax.lax.fori_loop(
        0, steps, partial(step, key), carry
    )


def _newton(problem: Problem, optimiser: Any) -> Callable[..., Any]:
    """``(carry, key, steps) -> carry``: one Hessian-free step on all images."""

    def step(carry: Any, key: jax.Array, steps: int) -> Any:
        del key, steps
        params, state = carry
        updates, state = optimiser.update(
            jax.grad(problem.loss)(params),
            state,
            params,
            model=problem.logits,
            output_loss=partial(_cross_entropy, problem.labels),
        )
        return optax.apply_updates(params, updates), state

    return step


def race(
    problem: Problem, key: jax.Array, rounds: int
) -> tuple[Courses, dict[str, list[Any]]]:
    """All alternating: a Hessian-free step, then as many gradient evaluations of each.

    A product with the curvature matrix counts as a gradient, both being a pass forward
    and one back; a pass forward, for a value of the loss or before the products, as a
    third. Seconds are without compilation.

    Returns:
      For each optimiser a row of `COLUMNS` after each round; for each of `NEWTON`
      the state of the optimiser after each.
    """
    keys = jax.random.split(key)
    network = Network(num_classes=max(10, int(problem.labels.max()) + 1))
    params = jax.jit(network.init)(keys[0], problem.images[:1])["params"]
    logits = jax.jit(problem.logits)

    def loss(params: Any) -> float:
        return _exact_loss(logits(params), problem.labels)

    programs, carries = {}, {}
    for name, optimiser in NEWTON.items():
        programs[name] = _newton(problem, optimiser)
        carries[name] = params, optimiser.init(params)
    for name, (optimiser, batch) in FIRST_ORDER.items():
        programs[name] = _first_order(problem, optimiser, batch)
        carries[name] = params, optimiser.init(params)
    programs = {
        name: jax.jit(program).lower(carries[name], keys[1], 1).compile()
        for name, program in programs.items()
    }
    start = (0, 0.0, 0.0, loss(params))
    courses = {name: [start] for name in programs}
    searches: dict[str, list[Any]] = {name: [] for name in NEWTON}
    for i in range(1, rounds + 1):
        for name, program in programs.items():
            steps, evaluations, seconds, _ = courses[name][-1]
            batch = None if name in NEWTON else FIRST_ORDER[name][1]
            per_step = 1 if batch is None else batch / len(problem.labels)
            more = 1
            if name not in NEWTON:
                budget = courses["Gauss-Newton"][-1][1]
                more = max(round((budget - evaluations) / per_step), 0)
            started = time.perf_counter()
            after = program(carries[name], jax.random.fold_in(keys[1], i), more)
            carries[name] = jax.block_until_ready(after)
            seconds += time.perf_counter() - started
            evaluations += more * per_step
            if name in NEWTON:
                searches[name].append(jax.device_get(after[1]._replace(direction=None)))
                search = searches[name][-1]
                forward = i + search.num_losses
                evaluations = float(i + search.num_products + forward / 3)
            row = steps + more, evaluations, seconds, loss(after[0])
            courses[name].append(row)
    return courses, searches
