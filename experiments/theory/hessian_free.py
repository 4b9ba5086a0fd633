"""Second-order optimisation without a matrix, beside Adam and SGD with momentum.

    python -m experiments.theory.hessian_free

The classifier that samples are measured with, on a part of its data: Hessian-free
steps, Adam and momentum in turns, with as many gradient evaluations each. With the
Hessian itself in place of the Gauss-Newton matrix the search meets negative curvature
(docs/hessian_free.md).
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments.common import cli, experiment, tables
from gan_jax import data, plots
from gan_jax.errors import UserError
from gan_jax.evaluation.classifier import Network
from gan_jax.theory import second_order, theory_table
from gan_jax.training import scale_images

flags.adopt_module_key_flags(experiment)

_DATASET = flags.DEFINE_string("dataset", "auto", "Data set, as in experiments.train.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of the data set, as in experiments.train."
)
_NUM_EXAMPLES = flags.DEFINE_integer("num_examples", 500, "Images to train on.")
_STEPS = flags.DEFINE_integer("newton_steps", 30, "Hessian-free steps.")

_BATCH = 50  # of the optimisers that do not see all images at once
# Chosen with the seed 100, each from the settings that docs/hessian_free.md lists; the
# last is the best of those that converge with seed 0 as well.
# Name: optimiser, and its batch, None for all images.
_FIRST_ORDER = {
    "Adam": (optax.adam(1e-2), None),
    "momentum": (optax.sgd(0.1, momentum=0.9), None),
    f"Adam, batches of {_BATCH}": (optax.adam(1e-2), _BATCH),
    f"momentum, batches of {_BATCH}": (optax.sgd(0.03, momentum=0.9), _BATCH),
}
_NEWTON = {
    "Gauss-Newton": second_order.hessian_free("gauss_newton", max_steps=5),
    "Hessian": second_order.hessian_free("hessian", max_steps=5),
}
Courses = dict[str, list[tuple[float, ...]]]  # a row of `_COLUMNS` after each round
_COLUMNS = ("steps", "evaluations", "seconds", "loss")


class Problem(NamedTuple):
    """A classifier and what it is trained on.

    Attributes:
      images: in [-1, 1], ``[images, 28, 28, 1]``.
      labels: int32, ``[images]``.
    """

    images: jax.Array
    labels: jax.Array

    def logits(self, params: Any, index: Any = slice(None)) -> jax.Array:
        """Of all images or of those of ``index``, ``[images, 10]``."""
        return Network().apply({"params": params}, self.images[index])[1]

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


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Lets the optimisers race."""
    cli.require_positive(_STEPS)
    if _NUM_EXAMPLES.value < _BATCH:
        raise UserError(
            f"--num_examples={_NUM_EXAMPLES.value} must be at least {_BATCH}, a batch"
        )
    split = data.load(
        cli.unless_quick(_DATASET, "garments", quick),
        data_dir=_DATA_DIR.value,
        num_examples=cli.unless_quick(_NUM_EXAMPLES, 100, quick),
    )
    if split.warning:
        print(split.warning)
    titles = ("loss by steps", "loss by gradient evaluations", "loss by seconds")
    titles += ("damping", "actual / predicted decrease", "least curvature met")
    figure, axes = plots.subplots(titles, columns=3)
    images = scale_images(jnp.asarray(split.images))
    problem = Problem(images, jnp.asarray(split.labels))
    steps = cli.unless_quick(_STEPS, 4, quick)
    courses, searches = _race(problem, jax.random.key(seed), steps)
    _draw(axes, courses, searches)
    rows = [
        [name, *(f"{value:.4g}" for value in course[-1])]
        for name, course in courses.items()
    ]
    details = {
        "dataset": split.name,
        "num_examples": len(split.images),
        "columns": _COLUMNS,
        "courses": courses,
        "searches": {name: _plain(states) for name, states in searches.items()},
    }
    about = f"{split.name}, {len(split.images)} images"
    table = f"{about}\n{tables.as_text(('optimiser', *_COLUMNS), rows)}"
    found = _claims(courses, searches, quick)
    return experiment.Findings(found, figure, [table], details)


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


