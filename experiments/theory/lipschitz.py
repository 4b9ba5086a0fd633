"""What a Wasserstein critic estimates: without a constraint, with a bound, trained.

    python -m experiments.theory.lipschitz

Between two points an unconstrained critic's objective grows for ever; one whose slope
is limited to K is a line, with a gap of K times the distance: the dual of the
Wasserstein distance. Critics trained with a gradient penalty estimate W1, on a line and
in the plane, where the penalty weighs enough (docs/lipschitz.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments.common import cli, experiment
from experiments.theory import penalty_price
from gan_jax import networks, plots, training
from gan_jax.data import mixtures
from gan_jax.evaluation import wasserstein
from gan_jax.theory import divergences, fitting, lipschitz, theory_table

flags.adopt_module_key_flags(experiment)

_gaussian = mixtures.gaussian
_lines = mixtures.once(mixtures.pairs_on_a_line)
_planes = mixtures.once(
    lambda: {
        "plane, shifted": (_gaussian([0.0, 0.0]), _gaussian([1.0, 1.0])),
        "plane, scaled": (_gaussian([0.0, 0.0], 0.5), _gaussian([0.0, 0.0], 2.0)),
        "plane, ring": (mixtures.ring(), _gaussian([0.0, 0.0], 0.5)),
    }
)


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Trains critics under each constraint, beside the exact distance."""
    titles = (
        "no constraint: gap",
        "slope at most K: gap",
        "trained: gap against W1",
    )
    figure, axes = plots.subplots(titles)
    keys = jax.random.split(jax.random.key(seed), 3)
    found = _unconstrained(axes[0], keys[0])
    found += _bounded(axes[1], keys[1])
    return found + _trained(axes[2], keys[2], quick), figure


def _linear_critic(
    key: jax.Array, distance: jax.Array, clip: jax.Array | None, rate: float
) -> jax.Array:
    """Gap of a linear critic between 0 and ``distance`` after each of 200 steps."""
    gan = fitting.against(
        lambda z: jnp.full_like(z, distance),
        networks.MLPDiscriminator(()),
        "wasserstein",
        optax.sgd(rate),
        latent_size=1,
        clip=clip,
    )
    state = training.init_state(gan, key, (1,))
    _, log = fitting.train(
        gan, state, lambda _, n: jnp.zeros((n, 1)), num_steps=200, batch_size=1
    )
    return log["real_logit"] - log["fake_logit"]


def _unconstrained(axes: Any, key: jax.Array) -> list[theory_table.Row]:
    distances, rate = np.array([0.5, 1.0, 2.0], np.float32), 0.1
    run = partial(_linear_critic, key, clip=None, rate=rate)
    gaps = jax.device_get(jax.jit(jax.vmap(run))(distances))
    gaps = gaps - gaps[:, :1]  # of the random weight that it starts with
    steps = np.arange(gaps.shape[1])
    closed = lipschitz.ascent_gap(distances[:, None], rate, steps)
    for distance, gap, line in zip(distances, gaps, closed, strict=True):
        axes.plot(steps, gap, label=f"distance {distance:g}")
        axes.plot(steps, line, **plots.THEORY)
    axes.set(xlabel="steps")
    return [
        theory_table.close(
            f"no constraint, distance {distance:g}: gap after {len(steps) - 1} steps",
            line[-1],
            gap[-1],
            1e-3,
        )
        for distance, gap, line in zip(distances, gaps, closed, strict=True)
    ]


