"""Which losses find all modes: Gaussians on a ring and on a grid, many seeds at once.

    python -m experiments.theory.mode_collapse

Trains every loss with the same networks and generator steps on eight Gaussians on a
ring and on 25 on a grid, all seeds of a loss in one program; last, the relativistic
loss with what the grid needs. Prints modes covered, the share of high-quality samples
and the exact Wasserstein distance, beside those of a generator that is taught a map
onto the grid by regression, and draws the densities of the first seed over training
(docs/mode_collapse.md).
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.scipy.stats import norm

from experiments.common import cli, experiment, tables
from gan_jax import networks, plots, recipes, training
from gan_jax.data import mixtures
from gan_jax.errors import UserError
from gan_jax.evaluation.modes import measure_each
from gan_jax.losses import LOSSES
from gan_jax.theory import fitting, theory_table

flags.adopt_module_key_flags(experiment)

_LOSSES = flags.DEFINE_list("losses", list(LOSSES), "Which losses, by name.")
_SEEDS = flags.DEFINE_integer("seeds", 10, "How many GANs of each loss, at once.")
_STEPS = flags.DEFINE_integer("steps", 5000, "Generator steps, a multiple of ten.")

_data = mixtures.once(
    lambda: {"ring": mixtures.ring(), "grid": mixtures.grid(spacing=1.0)}
)
_BATCH, _LATENT, _FEW, _HIDDEN = 64, 256, 2, (128, 128)
_CURE = "relativistic, 2 latents, 4 x the steps"
_RATE = 3e-3  # of Adam, at the start; it goes down to 0 along a cosine
_RECIPES: dict[str, dict[str, Any]] = {
    "wasserstein_gp": {"penalty_weight": 0.3, "critic_steps": 2},
    "wasserstein": {"generator_lr": 5e-4, "discriminator_lr": 5e-4},  # RMSProp
    _CURE: {"latent_size": _FEW, "critic_steps": 5, "penalty_weight": 0.01},
}
_LONGER = {_CURE: 4}  # times the steps of the others
_ON = {_CURE: ("grid",)}  # the others are trained on both
_PARTS = 10  # of training, which is looked at after some of them
_SHOWN = (1, 2, 5, 10)
_SAMPLES = 2500  # as in PacGAN
_EXTENT = 3.0
# Modes in PacGAN (Lin et al. 2018), table 1: other networks and more steps.
_PUBLISHED = (
    ("GAN, published", "6.3", "", "", "17.3", "", ""),
    ("PacGAN2, published", "7.9", "", "", "", "", ""),
    ("PacGAN4, published", "", "", "", "24.8", "", ""),
)
# What a GAN reaches that finds the shape of the data, and none of its modes.
_modeless = mixtures.once(
    lambda: {
        "ring": mixtures.ring(modes=1000),
        "grid": mixtures.grid(side=81, spacing=0.05),
    }
)
_PLAIN = "nonsaturating, as published"  # the recipe's own Adam, constant at 1e-3
_HEADER = (
    "loss",
    *(f"{d}: {what}" for d in ("ring", "grid") for what in ("modes", "good", "W1")),
)


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Trains every loss on both data sets, and measures every seed."""
    for flag in (_SEEDS, _STEPS):
        cli.require_positive(flag)
    if _STEPS.value % _PARTS:
        raise UserError(f"--steps={_STEPS.value} must be a multiple of {_PARTS}")
    cli.require_losses(_LOSSES)
    seeds = cli.unless_quick(_SEEDS, 3, quick)
    steps = cli.unless_quick(_STEPS, 1500, quick)
    few = ["nonsaturating", "wasserstein_gp"]
    losses = list(dict.fromkeys(cli.unless_quick(_LOSSES, few, quick)))
    if "nonsaturating" in losses and not quick:
        losses.insert(losses.index("nonsaturating"), _PLAIN)
    if "relativistic" in losses and not quick:
        losses.append(_CURE)
    longer = {loss: steps * _LONGER.get(loss, 1) for loss in losses}
    made = {loss: _gan(loss, taken) for loss, taken in longer.items()}
    when = (*(steps * part // _PARTS for part in _SHOWN), "data")
    columns = [f"{name}, {step}" for name in _data() for step in when]
    figure, grid = plots.mosaic([name.replace(", ", "\n") for name in losses], columns)
    keys = jax.random.split(jax.random.key(seed), seeds + 1)
    real = {name: _draw(keys[0], mixture) for name, mixture in _data().items()}
    found = {}
    for loss, panels in zip(losses, grid, strict=True):
        sets = _ON.get(loss, tuple(_data()))
        drawn = _train(made[loss], keys[1:], longer[loss] // _PARTS, sets)
        found[loss] = _on_each({name: drawn[name][-1] for name in sets}, real)
        for name, part in zip(_data(), np.split(panels, len(_data())), strict=True):
            if name not in sets:
                for axes in part:
                    axes.spines[:].set_visible(False)
                continue
            shown = [*(samples[0] for samples in drawn[name]), real[name][0]]
            for axes, samples in zip(part, shown, strict=True):
                plots.draw_density(axes, samples, _EXTENT)
    modeless = {name: _draw(keys[0], _modeless()[name])[1:] for name in _data()}
    bounds = {
        "other samples of the data": _on_each({n: real[n][1:] for n in _data()}, real),
        "a circle, a square": _on_each(modeless, real),
    }
    rows = [[name, *_cells(of)] for name, of in (found | bounds).items()]
    taught = {size: _taught(size, keys[1:], steps) for size in (_LATENT, _FEW)}
    for size, values in taught.items():
        name = f"a map onto the grid, by regression: {size} latents"
        rows.append([name, *_cells({"grid": values})])
    table = tables.as_text(_HEADER, [*rows, *_PUBLISHED])
    lists = jax.tree.map(np.ndarray.tolist, {"runs": found | bounds, "taught": taught})
    details = {"steps": steps, "seeds": seeds, **lists}
    rows = _rows(found, bounds["a circle, a square"], quick)
    if not quick:
        what = "grid, regression: high-quality share, 2 latents / 256"
        shares = [taught[size]["high_quality"].mean() for size in (_FEW, _LATENT)]
        rows.append(theory_table.at_least(what, 2, np.divide(*shares)))
    return experiment.Findings(rows, figure, [table], details)


def _gan(loss: str, steps: int) -> training.GAN:
    """The published recipe, but for what this data needs."""
    name = loss.partition(",")[0]
    numbers = {"batch_size": _BATCH, "latent_size": _LATENT} | _RECIPES.get(loss, {})
    recipe = recipes.recipe(name, **numbers)
    gan = recipes.make_gan(
        recipe,
        generator=networks.MLPGenerator(2, _HIDDEN),
        discriminator=networks.MLPDiscriminator(_HIDDEN),
    )
    if recipe.optimiser != "adam" or loss == _PLAIN:
        return gan
    critic_steps = steps * recipe.critic_steps
    return dataclasses.replace(
        gan,
        generator_optimiser=fitting.decaying_adam(_RATE, steps),
        discriminator_optimiser=fitting.decaying_adam(_RATE, critic_steps),
    )


def _train(
    gan: training.GAN, keys: jax.Array, steps: int, sets: Sequence[str]
) -> dict[str, list[np.ndarray]]:
    """A GAN for each key, on each of some data sets, ``_PARTS`` times some steps.

    Returns:
      Data set -> samples of all seeds, ``[seeds, samples, 2]``, after `_SHOWN` parts.
    """

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def part(state: training.GANState, data: mixtures.Mixture) -> training.GANState:
        run = partial(fitting.train, gan, num_steps=steps, batch_size=_BATCH)
        return run(state, data.sample)[0]

    @jax.jit
    @jax.vmap
    def generate(state: training.GANState) -> jax.Array:
        key = jax.random.fold_in(state.key, 2**32 - 2)  # a branch of its own
        z = jax.random.normal(key, (_SAMPLES, gan.latent_size))
        return training.generate(gan, state, z)

    initialise = partial(training.init_state, gan, example_shape=(2,))
    start = jax.jit(jax.vmap(initialise))(keys)
    drawn = {}
    for name in sets:
        mixture = _data()[name]
        states, drawn[name] = start, []
        for done in range(1, _PARTS + 1):
            # As many components in both: one program.
            states = part(states, mixtures.repeat(mixture, 200))
            if done in _SHOWN:
                drawn[name].append(jax.device_get(generate(states)))
    return drawn


def _taught(latents: int, keys: jax.Array, steps: int) -> dict[str, np.ndarray]:
    """What the generator's network reaches on the grid without a game.

    It is taught, by L1, a map that cuts the plane of the first two latents into 25
    cells of equal probability, each of which goes to a mode. As `measure_each`.
    """
    network, mixture = networks.MLPGenerator(2, _HIDDEN), _data()["grid"]

    def draw_latents(key: jax.Array, count: int) -> jax.Array:
        return jax.random.normal(key, (count, latents))

    def error(params: Any, key: jax.Array) -> jax.Array:
        z = draw_latents(key, _BATCH)
        cells = jnp.clip(jnp.floor(5 * norm.cdf(z[:, :2])), 0, 4)
        return jnp.abs(network.apply(params, z) - (cells - 2)).mean()

    @jax.jit
    @jax.vmap
    def learn(key: jax.Array) -> jax.Array:
        initial, training_key, last = jax.random.split(key, 3)
        params, _ = fitting.minimise(
            error,
            network.init(initial, draw_latents(initial, 1)),
            fitting.decaying_adam(_RATE, steps),
            num_steps=steps,
            key=training_key,
        )
        return network.apply(params, draw_latents(last, _SAMPLES))

    return measure_each(
        jax.device_get(learn(keys)), mixture, _draw(keys[0], mixture)[0]
    )


def _draw(key: jax.Array, mixture: mixtures.Mixture) -> np.ndarray:
    """Two independent sets of samples of the data."""
    sample = partial(mixture.sample, count=_SAMPLES)
    return jax.device_get(jax.vmap(sample)(jax.random.split(key)))


def _on_each(
    samples: dict[str, np.ndarray], real: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Data set -> each value of ``[seeds, samples, 2]``, as ``[seeds]``."""
    return {n: measure_each(of, _data()[n], real[n][0]) for n, of in samples.items()}


def _cells(found: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Of a row; none of a data set that it is not of."""
    return [
        cell
        for name in _data()
        for cell in (tables.of_points(found[name]) if name in found else [""] * 3)
    ]


def _rows(found: Any, modeless: Any, quick: bool) -> list[theory_table.Row]:
    """Of the losses that were trained, means over seeds."""

    def mean(name: str, loss: str, value: str) -> float:
        return found[loss][name][value].mean()

    def finite(loss: str) -> float:
        return np.mean([np.isfinite(of["wasserstein"]) for of in found[loss].values()])

    best = "wasserstein_gp"
    result = [
        theory_table.equal(
            f"{loss}: share of GANs that stay finite", 1, finite(loss), 0
        )
        for loss in found
    ]
    if best in found and quick:
        row = theory_table.at_least(
            f"ring, {best}: modes", 7, mean("ring", best, "modes")
        )
        result.append(row)
    elif best in found:
        what = f"ring, {best}: modes"
        result.append(theory_table.equal(what, 8, mean("ring", best, "modes"), 0))
        share = mean("ring", best, "high_quality")
        most = 2 * modeless["ring"]["high_quality"].mean()
        what = f"ring, {best}: high-quality share, twice a circle's"
        result.append(theory_table.at_least(what, most, share))
        for name, shape in (("ring", "circle"), ("grid", "square")):
            most = modeless[name]["wasserstein"].mean()
            what = f"{name}, {best}: W1, a {shape}'s"
            result.append(
                theory_table.at_most(what, most, mean(name, best, "wasserstein"))
            )
    if _CURE in found:
        least = found[_CURE]["grid"]["modes"].min()
        what = "grid, every seed of the last: modes"
        result.append(theory_table.equal(what, 25, least, 0))
        what = "grid, the last: high-quality share"
        share = mean("grid", _CURE, "high_quality")
        result.append(theory_table.at_least(what, 0.9, share))
    for loss in ("minimax", _PLAIN, "nonsaturating"):
        if loss not in found:
            continue
        what = f"ring, {loss}: modes; it collapses"
        result.append(theory_table.at_most(what, 5, mean("ring", loss, "modes")))
        if best in found:
            what = f"ring, {loss}: W1 / {best}'s"
            values = (mean("ring", name, "wasserstein") for name in (loss, best))
            result.append(theory_table.at_least(what, 1.5, np.divide(*values)))
    return result


main = partial(experiment.main, "mode_collapse", measure)

if __name__ == "__main__":
    cli.run(main)