def _race(
    problem: Problem, key: jax.Array, rounds: int
) -> tuple[Courses, dict[str, list[Any]]]:
    """All in turns: a Hessian-free step, then as many gradient evaluations of each.

    A product with the curvature matrix counts as a gradient, both being a pass forward
    and one back; a pass forward, for a value of the loss or before the products, as a
    third. Seconds are without compilation.

    Returns:
      For each optimiser a row of `_COLUMNS` after each round; for each of `_NEWTON`
      the state of the optimiser after each.
    """
    keys = jax.random.split(key)
    params = jax.jit(Network().init)(keys[0], problem.images[:1])["params"]
    logits = jax.jit(problem.logits)

    def loss(params: Any) -> float:
        return _exact_loss(logits(params), problem.labels)

    programs, carries = {}, {}
    for name, optimiser in _NEWTON.items():
        programs[name] = _newton(problem, optimiser)
        carries[name] = params, optimiser.init(params)
    for name, (optimiser, batch) in _FIRST_ORDER.items():
        programs[name] = _first_order(problem, optimiser, batch)
        carries[name] = params, optimiser.init(params)
    programs = {
        name: jax.jit(program).lower(carries[name], keys[1], 1).compile()
        for name, program in programs.items()
    }
    start = (0, 0.0, 0.0, loss(params))
    courses = {name: [start] for name in programs}
    searches: dict[str, list[Any]] = {name: [] for name in _NEWTON}
    for i in range(1, rounds + 1):
        for name, program in programs.items():
            steps, evaluations, seconds, _ = courses[name][-1]
            batch = None if name in _NEWTON else _FIRST_ORDER[name][1]
            per_step = 1 if batch is None else batch / len(problem.labels)
            more = 1
            if name not in _NEWTON:
                budget = courses["Gauss-Newton"][-1][1]
                more = max(round((budget - evaluations) / per_step), 0)
            started = time.perf_counter()
            after = program(carries[name], jax.random.fold_in(keys[1], i), more)
            carries[name] = jax.block_until_ready(after)
            seconds += time.perf_counter() - started
            evaluations += more * per_step
            if name in _NEWTON:
                searches[name].append(jax.device_get(after[1]._replace(direction=None)))
                search = searches[name][-1]
                forward = i + search.num_losses
                evaluations = float(i + search.num_products + forward / 3)
            row = steps + more, evaluations, seconds, loss(after[0])
            courses[name].append(row)
    return courses, searches


def _claims(
    courses: Courses, searches: dict[str, list[Any]], quick: bool
) -> list[theory_table.Claim]:
    """What held on the way."""
    newton = courses["Gauss-Newton"]
    steps, _, _, end = newton[-1]
    # Of the others, the first loss that is recorded at as many steps or more.
    after_as_many = [
        next(row[3] for row in courses[name] if row[0] >= steps)
        for name in _FIRST_ORDER
    ]
    of_all = [
        courses[name][-1][3] for name, (_, batch) in _FIRST_ORDER.items() if not batch
    ]
    least, indefinite = (
        min(state.least_curvature for state in searches[name]) for name in _NEWTON
    )
    ended = {name: sum(s.negative for s in states) for name, states in searches.items()}
    found = [
        theory_table.at_least("Gauss-Newton: least curvature met", -1e-3, least),
        theory_table.equal(
            "Gauss-Newton: searches ended by negative curvature",
            0,
            ended["Gauss-Newton"],
            0,
        ),
        theory_table.at_most(
            "Gauss-Newton: loss in the end over that at the start",
            0.5 if quick else 1e-4,
            end / newton[0][3],
        ),
        theory_table.at_most("Hessian: least curvature met", 0, indefinite),
        theory_table.at_least(
            "Hessian: searches ended by negative curvature", 1, ended["Hessian"]
        ),
    ]
    if quick:  # two steps tell nothing of the losses
        return found
    what = "Gauss-Newton: loss over the best other's, as many "
    on_all = what + "evaluations, all images at once"
    return [
        *found,
        theory_table.at_most(what + "steps", 0.01, end / min(after_as_many)),
        theory_table.at_most(on_all, 0.1, end / min(of_all)),
    ]


def _plain(states: list[Any]) -> list[dict[str, float]]:
    """States of the optimiser as JSON can hold them."""
    return [
        {
            name: value.item()
            for name, value in state._asdict().items()
            if value is not None
        }
        for state in states
    ]


def _draw(axes: Any, courses: Courses, searches: dict[str, list[Any]]) -> None:
    for name, course in courses.items():
        columns = np.array(course).T
        for panel, x in zip(axes, columns[:3], strict=False):
            label = name if panel is axes[0] else None
            panel.plot(x, columns[3], ".-", ms=3, lw=1, label=label)
            panel.set(yscale="log")
    axes[0].set(xlim=(0, 3 * courses["Gauss-Newton"][-1][0]))
    for i, (name, states) in enumerate(searches.items()):
        axes[3].semilogy([state.damping for state in states], f"C{i}.-", label=name)
        axes[4].plot([state.ratio for state in states], f"C{i}.-")
        axes[5].plot([state.least_curvature for state in states], f"C{i}.-")
        axes[5].plot(
            [k for k, s in enumerate(states) if s.negative],
            [s.least_curvature for s in states if s.negative],
            f"C{i}x",
        )
    for panel in axes[3:]:
        panel.set(xlabel="Hessian-free step")
    for limit in (1 / 4, 3 / 4):  # between them the damping stays
        axes[4].axhline(limit, **plots.THEORY)
    axes[5].axhline(0, **plots.THEORY)
    axes[5].set_yscale("symlog", linthresh=1e-2)


main = partial(experiment.main, "hessian_free", measure)

if __name__ == "__main__":
    cli.run(main)
