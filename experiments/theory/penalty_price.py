"""What a gradient penalty makes of the Wasserstein distance, and of the critic.

    python -m experiments.theory.penalty_price

The penalty is a price on the critic's slope, not a bound: critics say more than W1, by
how much has a closed form, on a line and in the plane. And the two-sided penalty traps
critics that start with the wrong slope; the one-sided does not (docs/penalty_price.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax import linen as nn

from experiments.common import cli, experiment
from gan_jax import networks, plots
from gan_jax.data import mixtures
from gan_jax.penalties import PENALTIES
from gan_jax.theory import divergences, fitting, lipschitz, theory_table

flags.adopt_module_key_flags(experiment)

_gaussian = mixtures.gaussian
_lines = mixtures.once(mixtures.pairs_on_a_line)
_planes = mixtures.once(
    lambda: {"plane, scaled": (_gaussian([0.0] * 2, 0.5), _gaussian([0.0] * 2, 2.0))}
)
_WEIGHTS = np.array([1, 10, 100], np.float32)
_GRID = np.linspace(-6, 6, 241, dtype=np.float32)
_TRAP = ("gradient_penalty", "one_sided")


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Trains critics for each price, and for each kind of penalty."""
    titles = ("gradient penalty: gap / W1", "leaky ReLU critics of N(0, 1/4), N(0, 4)")
    figure, axes = plots.subplots(titles)
    keys = jax.random.split(jax.random.key(seed))
    found = _prices(axes[0], keys[0], quick)
    return found + _trapped(axes[1], keys[1], quick), figure


@partial(jax.jit, static_argnames="radial")
def _closed(
    data: Any, model: Any, weights: np.ndarray, radial: bool
) -> tuple[jax.Array, jax.Array]:
    """W1, and the gap under each penalty weight: on a line, or by the radius."""
    grid = jnp.linspace(1e-3 if radial else -15, 15, 6001)

    def log_density(m: Any) -> jax.Array:
        return m.radial_log_density(grid) if radial else m.log_density(grid[:, None])

    sides = log_density(data), log_density(model)
    density = mixtures.penalised_density(data, model, log_density)
    gap = partial(lipschitz.penalised_gap, *sides, density, grid)
    return divergences.wasserstein(*sides, grid), jax.vmap(gap)(weights)


def critic(
    keys: jax.Array,
    weight: float | jax.Array,
    data: Any,
    model: Any,
    quick: bool,
    penalty: Any = PENALTIES["one_sided"],
    activation: Any = nn.tanh,
) -> tuple[Any, jax.Array]:
    """A critic trained to its optimum: its logits as a function, and its gap.

    The first of the keys is of its training, the second of the samples of the gap.
    """
    steps, hidden = (400, (32, 32)) if quick else (1500, (64, 64))
    logit, _ = fitting.tell_apart(
        keys[0],
        data,
        model,
        "wasserstein_gp",
        num_steps=steps,
        batch_size=128,
        discriminator=networks.MLPDiscriminator(hidden, activation=activation),
        penalty=penalty,
        penalty_weight=weight,
    )
    return logit, fitting.gap(logit, keys[1], data, model)


def _prices(axes: Any, key: jax.Array, quick: bool) -> list[theory_table.Row]:
    share = 0.06 if quick else 0.03
    fine = np.geomspace(1, 100, 31, dtype=np.float32)  # each 15th is one of the weights
    found = []
    for pairs in (_lines(), _planes()):

        def gap(weight: jax.Array, data: Any, model: Any) -> jax.Array:
            return critic(jax.random.split(key), weight, data, model, quick)[1]

        data, models = fitting.stack_pairs(pairs.values(), 2)
        sweep = jax.vmap(jax.vmap(gap, (0, None, None)), (None, 0, 0))
        trained = jax.device_get(jax.jit(sweep)(_WEIGHTS, data, models))
        for (name, pair), gaps in zip(pairs.items(), trained, strict=True):
            w1, closed = jax.device_get(_closed(*pair, fine, pairs is _planes()))
            axes.semilogx(_WEIGHTS, gaps / w1, "o", label=name)
            axes.semilogx(fine, closed / w1, **plots.THEORY)
            for weight, *both in zip(_WEIGHTS, closed[::15], gaps, strict=True):
                what = f"{name}, penalty weight {weight:g}: gap"
                found.append(theory_table.close(what, *both, share))
    axes.set(xlabel="penalty weight", ylabel="gap / W1")
    return found


def _trapped(axes: Any, key: jax.Array, quick: bool) -> list[theory_table.Row]:
    """To bend where the real data are, a critic's slope has to pass through 0."""
    weight = 10.0
    w1 = jax.device_get(
        _closed(*_lines()["line, scaled"], np.array([weight]), radial=False)
    )[0]
    keys = jax.random.split(key, 8 if quick else 16)

    def run(index: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def penalty(*batch: Any) -> jax.Array:
            both = jnp.stack([PENALTIES[name](*batch) for name in _TRAP])
            return both[index]

        logit, gap = critic(
            jax.random.split(key),
            weight,
            *_lines()["line, scaled"],
            quick,
            penalty=penalty,
            activation=nn.leaky_relu,
        )
        return logit(_GRID[:, None]), gap

    sweep = jax.vmap(jax.vmap(run, (None, 0)), (0, None))
    curves, gaps = jax.device_get(jax.jit(sweep)(np.arange(2), keys))
    for name, group, colour in zip(_TRAP, curves, ("C1", "C0"), strict=True):
        for i, curve in enumerate(group[:8]):
            label = None if i else name
            axes.plot(_GRID, curve - curve[len(_GRID) // 2], colour, lw=1, label=label)
    axes.set(xlabel="x")
    learnt = np.mean(gaps > w1 / 2, axis=1)
    what = "line, scaled, {}: share of critics with gap > W1 / 2"
    # Nothing pulls the corners of leaky ReLUs to where slopes should change.
    uniform = "line, scaled, one_sided, leaky ReLUs: mean gap, the best of one slope"
    closed = lipschitz.uniform_gap(w1, weight)
    return [
        theory_table.at_most(what.format(_TRAP[0]), 0.9, learnt[0]),
        theory_table.equal(what.format(_TRAP[1]), 1, learnt[1], 0),
        theory_table.close(uniform, closed, gaps[1].mean(), 0.03 if quick else 0.015),
    ]


main = partial(experiment.main, "penalty_price", measure)

if __name__ == "__main__":
    cli.run(main)
