"""The race between losses: quality against steps and against seconds, over seeds.

    python -m experiments.theory.compare
    python -m experiments.theory.compare --losses=hinge,wasserstein_gp --seeds=5

Trains every loss for one epoch, all of its seeds in one program, and measures each
GAN's FCD to the test split on the way. Draws mean and band, and the samples of the
first seed beside one another, and prints a table with the best first (docs/compare.md).
"""

import statistics
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, data_flags, experiment, results, tables
from gan_jax import plots, recipes, training
from gan_jax.devices import many, placement
from gan_jax.evaluation import frechet, references
from gan_jax.evaluation.features import DISTANCES
from gan_jax.run import sampling
from gan_jax.theory import theory_table

flags.adopt_module_key_flags(experiment)
flags.adopt_module_key_flags(data_flags)

_LOSSES = flags.DEFINE_list(
    "losses", ["nonsaturating", "wasserstein", "wasserstein_gp"], "Losses, by name."
)
_SEEDS = flags.DEFINE_integer(
    "seeds", 3, "How many GANs of each loss: --seed and the next ones."
)
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the data.")
_RECIPE = flags.DEFINE_string(
    "recipe", "published", "Table of the recipes: published or tuned."
)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 5000, "Samples for each FCD.")

_SHARES = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)  # of training: measured
_SHOWN = 96  # samples of each loss in the figure


