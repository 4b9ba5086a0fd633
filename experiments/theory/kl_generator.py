"""What a generator minimises at the optimal discriminator: KL(model, data), and modes.

    python -m experiments.theory.kl_generator

At D* the kl loss is the reverse divergence KL(p_theta, p_data), value and gradient.
Maximum likelihood, and what a VAE bounds, is the forward one. A Gaussian fitted to two
modes covers both under the forward divergence and seeks one under the reverse, by the
closed forms and by samples at D*; `gaussian_gans` trains them (docs/kl_generator.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from scipy import stats

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.data import mixtures
from gan_jax.theory import fitting, generator_loss, theory_table

flags.adopt_module_key_flags(experiment)

_GRID = np.linspace(-12, 12, 2401, dtype=np.float32)
_LOSSES = ("minimax", "nonsaturating", "kl")
_WIDTH = 0.5  # of each mode
_FAR = 2.0  # half the distance between the modes
# Two pairs are nearly the same: the second of each is drawn over the first, dashed.
_STYLES = {"kl": "C2-", "nonsaturating": "C1--", "likelihood": "C3-", "minimax": "C0--"}


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Checks the identity, and fits Gaussians to two modes."""
    titles = ("KL(model, data) at D*", "best Gaussians", "mean of the best Gaussian")
    figure, axes = plots.subplots(titles)
    keys = jax.random.split(jax.random.key(seed))
    found = _identity(axes[0], keys[0])
    return found + _fits(*axes[1:], keys[1], quick), figure


def _data(half: float | jax.Array) -> mixtures.Mixture:
    """Two modes, ``half`` to each side of 0."""
    half = jnp.asarray(half, jnp.float32)
    return mixtures.on_a_line(jnp.stack([-half, half]), _WIDTH)


def _log_data(half: float | jax.Array) -> generator_loss.LogDensity:
    return lambda x: _data(half).log_density(x[..., None])


def _identity(axes: Any, key: jax.Array) -> list[theory_table.Row]:
    """64 models at random places and widths, against the same two modes."""
    low, high = jnp.array([-2.0, -1.0]), jnp.array([2.0, 0.5])
    models = jax.random.uniform(key, (64, 2), minval=low, maxval=high)
    log_data = _log_data(1.0)
    found = []
    for name in _LOSSES:
        loss = partial(
            generator_loss.generator_loss,
            name,
            log_data,
            z=generator_loss.quantiles(20_000),
        )
        exact = partial(generator_loss.divergence, name, log_data, grid=_GRID)
        (value, gradient), (closed, closed_gradient) = (
            jax.device_get(jax.jit(jax.vmap(jax.value_and_grad(function)))(models))
            for function in (loss, exact)
        )
        error = np.linalg.norm(gradient - closed_gradient, axis=1)
        error /= np.linalg.norm(closed_gradient, axis=1)
        what = f"{name}: gradient at D*, largest relative error over 64 models"
        found.append(theory_table.equal(what, 0, error.max(), 1e-2))
        if name == "kl":
            what = "kl: loss at D* - KL(model, data), largest"
            found.append(
                theory_table.equal(what, 0, np.abs(value - closed).max(), 1e-3)
            )
            axes.plot(closed, value, "o", label="64 models")
            axes.axline((0, 0), slope=1, **plots.THEORY)
    axes.set(xlabel="by quadrature", ylabel="kl loss")
    return found


def _fit(
    name: str, key: jax.Array, half: jax.Array, start: jax.Array, quick: bool
) -> Any:
    """A Gaussian by the exact divergence, and one by samples of model or data."""
    log_data, data = _log_data(half), _data(half)
    steps = 300 if quick else 1000

    def sampled(params: jax.Array, key: jax.Array) -> jax.Array:
        if name == "likelihood":
            return -generator_loss.log_model(params, data.sample(key, 512)[:, 0]).mean()
        z = jax.random.normal(key, (512,))
        return generator_loss.generator_loss(name, log_data, params, z)

    def exact(params: jax.Array, _: jax.Array | None = None) -> jax.Array:
        return generator_loss.divergence(name, log_data, params, _GRID)

    run = partial(fitting.minimise, num_steps=steps, key=key)
    optimiser = fitting.decaying_adam(0.05, steps)
    fitted = [run(f, start, optimiser)[0] for f in (exact, sampled)]
    return [(params, exact(params)) for params in fitted]


