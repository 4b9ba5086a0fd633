"""How fast stochastic gradient descent converges, and with which steps it does not.

    python -m experiments.theory.sgd_rates

Steps alpha / j on strongly convex problems, projected onto a convex set, against the
bound Q / j; the slow rate of a step that is too small; and projections, which never
move two points apart (docs/sgd_rates.md). Functions that are not convex are the subject
of `experiments.theory.sgd_nonconvex`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from optax import projections

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.theory import theory_table
from gan_jax.theory.dynamics import sgd
from gan_jax.theory.dynamics.sgd import Problem

flags.adopt_module_key_flags(experiment)

_SLOW, _FAST = (0.1, 0.2, 0.3), (0.75, 1.0, 2.0, 4.0)  # 2 c alpha < 1, and > 1: c = 1
_BOUNDED = (1.0, 1.4, 2.0)  # alpha in a bounded set, c = 1
_Found = list[theory_table.Row]


def _vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


_CURVATURES, _TARGET, _OUTSIDE = _vector(1, 1.5, 2), _vector(0.3, -0.2, 0.1), 2.0
_UNEVEN = _vector(0.2, 1, 4)
_NORMAL = _vector(1, 2, 2) / 3  # of length 1
_NOISE = {"box": 2.0, "ball": 3.0}  # sigma


def _box(theta: jax.Array) -> jax.Array:
    return projections.projection_box(theta, -1.0, 1.0)


def _squared(theta: jax.Array) -> jax.Array:
    return jnp.sum(theta**2)


_PROBLEMS = {
    "even": Problem(
        gradient=lambda theta, z: theta + z,
        measure=lambda theta: _squared(theta) / 3,  # three runs in one
        start=_vector(1, 1, 1),
        schedules=sgd.schedules(*_SLOW, *_FAST),
    ),
    "uneven": Problem(
        gradient=lambda theta, z: _UNEVEN * theta + z,
        measure=_squared,
        start=_vector(1, 1, 1),
        schedules=sgd.schedules(1),
    ),
    "overestimated": Problem(
        gradient=lambda theta, z: theta / 5,
        measure=lambda theta: theta[0],
        start=_vector(1, 1, 1),
        schedules=sgd.schedules(1, 5),
        project=_box,
    ),
    "box": Problem(
        gradient=lambda theta, z: _CURVATURES * (theta - _TARGET) + _NOISE["box"] * z,
        measure=lambda theta: _squared(theta - _TARGET),
        start=-np.sign(_TARGET),
        schedules=sgd.schedules(*_BOUNDED),
        project=_box,
    ),
    "ball": Problem(
        gradient=lambda theta, z: theta - _OUTSIDE * _NORMAL + _NOISE["ball"] * z,
        measure=lambda theta: _squared(theta - _NORMAL),
        start=-_NORMAL,
        schedules=sgd.schedules(*_BOUNDED),
        project=projections.projection_l2_ball,
    ),
    "coins": Problem(  # g is 1 or -1 in each entry, E g = theta; it starts at theta*
        gradient=lambda theta, z: jnp.where(theta + z / 3**0.5 > 0, 1.0, -1.0),
        measure=_squared,
        start=_vector(0, 0, 0),
        schedules=sgd.schedules(*_BOUNDED),
        project=_box,
    ),
}


def measure(seed: int, quick: bool) -> tuple[_Found, Any]:
    """Descends every problem, and projects pairs of points."""
    runs, num_steps = (1024, 2000) if quick else (8192, 10_000)
    share = 0.15 if quick else 0.05  # five deviations, and what is left of the start
    keys = jax.random.split(jax.random.key(seed))
    descend = partial(sgd.mean_paths, _PROBLEMS, runs=runs, num_steps=num_steps)
    paths = jax.device_get(jax.jit(descend)(keys[0]))
    j = np.arange(1, num_steps + 1, dtype=np.float32)
    # A mean of squares of normal numbers, three in a run, is off by this share of it.
    deviation = (2 / (3 * runs)) ** 0.5
    titles = ("E theta^2, steps alpha / j", "j E |theta - theta*|^2 / (2 Q)")
    titles += ("theta^2 / 10 without noise: theta", "|Px - Py| / |x - y|, largest")
    figure, axes = plots.subplots(titles, columns=2)
    found = _quadratic(axes[0], j, paths, deviation, share)
    found += _bounded(axes[1], j, paths, deviation, share)
    found += _overestimated(axes[2], j, paths["overestimated"])
    for panel in axes[:3]:
        panel.set(xlabel="j")
    for panel in axes[:2]:  # room for the legend
        panel.set_ylim(bottom=panel.get_ylim()[0] / 30)
    return found + _projections(axes[3], keys[1]), figure


def _quadratic(
    axes: Any, j: np.ndarray, paths: Any, deviation: float, share: float
) -> _Found:
    """Without a set: the rate for each alpha, and E theta^2 at every step."""
    even, uneven, rates = paths["even"], paths["uneven"][0], _vector(*_SLOW, *_FAST)
    recursion = jax.jit(jax.vmap(sgd.squared_errors, (0, None, None, None)))
    exact = np.asarray(recursion(rates[:, None] / j[None], 1.0, 1.0, 1.0))
    found, first = [], len(j) // 100
    for rate, path, closed in zip(rates, even, exact, strict=True):
        axes.loglog(j, path, label=f"alpha {rate:g}")
        axes.loglog(j, closed, **plots.THEORY)
        power, what = -min(2 * rate, 1), f"quadratic, alpha {rate:g}"
        found.append(
            theory_table.close(f"{what}: slope", power, sgd.slope(path, first), 0.05)
        )
        if 2 * rate > 1:
            limit, late = sgd.limit(rate, 1.0, 1.0), sgd.late(j * path)
            found.append(
                theory_table.close(f"{what}: j E theta^2, late", limit, late, share)
            )
    largest = np.abs(even / exact - 1).max()
    what = "quadratic: E theta^2 over its recursion - 1, largest"
    found.append(theory_table.equal(what, 0, largest, 5 * deviation))
    what, slope = "curvatures 0.2, 1, 4, alpha 1: slope", sgd.slope(uneven, first)
    return [*found, theory_table.close(what, -2 * _UNEVEN.min(), slope, 0.05)]


def _bounded(
    axes: Any, j: np.ndarray, paths: Any, deviation: float, share: float
) -> _Found:
    """In a set: squared errors as shares of the bound 2 Q / j, at every step."""
    along = sgd.curvature_on_ball(1.0, _OUTSIDE, 1.0)
    # M^2, and of each direction in which the optimum is free its curvature and noise.
    sizes = {
        "box": (
            sgd.moment(_CURVATURES, 1 + abs(_TARGET), _NOISE["box"]),
            [(curvature, _NOISE["box"]) for curvature in _CURVATURES],
        ),
        "ball": (
            sgd.moment(_vector(1, 1, 1), (1 + _OUTSIDE) * _NORMAL, _NOISE["ball"]),
            [(along, _NOISE["ball"])] * 2,
        ),
        "coins": (3.0, [(1.0, 1.0)] * 3),
    }
    found = []
    for colour, (name, (moment, free)) in enumerate(sizes.items()):
        for rate, path in zip(_BOUNDED, paths[name], strict=True):
            bound = 2 * float(sgd.bound(rate, 1.0, moment))
            limit = sum(sgd.limit(rate, *direction) for direction in free)
            part, what = j * path / bound, f"{name}, alpha {rate:g}: error over bound"
            first, slack = 1, 0.0
            if name == "coins":  # too early Q / j is no bound, late it is the limit
                first, slack = sgd.bound_from(rate, 1.0), 5 * deviation
            largest = part[first - 1 :].max()
            found += [
                theory_table.close(
                    f"{what}, late", limit / bound, sgd.late(part), share
                ),
                theory_table.at_most(
                    f"{what}, largest, j >= {first}", 1 + slack, largest
                ),
            ]
            label = name if rate == 1 else None
            axes.loglog(j[first - 1 :], part[first - 1 :], f"C{colour}", label=label)
            axes.loglog(j[[len(j) // 2, -1]], [limit / bound] * 2, **plots.THEORY)
            if name == "coins" and rate == 1:
                axes.loglog(2, part[1], f"C{colour}o", label="coins, alpha 1, j = 2")
                found.append(theory_table.equal(f"{what}, j = 2", 2, part[1], 1e-3))
    axes.axhline(1, **plots.THEORY)
    return found


def _overestimated(axes: Any, j: np.ndarray, paths: np.ndarray) -> _Found:
    """The curvature is 1/5, and the step as if it were 1."""
    far = np.geomspace(1, 1e9, 46, dtype=np.float32)
    factors = np.asarray(jax.jit(sgd.noiseless)(0.2, np.append(j[-1], far)))
    axes.loglog(j, paths[0], lw=4, alpha=0.5, label="alpha 1; 1 / c is 5")
    axes.loglog(far, factors[1:], **plots.THEORY)
    what = "theta^2 / 10, alpha"
    return [
        theory_table.close(
            f"{what} 1: theta in the end", factors[0], paths[0, -1], 1e-3
        ),
        theory_table.equal(f"{what} 5: theta after a step", 0, paths[1, 1], 1e-6),
    ]


def _projections(axes: Any, key: jax.Array) -> _Found:
    """Distances of pairs of points, after over before."""
    sphere, inside = projections.projection_l2_sphere, 0.1

    def ratio(project: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.linalg.norm(project(x) - project(y)) / jnp.linalg.norm(x - y)

    @jax.jit
    @jax.vmap
    def ratios(key: jax.Array) -> dict[str, jax.Array]:
        keys = jax.random.split(key)
        scales = 10 ** jax.random.uniform(keys[0], (2,), minval=-1, maxval=1)
        points = jax.random.uniform(keys[1], (2, 8), minval=-1, maxval=1)
        x, y = jax.vmap(jnp.multiply)(scales, points)
        shrunk = (sphere(x, inside), sphere(y, inside))
        convex = {name: ratio(set_, x, y) for name, set_ in sgd.CONVEX_SETS.items()}
        return convex | {"sphere": ratio(sphere, *shrunk)}

    largest = jax.device_get(ratios(jax.random.split(key, 10_000)))
    largest = {name: values.max() for name, values in largest.items()}
    axes.semilogx(list(largest.values()), list(largest), "o")
    axes.axvline(1, **plots.THEORY)
    axes.set(xlim=(0.5, 20))
    apart, what = largest.pop("sphere"), "|Px - Py| / |x - y|, largest"
    most, count = max(largest.values()), len(largest)
    return [
        theory_table.at_most(f"{what} of {count} convex sets", 1 + 1e-5, most),
        theory_table.close(
            f"{what}, sphere, at a tenth of it", 1 / inside, apart, 1e-3
        ),
    ]


main = partial(experiment.main, "sgd_rates", measure)

if __name__ == "__main__":
    cli.run(main)
