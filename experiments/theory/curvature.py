"""Hessian and Gauss-Newton matrix of a small network, by products without a matrix.

    python -m experiments.theory.curvature

Products by jvp and vjp beside dense matrices; what they share with linear models; which
of the two is positive semi-definite, and where they agree. Conjugate gradients
notice that the Hessian is indefinite, and say so (docs/curvature.md).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.theory import second_order, theory_table

flags.adopt_module_key_flags(experiment)

_EXAMPLES, _PARAMETERS = 50, 87
_STEPS = 150
Function = Callable[[jax.Array], jax.Array]


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Products, and a training to a loss of 0; ``quick`` changes nothing."""
    del quick
    titles = ("eigenvalues at the start", "eigenvalues in the end", "while training")
    figure, axes = plots.subplots(titles, columns=3)
    keys = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.normal(keys[0], (_EXAMPLES, 4))
    params, v, teacher = jax.random.normal(keys[1], (3, _PARAMETERS))
    labels = jax.random.randint(keys[2], (_EXAMPLES,), 0, 3)
    found = _products(x, labels, params, v)
    found += _training(axes, x, teacher, keys[3])
    return [*found, _least_squares(x, v[:_EXAMPLES])], figure


def _network(x: jax.Array, params: jax.Array) -> jax.Array:
    """Outputs, ``[examples, 3]``, of two hidden layers without biases."""
    a, b, c = jnp.split(params, (24, 66))
    hidden = jnp.tanh(x.astype(params.dtype) @ a.reshape(4, 6))
    return jnp.tanh(hidden @ b.reshape(6, 7)) @ c.reshape(7, 3)


def _linear(x: jax.Array, params: jax.Array) -> jax.Array:
    return x.astype(params.dtype) @ params[:12].reshape(4, 3)