class Race(NamedTuple):
    """How the GANs of a loss went.

    Attributes:
      steps: generator steps at which they were measured, ``[points]``.
      seconds: of training until then, a GAN's share of those of the program that
        trains all seeds, without compilation, ``[points]``.
      distance: Frechet distance to the test split, ``[points, seeds]``.
      images: of the first seed at the end, as of `sampling.draw`.
      title: what the distance is called in these features.
    """

    steps: np.ndarray
    seconds: np.ndarray
    distance: np.ndarray
    images: np.ndarray
    title: str


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Trains and measures every loss; the best comes first in the table."""
    for flag in (_SEEDS, _EPOCHS):
        cli.require_positive(flag)
    cli.require_losses(_LOSSES)
    data_flags.check()
    cli.require_in(_NUM_SAMPLES, 2, references.MOST)
    count = cli.unless_quick(_SEEDS, 2, quick)
    cli.require_seed(experiment.SEED, count)
    names = tuple(dict.fromkeys(_LOSSES.value))
    wanted = {name: recipes.recipe(name, _RECIPE.value) for name in names}
    for recipe in wanted.values():
        recipes.make_gan(recipe)  # refuses code of one's own that cannot be run
    dataset = cli.unless_quick(data_flags.DATASET, "garments", quick)
    reference = references.load_reference(dataset, quick=quick, **data_flags.where())
    warned = results.warn(reference.training_split.warning)
    seeds = range(seed, seed + count)
    epochs = cli.unless_quick(_EPOCHS, None, quick)
    races = {
        name: _race(recipe, reference, seeds, epochs) for name, recipe in wanted.items()
    }
    ranks = sorted(races, key=lambda name: races[name].distance[-1].mean())
    title = races[ranks[0]].title
    header = ("loss", title, "untrained", "generator steps", "seconds", "seeds")
    rows = [_row(name, races[name]) for name in ranks]
    floor = references.floor_distance(reference, _NUM_SAMPLES.value)
    about = (
        f"{reference.training_split.name}, {_RECIPE.value} recipes; training images"
        f" have {title} {floor:.1f}"
    )
    table = f"{about}\n{tables.as_text(header, rows)}"
    details = {
        "dataset": reference.training_split.name,
        **warned,
        "recipe": _RECIPE.value,
        "num_samples": _NUM_SAMPLES.value,
        "floor": {reference.measured_in.distance: floor},
        "seeds": list(seeds),
        "races": {
            name: {
                "steps": race.steps.tolist(),
                "seconds": race.seconds.tolist(),
                reference.measured_in.distance: race.distance.tolist(),
            }
            for name, race in races.items()
        },
    }
    figure = _figure({name: races[name] for name in ranks}, seed)
    return experiment.Findings(_rows(races, quick), figure, [table], details)


def _race(
    recipe: recipes.Recipe,
    reference: references.Reference,
    seeds: range,
    epochs: int | None,
) -> Race:
    """Trains a GAN for each seed, for twenty steps without a number of epochs."""
    split = reference.training_split
    gan = recipes.make_gan(recipe, shape=split.shape)
    devices = jax.devices()[:1]
    examples = training.Examples(np.asarray(split.images), split.labels)
    examples = placement.replicate(examples, devices)
    size, count = len(split.images), len(seeds)
    per_epoch = training.steps_per_epoch(gan, size, recipe.batch_size)
    total = 20 if epochs is None else epochs * per_epoch
    keys = many.spread(jnp.stack([jax.random.key(seed) for seed in seeds]), devices)

    def make(settings: many.Settings) -> training.GAN:
        del settings  # the GANs differ in their seeds alone
        return gan

    states = many.initialise(make, {}, keys, split.images.shape[1:], devices)
    train_steps = many.compile_train_steps(
        make,
        {},
        states,
        examples,
        devices,
        batch_size=recipe.batch_size,
        capacity=per_epoch,
    )
    real = reference.moments
    title = DISTANCES[reference.measured_in.distance]

    def measured() -> tuple[list[float], np.ndarray]:
        drawn = [
            sampling.draw(gan, many.pick(states, i), _NUM_SAMPLES.value, seed=seed)
            for i, seed in enumerate(seeds)
        ]
        features = (reference.measured_in.extract(d.images)[0] for d in drawn)
        fakes = map(frechet.moments, features)
        found = [frechet.frechet_distance_of_moments(fake, real) for fake in fakes]
        return found, drawn[0].images[:_SHOWN]

    step, seconds, points = 0, 0.0, []
    for stop in sorted({round(share * total) for share in _SHARES}):
        while step < stop:
            epoch, taken = divmod(step, per_epoch)
            chunk = min(stop - step, per_epoch - taken)
            order = many.orders(states, epoch, num_examples=size, devices=devices)
            started = time.perf_counter()
            states, _ = train_steps(states, {}, examples, order, chunk)
            jax.block_until_ready(states)
            seconds += (time.perf_counter() - started) / count
            step += chunk
        found, images = measured()
        points.append((step, seconds, found))
        mean = f"{title} {statistics.mean(found):.1f}"
        print(f"{recipe.loss}  step {step}  {mean}", flush=True)
    return Race(*map(np.array, zip(*points, strict=True)), images, title)


def _figure(races: dict[str, Race], seed: int) -> Any:
    """Curves and final values above, the samples of each loss below."""
    titles = ("generator steps", "seconds of training, a GAN's share", "each seed")
    samples = [f"{name}: seed {seed}" for name in races]
    figure, axes = plots.subplots((*titles, *samples), columns=3)
    for name, race in races.items():
        mean, spread = race.distance.mean(1), _spread(race.distance)
        for panel, x in zip(axes, (race.steps, race.seconds), strict=False):
            panel.plot(x, mean, ".-", label=name)
            panel.fill_between(x, mean - spread, mean + spread, alpha=0.2)
        axes[2].plot([name] * race.distance.shape[1], race.distance[-1], "o")
    for panel in axes[:3]:
        panel.set(ylabel=race.title, ylim=(0, None))
    for panel, race in zip(axes[3:], races.values(), strict=True):
        panel.imshow(plots.image_grid(race.images, 12), cmap="gray")
        panel.set_axis_off()
    return figure


def _spread(distance: np.ndarray) -> np.ndarray:
    """Standard deviation over seeds; 0 of one alone."""
    if distance.shape[1] == 1:
        return np.zeros(len(distance))
    return distance.std(1, ddof=1)


def _row(name: str, race: Race) -> list[str]:
    return [
        name,
        tables.mean(race.distance[-1], 1),
        f"{race.distance[0].mean():.0f}",
        f"{race.steps[-1]}",
        f"{race.seconds[-1]:.1f}",
        f"{race.distance.shape[1]}",
    ]


def _rows(races: dict[str, Race], quick: bool) -> list[theory_table.Row]:
    """Of the losses that took part, means over seeds."""
    first, last = (
        {name: race.distance[i].mean() for name, race in races.items()} for i in (0, -1)
    )
    found = [
        theory_table.at_most(
            f"{name}: {races[name].title} / untrained", 0.7, last[name] / first[name]
        )
        for name in races
    ]
    for other, most in (("nonsaturating", 0.8), ("wasserstein", 0.5)):
        if not quick and {other, "wasserstein_gp"} <= last.keys():
            what = f"wasserstein_gp / {other}: {races[other].title}"
            ratio = last["wasserstein_gp"] / last[other]
            found.append(theory_table.at_most(what, most, ratio))
    return found


main = partial(experiment.main, "compare", measure)

if __name__ == "__main__":
    cli.run(main)
