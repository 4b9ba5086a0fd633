"""Stochastic gradient descent where f is not convex: which steps stop short.

    python -m experiments.theory.sgd_nonconvex

Wells ``sum_i h_i (1 - cos theta_i)``, entered where the curvature is negative. Steps
that fall slowly bring the gradient to 0, be the sum of their squares finite or not,
constant ones to a floor of noise below a bound, and steps with a finite sum stop on the
way (docs/sgd_nonconvex.md). Rates on convex problems are the subject of
`experiments.theory.sgd_rates`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.theory import theory_table
from gan_jax.theory.dynamics import sgd, sgd_nonconvex

flags.adopt_module_key_flags(experiment)

_FALLING = 0.4, 0.6, 0.75  # the squares of the first have an infinite sum
_CONSTANT, _FINITE = (0.025, 0.05, 0.1), (0.1, 1.5)
_CURVATURES, _NOISE = np.array([1, 1.5, 2], np.float32), 0.5  # h, sigma
_START = 2.5  # in each well; past pi / 2, where the curvature is negative
_Found = list[theory_table.Row]


def _squared_gradient(theta: jax.Array) -> jax.Array:
    return jnp.sum((_CURVATURES * jnp.sin(theta)) ** 2)


_WELLS = sgd.Problem(
    gradient=lambda theta, z: _CURVATURES * jnp.sin(theta) + _NOISE * z,
    measure=_squared_gradient,
    start=np.full(3, _START, np.float32),
    schedules=np.concatenate(
        [sgd.schedules(1, power=power) for power in _FALLING]
        + [sgd.schedules(*_CONSTANT, power=0)]
        + [sgd.schedules(_FINITE[0], power=_FINITE[1])]
    ),
)


def measure(seed: int, quick: bool) -> tuple[_Found, Any]:
    """Descends the wells by every schedule, many times."""
    runs, num_steps = (1024, 2000) if quick else (8192, 10_000)
    descend = partial(sgd.mean_paths, {"": _WELLS}, runs=runs, num_steps=num_steps)
    paths = np.asarray(jax.jit(descend)(jax.random.key(seed))[""])
    falling, constant, finite = np.split(paths, [len(_FALLING), -1])
    figure, axes = plots.subplots(("E |grad f|^2", "constant steps: E |grad f|^2"))
    # Errors lag behind steps, by p j^(p - 1) / (2 h), and floors bend with j^-p h / 2.
    share = 0.1 if quick else 0.05
    found = _falling(axes[0], falling, share)
    for rate, path in zip(_CONSTANT, constant, strict=True):
        axes[0].loglog(np.arange(1, num_steps + 1), path, label=f"steps {rate:g}")
    found += _finite(axes[0], finite[0])
    axes[0].set(xlabel="j")
    axes[0].set_ylim(bottom=axes[0].get_ylim()[0] / 30)  # room for the legend
    return found + _constant(axes[1], constant), figure


def _falling(axes: Any, paths: np.ndarray, share: float) -> _Found:
    """Steps that fall slowly: the floor of each step follows them."""
    floor = jax.jit(jax.vmap(sgd_nonconvex.noise_floor, (0, None, None)))
    j, found = np.arange(1, paths.shape[1] + 1, dtype=np.float32), []
    for power, path in zip(_FALLING, paths, strict=True):
        closed = np.asarray(floor(j**-power, _CURVATURES, _NOISE))
        axes.loglog(j, path, label=f"steps j^-{power:g}")
        axes.loglog(j[9:], closed[9:], **plots.THEORY)
        what, slope = f"steps j^-{power:g}", sgd.slope(path, len(j) // 10)
        ratio = sgd.late(path / closed)
        found += [
            theory_table.close(f"{what}: slope", -power, slope, share),
            theory_table.close(
                f"{what}: E |grad f|^2 over that of a_j", 1, ratio, share
            ),
        ]
    return found


def _finite(axes: Any, path: np.ndarray) -> _Found:
    """Steps with a finite sum stop where a flow of that time is."""

    @jax.jit
    def stops(rate: jax.Array, power: jax.Array) -> jax.Array:
        time = rate * jax.scipy.special.zeta(power, 1.0)
        return _squared_gradient(sgd_nonconvex.cosine_flow(_START, _CURVATURES, time))

    what, closed = "steps {:g} j^-{:g}".format(*_FINITE), stops(*_FINITE)
    axes.loglog(np.arange(1, len(path) + 1), path, label=what)
    axes.axhline(closed, **plots.THEORY)
    return [
        theory_table.close(f"{what}: E |grad f|^2 in the end", closed, path[-1], 0.05)
    ]


def _constant(axes: Any, paths: np.ndarray) -> _Found:
    """Steps that stay: the floor, and the bound of the mean."""
    steps, smoothness = np.array(_CONSTANT, np.float32), _CURVATURES.max()
    floor = jax.jit(jax.vmap(sgd_nonconvex.noise_floor, (0, None, None)))
    excess = np.sum(_CURVATURES * (1 - np.cos(_START)))
    bound = partial(sgd_nonconvex.stationarity_bound, num_steps=paths.shape[1])
    bounds = bound(steps, smoothness=smoothness, excess=excess, variance=3 * _NOISE**2)
    floors = np.asarray(floor(steps, _CURVATURES, _NOISE))
    late, means = sgd.late(paths), paths.mean(axis=1)
    axes.loglog(steps, means, "s", label="mean of all steps")
    axes.loglog(steps, bounds, **plots.THEORY | {"ls": ":"}, label="its bound")
    axes.loglog(steps, late, "o", label="late")
    axes.loglog(steps, floors, **plots.THEORY)
    axes.set_xticks(steps, _CONSTANT)
    axes.set_yticks((0.02, 0.05, 0.1), (0.02, 0.05, 0.1))
    axes.minorticks_off()
    axes.set(xlabel="step")
    found = []
    for n, step in enumerate(_CONSTANT):
        what = f"steps {step:g}: E |grad f|^2"
        found += [
            theory_table.close(f"{what}, late", floors[n], late[n], 0.02),
            theory_table.at_most(f"{what}, mean of all", bounds[n], means[n]),
        ]
    return found


main = partial(experiment.main, "sgd_nonconvex", measure)

if __name__ == "__main__":
    cli.run(main)