def _best(name: str, key: jax.Array, halves: jax.Array, quick: bool) -> Any:
    """Of fits from between the modes and from one of them, the better, for each half.

    Returns:
      For the fit by the exact divergence and for that by samples: means ``[halves]``,
      deviations, and the divergence.
    """
    wide = jnp.stack([0 * halves + 0.1, jnp.log(jnp.hypot(halves, _WIDTH))], -1)
    narrow = jnp.stack([halves, 0 * halves + jnp.log(_WIDTH)], -1)
    each = jax.vmap(jax.vmap(partial(_fit, name, quick=quick)), (None, None, 0))
    keys = jax.random.split(key, len(halves))

    def better(params: jax.Array, reached: jax.Array) -> tuple[jax.Array, ...]:
        best = jnp.argmin(reached, 0), jnp.arange(len(halves))
        return params[best][:, 0], jnp.exp(params[best][:, 1]), reached[best]

    return [better(*fit) for fit in each(keys, halves, jnp.stack([wide, narrow]))]


def _fits(axes: Any, means: Any, key: jax.Array, quick: bool) -> list[theory_table.Row]:
    halves = np.append(np.linspace(0.25, 3, 4 if quick else 12), _FAR)
    halves = halves.astype(np.float32)
    axes.fill_between(_GRID, np.exp(jax.jit(_log_data(_FAR))(_GRID)), alpha=0.3)
    found = []
    for name, style in _STYLES.items():
        best = jax.jit(partial(_best, name, quick=quick))
        exact, (mean, deviation, reached) = jax.device_get(best(key, halves))
        what = f"{name}: divergence of the fit by samples - the least, largest"
        found.append(
            theory_table.equal(what, 0, np.abs(reached - exact[2]).max(), 0.01)
        )
        if name == "likelihood":
            error = np.abs(deviation / np.hypot(halves, _WIDTH) - 1).max()
            found += [
                theory_table.equal(
                    f"{name}: mean of the fit, the data's", 0, mean[-1], 0.1
                ),
                theory_table.equal(
                    f"{name}: deviation / the data's - 1", 0, error, 0.03
                ),
            ]
        if name == "kl":
            found += [
                theory_table.equal(
                    "kl: mean of the fit, a mode's", _FAR, abs(mean[-1]), 0.02
                ),
                theory_table.equal(
                    "kl: deviation, a mode's", _WIDTH, deviation[-1], 0.02
                ),
                theory_table.equal("kl: KL(fit, data)", np.log(2), reached[-1], 0.01),
            ]
        found += _other(name, mean[-1], deviation[-1])
        density = stats.norm(mean[-1], deviation[-1]).pdf(_GRID)
        axes.plot(_GRID, density, style, label=name)
        means.plot(halves[:-1], np.abs(exact[0][:-1]), style, label=name)
        means.plot(halves[:-1], np.abs(mean[:-1]), ".", color=style[:2])
    axes.set(xlim=(-5, 5), xlabel="x")
    means.set(xlabel="half the distance between the modes")
    return found


def _other(name: str, mean: float, deviation: float) -> list[theory_table.Row]:
    """The fit of one direction of KL is a bad one by the other direction."""
    known = {
        "kl": ("likelihood", _FAR, _WIDTH),  # one of the modes
        "likelihood": ("kl", 0.0, np.hypot(_FAR, _WIDTH)),  # the moments of the data
    }
    if name not in known:
        return []
    other, *closed = known[name]
    measure = jax.jit(
        partial(generator_loss.divergence, other, _log_data(_FAR), grid=_GRID)
    )
    exact, measured = (
        measure(np.array([abs(m), np.log(s)], np.float32))
        for m, s in (closed, (mean, deviation))
    )
    what = f"{name}: the {other} divergence of its fit, which is not the least"
    return [theory_table.close(what, exact, measured, 0.02)]


main = partial(experiment.main, "kl_generator", measure)

if __name__ == "__main__":
    cli.run(main)