def _cross_entropy(labels: jax.Array, logits: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _squares(targets: jax.Array, outputs: jax.Array) -> jax.Array:
    return jnp.mean((outputs - targets.astype(outputs.dtype)) ** 2)


def _dense(
    model: Function, output_loss: Function, points: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """H and B at each point as matrices in float64, ``[points, params, params]``."""

    def matrices(params: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs = model(params)
        jacobian = jax.jacfwd(model)(params).reshape(outputs.size, -1)
        by_outputs = jax.hessian(output_loss)(outputs).reshape(outputs.size, -1)
        hessian = jax.hessian(lambda params: output_loss(model(params)))(params)
        return hessian, jacobian.T @ by_outputs @ jacobian

    with jax.enable_x64(True):
        points = jnp.asarray(points, jnp.float64)
        return jax.device_get(jax.jit(jax.vmap(matrices))(points))


def _products(
    x: jax.Array, labels: jax.Array, params: jax.Array, v: jax.Array
) -> list[theory_table.Row]:
    """H v and B v in float32 beside the dense ones; where negative curvature is met."""
    model, linear = partial(_network, x), partial(_linear, x)
    output_loss = partial(_cross_entropy, labels)

    def loss(params: jax.Array) -> jax.Array:
        return output_loss(model(params))

    @jax.jit
    def free(params: jax.Array, v: jax.Array) -> Any:
        straight = second_order.hvp(lambda p: output_loss(linear(p)), params, v)
        products = second_order.hessian(model, output_loss, params)
        return (
            second_order.hvp(loss, params, v),
            second_order.hvp_reverse(loss, params, v),
            second_order.gauss_newton(model, output_loss, params)(v),
            (second_order.gauss_newton(linear, output_loss, params)(v), straight),
            second_order.conjugate_gradients(products, jax.grad(loss)(params)),
        )

    forward, reverse, curved, straight, search = jax.device_get(free(params, v))
    (hessian,), (gauss_newton,) = _dense(model, output_loss, params[None])
    vector = np.asarray(v, np.float64)
    pairs = {
        "H v, forward over reverse": (forward, hessian @ vector),
        "H v, reverse over forward": (reverse, hessian @ vector),
        "B v": (curved, gauss_newton @ vector),
        "B v and H v of a linear model": straight,
    }
    least, least_curved = (np.linalg.eigvalsh(m)[0] for m in (hessian, gauss_newton))
    return [
        theory_table.equal(
            f"{name}: largest error, of the largest entry",
            0,
            np.abs(one - other).max() / np.abs(other).max(),
            1e-5,
        )
        for name, (one, other) in pairs.items()
    ] + [
        theory_table.at_least("B: least eigenvalue", -1e-12, least_curved),
        theory_table.at_most("H: least eigenvalue", -0.01, least),
        theory_table.equal(
            "H: search ended by negative curvature", 1, search.negative, 0
        ),
        theory_table.at_most("H: least curvature met", 0, search.least_curvature),
        theory_table.at_least(
            "H: least curvature met, no less than", least, search.least_curvature
        ),
    ]


def _training(
    axes: Any, x: jax.Array, teacher: jax.Array, key: jax.Array
) -> list[theory_table.Row]:
    """Squares to a teacher's outputs from many starts: where they are 0, H is B."""
    model = partial(_network, x)
    output_loss = partial(_squares, model(teacher))
    optimiser = second_order.hessian_free(max_steps=_PARAMETERS)

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        loss, gradients = jax.value_and_grad(lambda p: output_loss(model(p)))(params)
        updates, state = optimiser.update(
            gradients, state, params, model=model, output_loss=output_loss
        )
        return (params + updates, state), (params, loss)

    @jax.jit
    @jax.vmap
    def train(params: jax.Array) -> tuple[jax.Array, jax.Array]:
        carry = params, optimiser.init(params)
        return jax.lax.scan(step, carry, None, _STEPS)[1]

    starts = teacher[None] + 0.5 * jax.random.normal(key, (16, _PARAMETERS))
    points, losses = jax.device_get(train(starts))
    best = losses[:, -1].argmin()
    hessians, curved = _dense(model, output_loss, points[best])
    apart = np.linalg.norm(hessians - curved, axis=(1, 2))
    share = apart / np.linalg.norm(curved, axis=(1, 2))
    least = [np.linalg.eigvalsh(hessians[i])[0] for i in (0, -1)]
    for panel, i in zip(axes, (0, -1), strict=False):
        for name, matrices in (("Hessian", hessians), ("Gauss-Newton", curved)):
            panel.plot(np.linalg.eigvalsh(matrices[i]), ".", ms=4, label=name)
        panel.set_yscale("symlog", linthresh=1e-4)
    axes[2].semilogy(losses.T, color="0.8")
    axes[2].semilogy(losses[best], label="loss, best of 16 starts")
    axes[2].semilogy(share, label="|H - B| / |B|")
    axes[2].set(xlabel="Gauss-Newton step")
    # The difference is a sum of residuals times second derivatives of the outputs.
    clear = (losses[best] < 1e-2) & (losses[best] > 1e-10)  # above float32's rounding
    slope = np.nan  # where no start comes near 0, and the row fails
    if clear.sum() > 2:
        slope = np.polyfit(np.log(losses[best][clear]), np.log(apart[clear]), 1)[0]
    return [
        theory_table.at_most("squares: loss in the end", 1e-8, losses[best, -1]),
        theory_table.at_least("squares, at the start: |H - B| / |B|", 0.1, share[0]),
        theory_table.at_most("squares, in the end: |H - B| / |B|", 1e-3, share[-1]),
        theory_table.close(
            "squares: slope of log |H - B| by log loss", 0.5, slope, 0.15
        ),
        theory_table.at_most(
            "squares, at the start: least eigenvalue of H", -0.01, least[0]
        ),
        theory_table.at_least(
            "squares, in the end: least eigenvalue of H", -1e-6, least[1]
        ),
    ]


def _least_squares(x: jax.Array, y: jax.Array) -> theory_table.Row:
    """One undamped step from anywhere."""
    start = jnp.full(4, 3.0)
    optimiser = second_order.hessian_free(damping=0.0, tolerance=0.0)

    @jax.jit
    def step(params: jax.Array) -> jax.Array:
        updates, _ = optimiser.update(
            (x @ params - y) @ x,
            optimiser.init(params),
            params,
            model=lambda params: x @ params,
            output_loss=lambda outputs: jnp.sum((outputs - y) ** 2) / 2,
        )
        return params + updates

    solution = np.linalg.lstsq(np.float64(x), np.float64(y), rcond=None)[0]
    error = np.abs(step(start) - solution).max() / np.abs(solution).max()
    return theory_table.equal(
        "least squares: error after one undamped step", 0, error, 1e-5
    )


main = partial(experiment.main, "curvature", measure)

if __name__ == "__main__":
    cli.run(main)
