"""The optimal discriminator, and what it hands to the generator.

    python -m experiments.theory.optimal_discriminator

Trains discriminators between densities that are known. The cross-entropy's converges to
D = p / (p + q), the other losses' to their own closed forms, and each loss to what the
divergence behind it says. Then the generator's gradient: minimax's vanishes where
fakes are found out, the non-saturating one does not (docs/optimal_discriminator.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.data import mixtures
from gan_jax.losses import LOSSES
from gan_jax.theory import divergences, fitting, optimal_discriminator, theory_table

flags.adopt_module_key_flags(experiment)

_GRID = np.linspace(-8, 14, 2201, dtype=np.float32)
# Means and deviations of data and model, two components in each: one program for all.
_PAIRS = {
    "two Gaussians": (([-1, -1], [1, 1]), ([1, 1], [1, 1])),
    "bimodal and Gaussian": (([-2, 1.5], [0.5, 0.8]), ([0, 0], [1.5, 1.5])),
    "a mode is missed": (([-2, 2], [0.7, 0.7]), ([2, 2], [0.7, 0.7])),
}
# Loss -> what of the logit its discriminator has to get right.
_DISCRIMINATORS = {
    "minimax": jax.nn.sigmoid,  # D
    "relativistic": jax.nn.sigmoid,  # of the logit but for a constant
    "least_squares": lambda h: h,
    "hinge": jnp.sign,  # beyond the margin any logit is as good
}
_GENERATORS = ("minimax", "nonsaturating", "kl")


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Trains a discriminator for each loss and pair; follows the generator's slopes."""
    figure, axes = plots.subplots(
        (
            *(f"D: {pair}" for pair in _PAIRS),
            "|d generator loss / d logit|",
            *(f"logit: {pair}" for pair in _PAIRS),
            "|d generator loss / d theta|",
        ),
        columns=4,
    )
    keys = jax.random.split(jax.random.key(seed))
    found = _slopes(axes[3])
    found += _discriminators(axes[:3], axes[4:7], keys[0], quick)
    rows, gradients = _gradients(axes[7], keys[1], quick)
    details = {"d_loss_d_theta": gradients}
    return experiment.Findings(found + rows, figure, details=details)


