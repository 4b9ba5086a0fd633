"""How good noise-contrastive estimates are: which noise, and how much of it.

    python -m experiments.theory.nce_noise

Thousands of data sets of a Gaussian on a line, each estimated exactly from a noise that
is narrow, like the data, or wide, with half to sixteen times as many samples. The
variances beside Gutmann & Hyvarinen's asymptotic ones (docs/nce_noise.md).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.theory import nce, theory_table

flags.adopt_module_key_flags(experiment)

_PARAMETERS = ("shift", "precision", "log Z")
_TRUTH = np.array([0.0, 1.0, 0.5 * np.log(2 * np.pi)], np.float32)  # of N(0, 1)
_DEVIATIONS = {"narrow": 0.5, "like the data": 1.0, "wide": 3.0}
_RATIOS = (0.5, 1, 4, 16)
_DATA = 1000  # in a set
_NEWTON = 4  # steps: from the truth, so that each error is the square of the last
_pdf = jax.scipy.stats.norm.logpdf


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Estimates many data sets with each noise."""
    ratios = _RATIOS[1:3] if quick else _RATIOS
    sets = 600 if quick else 4000
    deviations = np.array([*_DEVIATIONS.values()], np.float32)
    closed = _closed_for_all(deviations, [*ratios, np.inf])
    measured = np.stack(
        [_measured(jax.random.key(seed), deviations, ratio, sets) for ratio in ratios]
    )
    titles = [f"variance of {name}" for name in _PARAMETERS]
    figure, axes = plots.subplots([*titles, "variance of the precision"])
    _draw(axes, deviations, ratios, closed, measured)
    # Four deviations of an estimated variance, and what is left at this size of a set.
    tolerance = 4 * (2 / sets) ** 0.5 + 0.02
    off = np.abs(measured / closed[:-1] - 1).max((0, 2))
    found = [
        theory_table.equal(
            f"noise {name}: variance / asymptotic - 1, largest", 0, share, tolerance
        )
        for name, share in zip(_DEVIATIONS, off, strict=True)
    ]
    narrow, alike, wide = measured[ratios.index(1), :, 1]
    what = "variance of the precision over that with noise like the data: "
    found.append(theory_table.at_least(what + "narrow", 5, narrow / alike))
    found.append(theory_table.at_most(what + "wide", 0.95, wide / alike))
    return experiment.Findings(found, figure)


def _closed(deviation: jax.Array, ratio: jax.Array) -> jax.Array:
    """Asymptotic variances of the three parameters, times the number of data."""
    grid = jnp.linspace(-12, 12, 4001)
    scores = jnp.stack([grid, -(grid**2) / 2, -jnp.ones_like(grid)], axis=-1)
    densities = _pdf(grid), _pdf(grid, 0, deviation)
    spacing = grid[1] - grid[0]
    return jnp.diag(nce.asymptotic_covariance(*densities, scores, spacing, ratio))


def _closed_for_all(deviations: np.ndarray, ratios: Sequence[float]) -> np.ndarray:
    """`_closed` of each, ``[ratios, deviations, 3]``."""
    each = jax.jit(jax.vmap(jax.vmap(_closed, (0, None)), (None, 0)))
    return np.asarray(each(deviations, np.array(ratios, np.float32)))


@partial(jax.jit, static_argnames=("ratio", "sets"))
def _measured(
    key: jax.Array, deviations: jax.Array, ratio: float, sets: int
) -> jax.Array:
    """Variances over many sets, times the number of data: ``[deviations, 3]``."""

    def estimate(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key)
        data = jax.random.normal(keys[0], (_DATA,))
        z = jax.random.normal(keys[1], (round(ratio * _DATA),))
        return jax.vmap(lambda deviation: _minimum(data, deviation, z))(deviations)

    found = jax.lax.map(estimate, jax.random.split(key, sets), batch_size=10)
    return _DATA * jnp.mean((found - _TRUTH) ** 2, axis=0)


def _minimum(data: jax.Array, deviation: jax.Array, z: jax.Array) -> jax.Array:
    """Where `nce.nce_loss` is least, by Newton's steps: it is convex in the three."""

    def loss(theta: jax.Array) -> jax.Array:
        shift, precision, log_z = theta

        def energy(x: jax.Array) -> jax.Array:
            return precision * x**2 / 2 - shift * x

        log_noise = partial(_pdf, loc=0, scale=deviation)
        return nce.nce_loss(energy, log_z, log_noise, data, deviation * z)

    def step(theta: jax.Array, _: None) -> tuple[jax.Array, None]:
        by = jax.hessian(loss)(theta), jax.grad(loss)(theta)
        return theta - jnp.linalg.solve(*by), None

    return jax.lax.scan(step, jnp.asarray(_TRUTH), None, _NEWTON)[0]


def _draw(
    axes: Any,
    deviations: np.ndarray,
    ratios: tuple[float, ...],
    closed: np.ndarray,
    measured: np.ndarray,
) -> None:
    """Against the number of noise samples, and against their deviation."""
    for k in range(len(_PARAMETERS)):
        for i, name in enumerate(_DEVIATIONS):
            axes[k].plot(ratios, measured[:, i, k], f"C{i}o", label=name)
            axes[k].plot(ratios, closed[:-1, i, k], **plots.THEORY)
        axes[k].axhline(closed[-1, 0, k], color="0.5", label="maximum likelihood")
        axes[k].set(xscale="log", yscale="log", xlabel="noise samples / data")
    fine = np.geomspace(0.35, 6, 100, dtype=np.float32)
    for i, values in enumerate(_closed_for_all(fine, ratios)):
        axes[3].plot(fine, values[:, 1], f"C{i + 3}", label=f"{ratios[i]:g} a sample")
        axes[3].plot(deviations, measured[i, :, 1], f"C{i + 3}o")
    ticks = [0.5, 1, 2, 4]
    axes[3].set(xscale="log", yscale="log", xlabel="deviation of the noise")
    axes[3].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[3].set_xticks([], minor=True)


main = partial(experiment.main, "nce_noise", measure)

if __name__ == "__main__":
    cli.run(main)
