"""Consensus optimisation on a ring of Gaussians, beside gradient steps.

    python -m experiments.theory.consensus_ring

Eight GANs of each method begin with the same networks and see the same batches, all
seeds in one program: simultaneous and alternating gradient steps, consensus and the
symplectic direction. Prints modes covered, the share of high-quality samples, the exact
Wasserstein distance and the time a step, and draws the densities of the first seed
(docs/consensus_ring.md). The closed forms are in `experiments.theory.consensus`.
"""

import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments.common import cli, experiment, tables
from gan_jax import networks, plots
from gan_jax.data import mixtures
from gan_jax.evaluation.modes import measure_each
from gan_jax.losses import LOSSES
from gan_jax.theory import theory_table
from gan_jax.theory.dynamics import games

flags.adopt_module_key_flags(experiment)

# The ring, networks, optimiser, batch and gamma of the authors' notebook.
_data = mixtures.once(lambda: mixtures.ring(radius=1.0, scale=0.01))
_LATENT = 16
_LOSS = LOSSES["nonsaturating"]
_circle = mixtures.once(lambda: mixtures.ring(1000, radius=1.0, scale=0.01))
_METHODS = {  # kind, learning rate, and gamma or lambda
    "simultaneous": ("simultaneous", 3e-3, 0.0),
    "alternating": ("alternating", 1e-3, 0.0),
    "consensus": ("consensus", 1e-3, 10.0),
    "symplectic": ("symplectic", 1e-3, 1.0),
}
# One program: gradient steps are consensus of weight 0.
_QUICK_METHODS = {
    "simultaneous": ("consensus", 3e-3, 0.0),
    "consensus": ("consensus", 3e-3, 1.0),
}
_GRADIENTS = ("simultaneous", "alternating")
_SAMPLES = 2500  # as in experiments.theory.mode_collapse
Values = dict[str, np.ndarray]  # of `measure_each`
Runs = dict[str, dict[int, Values]]  # method -> after these steps


class Length(NamedTuple):
    """How many GANs are trained, how large, and how long."""

    seeds: int = 8
    layers: int = 4  # hidden, of both networks
    batch: int = 512
    steps: int = 500  # of a part
    parts: int = 10
    longer: int = 28  # parts of the gradient steps, in all: they are cheaper