def _train(key: jax.Array, data: Any, model: Any, loss: Any, quick: bool) -> Any:
    """Brings a discriminator to its optimum: its logits as a function, and its loss."""
    steps, batch = (1000, 256) if quick else (3000, 512)
    logit, log = fitting.tell_apart(
        key, data, model, loss, num_steps=steps, batch_size=batch
    )
    return logit, log["d_loss"][-steps // 5 :].mean()


def _sweep(key: jax.Array, quick: bool) -> Any:
    """Every loss against every pair, at once.

    Returns:
      Log densities of data and of model on the grid, ``[pairs, points]`` each; logits
      ``[losses, pairs, points]``, and losses at the end ``[losses, pairs]``.
    """
    mixed = [[mixtures.on_a_line(*m) for m in pair] for pair in _PAIRS.values()]
    sides = [fitting.stack(side) for side in zip(*mixed, strict=True)]
    losses = tuple(_DISCRIMINATORS)

    def train(index: jax.Array, key: jax.Array, p: Any, q: Any) -> Any:
        logit, least = _train(key, p, q, fitting.one_of(losses, index), quick)
        return logit(_GRID[:, None]), least

    @jax.jit
    def sweep(keys: jax.Array, *sides: Any) -> Any:
        each = jax.vmap(jax.vmap(train, (None, 0, 0, 0)), (0, None, None, None))
        trained = each(jnp.arange(len(losses)), keys, *sides)
        on_grid = jax.vmap(lambda mixture: mixture.log_density(_GRID[:, None]))
        return *map(on_grid, sides), *trained

    return jax.device_get(sweep(jax.random.split(key, len(_PAIRS)), *sides))


def _discriminators(
    densities: Any, logits: Any, key: jax.Array, quick: bool
) -> list[theory_table.Row]:
    p, q, trained, least = _sweep(key, quick)
    for axes, *curves in zip(densities, p, q, trained[0], strict=True):
        _draw_densities(axes, *curves)
    found = []
    for i, (loss, seen) in enumerate(_DISCRIMINATORS.items()):
        known = jax.jit(jax.vmap(partial(_known, loss)))(p, q, trained[i])
        for j, (pair, error, off, closed, logit) in enumerate(
            zip(_PAIRS, *jax.device_get(known), strict=True)
        ):
            what = f"{loss}, {pair}:"
            # The hinge's optimum is a step, which no network is.
            bound = 0.3 if loss == "hinge" else 0.04 if quick else 0.02
            share = 0.1 if quick else 0.02
            found += [
                theory_table.equal(f"{what} RMS error", 0, error, bound),
                theory_table.close(f"{what} loss", closed, least[i, j], share),
            ]
            if seen is jax.nn.sigmoid:
                of_logit = f"{what} RMS error of the logit"
                found.append(
                    theory_table.equal(of_logit, 0, off, 0.15 if quick else 0.1)
                )
            logits[j].plot(_GRID, trained[i, j], label=loss)
            if loss != "relativistic":
                logits[j].plot(_GRID, logit, **plots.THEORY)
            logits[j].set(xlim=(-4.5, 4.5), ylim=(-6, 6), xlabel="x")
    return found


def _known(
    loss: str, p: jax.Array, q: jax.Array, h: jax.Array
) -> tuple[jax.Array, ...]:
    """RMS errors of a trained logit, the least loss, and the optimal logit.

    The first error is of what the loss asks for, over half data and half model; the
    second of the logit, where both have mass.
    """
    closed = optimal_discriminator.OPTIMAL_LOGITS[loss](p, q)
    half = jnp.exp(jnp.logaddexp(p, q)) / 2
    both = jnp.exp(jnp.minimum(p, q))
    both /= divergences.integral(both, _GRID)
    if loss == "relativistic":  # is known up to a constant
        h += divergences.integral(both * (closed - h), _GRID)

    def rms(weight: jax.Array, error: jax.Array) -> jax.Array:
        return jnp.sqrt(divergences.integral(weight * error**2, _GRID))

    seen = _DISCRIMINATORS[loss]
    least = optimal_discriminator.least_discriminator_loss(loss, p, q, _GRID)
    return rms(half, seen(h) - seen(closed)), rms(both, h - closed), least, closed


def _draw_densities(axes: Any, p: np.ndarray, q: np.ndarray, h: np.ndarray) -> None:
    axes.fill_between(_GRID, np.exp(p), alpha=0.3, label="data")
    axes.fill_between(_GRID, np.exp(q), alpha=0.3, label="model")
    axes.plot(_GRID, 1 / (1 + np.exp(-h)), label="D, trained")
    axes.plot(_GRID, 1 / (1 + np.exp(q - p)), **plots.THEORY, label="p / (p + q)")
    axes.set(xlim=(-5, 5), xlabel="x")


def _slopes(axes: Any) -> list[theory_table.Row]:
    """What each fake is told, for every logit."""
    h = np.append(np.linspace(-20, 20, 801), [-1e4, 1e4]).astype(np.float32)
    found = []
    for name, closed in optimal_discriminator.GENERATOR_SLOPES.items():

        def error(h: jax.Array, name: str = name, closed: Any = closed) -> jax.Array:
            slope = jax.grad(lambda h: LOSSES[name].generator(h[None], h[None]))
            exact = closed(h)  # that of least squares is as large as the logit
            return jnp.abs(slope(h) - exact) / jnp.maximum(1, jnp.abs(exact))

        error = np.asarray(jax.jit(jax.vmap(error))(h))
        what = f"{name}: d loss / d logit, largest relative error"
        found.append(theory_table.equal(what, 0, error.max(), 1e-6))
        if name in _GENERATORS:
            axes.plot(h[:801], np.abs(jax.jit(closed)(h))[:801], label=name)
    axes.set(xlabel="logit of the fake", xlim=(-10, 10))
    return found


def _gradients(
    axes: Any, key: jax.Array, quick: bool
) -> tuple[list[theory_table.Row], dict[str, list[float]]]:
    """Data N(0, 1), model N(theta, 1): through a trained discriminator, and D*.

    Returns:
      Rows, and each generator's gradients, measured and of theory, at each theta.
    """
    thetas = jnp.array([1.0, 4.0]) if quick else jnp.linspace(0.5, 6, 12)

    def train(key: jax.Array, theta: jax.Array) -> jax.Array:
        data, model = mixtures.gaussian([0.0]), mixtures.gaussian(theta[None])
        keys = jax.random.split(key)
        logit, _ = _train(keys[0], data, model, "minimax", quick)
        z = jax.random.normal(keys[1], (20_000, 1))

        def loss(theta: jax.Array, name: str) -> jax.Array:
            h = logit(theta + z)
            return LOSSES[name].generator(h, h)

        return jnp.stack([jax.grad(loss)(theta, name) for name in _GENERATORS])

    keys = jax.random.split(key, len(thetas))
    measured, thetas = jax.device_get((jax.jit(jax.vmap(train))(keys, thetas), thetas))
    fine = np.linspace(0.05, 6, 120)
    found, gradients = [], {"theta": thetas.tolist()}
    for i, name in enumerate(_GENERATORS):
        closed = partial(optimal_discriminator.shifted_gradient, name, grid=_GRID)
        curve = jax.jit(jax.vmap(closed))
        axes.semilogy(fine, curve(fine), **plots.THEORY, label=None if i else "theory")
        axes.semilogy(thetas, measured[:, i], "o", label=name)
        near = thetas <= 4  # beyond, no batch has a point where both are
        exact = np.asarray(curve(thetas))
        gradients |= {name: measured[:, i].tolist(), f"{name}, theory": exact.tolist()}
        error = np.abs(measured[near, i] / exact[near] - 1).max()
        what = f"{name}: d loss / d theta <= 4, trained D: largest relative error"
        found.append(theory_table.equal(what, 0, error, 0.3 if quick else 0.1))
    axes.set(xlabel="theta: distance of the model")
    return found, gradients


main = partial(experiment.main, "optimal_discriminator", measure)

if __name__ == "__main__":
    cli.run(main)