def _bounded(axes: Any, key: jax.Array) -> list[theory_table.Row]:
    """By gradient steps with clipping, and over all functions by a linear program."""
    distances = np.linspace(0.25, 2, 8, dtype=np.float32)
    bounds = np.array([0.5, 1.0, 2.0], np.float32)
    keys = jax.random.split(key)
    run = partial(_linear_critic, keys[0], rate=1.0)
    each = jax.vmap(jax.vmap(run, in_axes=(0, None)), in_axes=(None, 0))
    gaps = jax.device_get(jax.jit(each)(distances, bounds))[..., -1]
    for bound, gap in zip(bounds, gaps, strict=True):
        axes.plot(distances, gap, "o", label=f"clipped to {bound:g}")
        axes.plot(distances, bound * distances, **plots.THEORY)
    axes.set(xlabel="distance = W1")
    error = np.abs(gaps / np.outer(bounds, distances) - 1).max()
    what = "slope at most K, a weight clipped: gap / (K distance) - 1, largest"
    found = [theory_table.equal(what, 0, error, 1e-5)]

    # Real data at the first point, fakes at the last, and nothing in between.
    places, gain = np.linspace(0, 2, 41), np.zeros(41)
    gain[0], gain[-1] = 1, -1
    x, y = map(np.asarray, _samples(keys[1], *_planes()["plane, ring"], count=40))
    for bound in (1.0, 3.0):
        critic = wasserstein.best_critic(places[:, None], gain, bound)
        error = np.abs(np.diff(critic) / np.diff(places) + bound).max()
        what = f"slope at most {bound:g}, best of all functions: slope + K, largest"
        found.append(theory_table.equal(what, 0, error, 1e-6))
        exact = bound * wasserstein.wasserstein(x, y)
        gap = wasserstein.largest_gap(x, y, bound)
        what = f"slope at most {bound:g}, two clouds in the plane: largest gap"
        found.append(theory_table.close(what, exact, gap, 1e-6))
    return found


@partial(jax.jit, static_argnames="count")
def _samples(key: jax.Array, data: Any, model: Any, *, count: int) -> Any:
    keys = jax.random.split(key)
    return data.sample(keys[0], count), model.sample(keys[1], count)


@jax.jit
def _on_a_line(data: Any, model: Any) -> jax.Array:
    grid = jnp.linspace(-15, 15, 6001)
    sides = (side.log_density(grid[:, None]) for side in (data, model))
    return divergences.wasserstein(*sides, grid)


def _exact(name: str, key: jax.Array, quick: bool) -> float:
    """W1, as each pair lets it be had."""
    data, model = (_lines() | _planes())[name]
    if name in _lines():
        return float(_on_a_line(data, model))
    if name == "plane, shifted":
        return float(np.linalg.norm(data.means - model.means))
    if name == "plane, scaled":
        scales = data.scales[0], model.scales[0]
        return float(divergences.planar_wasserstein(*scales))
    keys = jax.random.split(key, 1 if quick else 4)
    draws = (_samples(key, data, model, count=1000) for key in keys)
    return float(np.mean([wasserstein.wasserstein(*both) for both in draws]))


def _trained(axes: Any, key: jax.Array, quick: bool) -> list[theory_table.Row]:
    """By a penalty of weight 100: what it adds to W1 is a hundredth or so."""
    weight = 100.0
    keys = jax.random.split(key, 3)

    def gap(data: Any, model: Any) -> jax.Array:
        return penalty_price.critic(keys, weight, data, model, quick)[1]

    found = []
    for pairs, components, marker in ((_lines(), 2, "o"), (_planes(), 8, "^")):
        data, models = fitting.stack_pairs(pairs.values(), components)
        gaps = jax.device_get(jax.jit(jax.vmap(gap))(data, models))
        for name, measured in zip(pairs, gaps, strict=True):
            exact = _exact(name, keys[2], quick)
            axes.plot(exact, measured, marker, label=name)
            what = f"{name}, gradient penalty: gap, W1"
            found.append(
                theory_table.close(what, exact, measured, 0.06 if quick else 0.03)
            )
    axes.axline((1, 1), slope=1, **plots.THEORY)
    axes.set(xlabel="exact W1", ylabel="the critic's gap")
    return found


main = partial(experiment.main, "lipschitz", measure)

if __name__ == "__main__":
    cli.run(main)