_QUICK = Length(seeds=3, layers=2, batch=64, parts=6, longer=6)


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Trains every method, and measures all its seeds after each part."""
    methods, length = (_QUICK_METHODS, _QUICK) if quick else (_METHODS, Length())
    keys = jax.random.split(jax.random.key(seed), 3)
    data = mixtures.repeat(_data(), 1000)  # as many components: one program
    real, *others = np.asarray(_draw(keys[0], data, length.seeds + 1))
    circles = np.asarray(_draw(keys[1], _circle(), length.seeds + 1))[1:]
    after, drawn, ratios = _train(keys[2], methods, length, real)
    beside = {  # those of perfect samples, and a circle that knows no modes
        "other samples": measure_each(others, _data(), real),
        "a circle": measure_each(circles, _data(), real),
    }
    figure = _draw_all(after, drawn | {"samples of the data": real}, beside)
    equal = length.parts * length.steps
    runs = {  # compared after as many steps as the others, and in the end
        name: {steps: of[steps] for steps in sorted({equal, max(of)})}
        for name, of in after.items()
    }
    details = jax.tree.map(np.ndarray.tolist, {"runs": runs, "beside": beside})
    details |= {"length": length._asdict(), "time_a_step_over_simultaneous": ratios}
    details["wasserstein_after_parts"] = {  # what the figure shows
        name: {steps: values["wasserstein"].tolist() for steps, values in of.items()}
        for name, of in after.items()
    }
    table, found = _table(runs, beside, ratios), _rows(runs, beside, quick)
    return experiment.Findings(found, figure, [table], details)


def _networks(length: Length) -> tuple[Any, Any]:
    """Generator and discriminator."""
    hidden = (16,) * length.layers
    discriminator = networks.MLPDiscriminator(hidden, activation=jax.nn.relu)
    return networks.MLPGenerator(2, hidden), discriminator


@partial(jax.jit, static_argnames="length")
def _initialise(keys: jax.Array, *, length: Length) -> tuple[games.Players, Any]:
    """Networks, and the states of their optimisers, ``[seeds, ...]``."""
    inputs = jnp.zeros((1, _LATENT)), jnp.zeros((1, 2))

    def init(key: jax.Array) -> tuple[games.Players, Any]:
        triples = zip(_networks(length), jax.random.split(key), inputs, strict=True)
        players = tuple(network.init(key, x) for network, key, x in triples)
        return players, tuple(optax.rmsprop(1.0).init(player) for player in players)

    return jax.vmap(init)(keys)


@partial(jax.jit, static_argnames=("kind", "length"))
def _part(
    kind: str, rate: Any, weight: Any, gans: Any, keys: jax.Array, *, length: Length
) -> Any:
    """A part of the training of all seeds: players and states, ``[seeds, ...]``."""
    optimiser = optax.rmsprop(rate, eps=1e-10)
    directions: dict[str, games.Direction] = {
        "simultaneous": lambda field, players: field(players),
        "consensus": partial(games.consensus, weight=weight),
        "symplectic": partial(games.symplectic, weight=weight),
    }
    if kind == "alternating":
        step = partial(games.alternating, optimiser)
    else:
        step = partial(games.simultaneous, optimiser, directions[kind])

    def draw(key: jax.Array) -> games.Field:
        real_key, latent_key = jax.random.split(key)
        real = _data().sample(real_key, length.batch)
        z = jax.random.normal(latent_key, (length.batch, _LATENT))
        return games.gan_field(_LOSS, *_networks(length), real, z)

    def train(gan: Any, key: jax.Array) -> Any:
        return games.play(step, draw, *gan, jax.random.split(key, length.steps))

    return jax.vmap(train)(gans, keys)


def _train(
    key: jax.Array, methods: dict[str, Any], length: Length, real: np.ndarray
) -> tuple[Runs, dict[str, np.ndarray], dict[str, float]]:
    """Every method, a part at a time, alternating.

    Returns:
      Method -> values after each part; samples of the first seed after `Length.parts`;
      and the time of a part over that of simultaneous steps, median of the parts.
    """
    keys = jax.random.split(key, length.seeds)
    gans = dict.fromkeys(methods, _initialise(keys, length=length))
    after: Runs = {name: {} for name in methods}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    drawn = {}
    for part in range(length.longer):
        some = jax.vmap(partial(jax.random.fold_in, data=part))(keys)
        for name, method in methods.items():
            if part >= length.parts and name not in _GRADIENTS:
                continue
            began = time.perf_counter()
            gans[name] = _part(*method, gans[name], some, length=length)
            jax.block_until_ready(gans[name])
            seconds[name].append(time.perf_counter() - began)
            samples = np.asarray(_generate(gans[name][0][0], keys, length=length))
            done = (part + 1) * length.steps
            after[name][done] = measure_each(samples, _data(), real)
            if part == length.parts - 1:
                drawn[name] = samples[0]
    # The first part is compiled.
    of = {name: np.array(s[1 : length.parts]) for name, s in seconds.items()}
    ratios = {name: float(np.median(s / of["simultaneous"])) for name, s in of.items()}
    return after, drawn, ratios


@partial(jax.jit, static_argnames="length")
def _generate(generators: Any, keys: jax.Array, *, length: Length) -> jax.Array:
    """Samples of every generator, ``[seeds, _SAMPLES, 2]``."""

    def generate(generator: Any, key: jax.Array) -> jax.Array:
        z = jax.random.normal(key, (_SAMPLES, _LATENT))
        return _networks(length)[0].apply(generator, z)

    return jax.vmap(generate)(generators, keys)


@partial(jax.jit, static_argnames="sets")
def _draw(key: jax.Array, mixture: mixtures.Mixture, sets: int) -> jax.Array:
    """Independent sets of samples, ``[sets, _SAMPLES, 2]``."""
    sample = partial(mixture.sample, count=_SAMPLES)
    return jax.vmap(sample)(jax.random.split(key, sets))


def _draw_all(after: Runs, drawn: Values, beside: dict[str, Values]) -> Any:
    """W1 over training, and the densities of the first seed."""
    figure, axes = plots.subplots(("W1, mean and extremes", *drawn), columns=3)
    for name, values in after.items():
        found = np.stack([of["wasserstein"] for of in values.values()])
        axes[0].plot(list(values), found.mean(1), label=name)
        axes[0].fill_between(list(values), found.min(1), found.max(1), alpha=0.15)
    for name, style in zip(beside, ("--", ":"), strict=True):
        line = plots.THEORY | {"ls": style}
        axes[0].axhline(beside[name]["wasserstein"].mean(), **line, label=name)
    axes[0].set(xlabel="steps", ylim=(0, 1.6))
    for panel, samples in zip(axes[1:], drawn.values(), strict=True):
        plots.draw_density(panel, samples, 1.5)
        panel.grid(visible=False)
    return figure


def _table(runs: Runs, beside: dict[str, Values], ratios: dict[str, float]) -> str:
    header = ("ring", "steps", "modes", "good", "W1", "time / simultaneous")
    rows = [
        [name, f"{steps}", *tables.of_points(values), f"{ratios[name]:.1f}"]
        for name, ends in runs.items()
        for steps, values in ends.items()
    ]
    rows += [[name, "", *tables.of_points(of), ""] for name, of in beside.items()]
    return tables.as_text(header, rows)


def _rows(runs: Runs, beside: dict[str, Values], quick: bool) -> list[theory_table.Row]:
    """Means over seeds, after as many steps of every method and after more."""
    modes, most, least, worse = (7, 3, 1.2, 1.3) if quick else (7.5, 2, 4, 3)
    last = {name: ends[max(ends)] for name, ends in runs.items()}
    finite = np.mean([np.isfinite(values["wasserstein"]) for values in last.values()])
    best = {name: values.mean() for name, values in last["consensus"].items()}
    floor = beside["other samples"]["wasserstein"].mean()
    circle = beside["a circle"]["high_quality"].mean()
    what = f"consensus: W1, {most} times that of"
    share = f"consensus: high-quality share, {least} times a"
    found = [
        theory_table.equal("share of GANs that stay finite", 1, finite, 0),
        theory_table.at_least("consensus: modes", modes, best["modes"]),
        theory_table.at_most(
            f"{what} other samples", most * floor, best["wasserstein"]
        ),
        theory_table.at_least(
            f"{share} circle's", least * circle, best["high_quality"]
        ),
    ]
    for name in (name for name in _GRADIENTS if name in runs):
        for steps, values in runs[name].items():
            # A GAN that ran away fails the row above, and wins none for consensus.
            ratio = _finite_mean(values["wasserstein"]) / best["wasserstein"]
            what = f"{name}, {steps} steps: W1 / consensus's"
            found.append(theory_table.at_least(what, worse, ratio))
    return found


def _finite_mean(values: np.ndarray) -> float:
    """Mean of those that are finite; NaN, with which rows fail, where none is."""
    finite = values[np.isfinite(values)]
    return finite.mean() if len(finite) else np.nan


main = partial(experiment.main, "consensus_ring", measure)

if __name__ == "__main__":
    cli.run(main)
