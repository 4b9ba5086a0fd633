"""Trains for many epochs and measures on the way, with averages of many lengths.

    python -m experiments.measure.training_length --gans=relativistic,wasserstein_gp

Of each GAN one run, measured after each of --epochs: FCD, precision and recall of the
weights of the last step, of the recipe's moving average, at the length that one epoch
wants, and of averages over shares of the training so far (Karras et al. 2024); and
whether its discriminator knows its training images, and its samples are copies of them.
Prints a table; leaves a run folder of each GAN, results.json and training_length.png in
--workdir. Started again, it goes on; with more epochs, too.
"""

import dataclasses
import pathlib
from typing import Any

from absl import flags

from experiments.common import (
    cli,
    data_flags,
    gans,
    results,
    tables,
    training_length_figure,
)
from gan_jax import data, plots, training
from gan_jax.devices import available
from gan_jax.errors import UserError
from gan_jax.evaluation import memorisation, overfitting, references, report
from gan_jax.evaluation.averaged import LAST, RECIPE, Averaged
from gan_jax.recipes import TABLES
from gan_jax.run import checkpoints, configuration, loop, run_folder
from gan_jax.run.metrics_log import read_metrics
from gan_jax.run.schedule import Schedule
from gan_jax.system.files import whole_file, write_text
from gan_jax.training import averages

_GANS = flags.DEFINE_list(
    "gans",
    ["nonsaturating", "relativistic", "wasserstein_gp"],
    "What to train: names of losses, with _conditional behind for conditional GANs.",
)
_EPOCHS = flags.DEFINE_list(
    "epochs", ["1", "3", "10", "30"], "When to measure; the last one ends the run."
)
_LENGTHS = flags.DEFINE_list(
    "lengths",
    ["0.01", "0.03", "0.1", "0.2"],
    "Of the averages: standard deviations, as shares of the training so far.",
)
_RECIPE = flags.DEFINE_enum("recipe", "tuned", list(TABLES), "Table of the numbers.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the runs.")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 10_000, "Samples for each measure.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/training_length", "Folder of all runs.")
_QUICK = flags.DEFINE_boolean("quick", False, "Few steps on 640 garments: for tests.")
flags.adopt_module_key_flags(data_flags)

_EVERY = 25  # steps between two updates of the averages
_SAVE = 500  # steps between two checkpoints
_COPIES = 5000  # samples that are looked for among the training images

Rows = list[dict[str, Any]]


def _numbers(flag: flags.FlagHolder, kind: type) -> list[Any]:
    """Of a list, ascending.

    Raises:
      UserError: it is empty, or holds something else.
    """
    try:
        found = sorted({kind(text) for text in flag.value})
    except ValueError as error:
        raise UserError(f"--{flag.name}: {error}: give numbers with commas") from error
    if not found or found[0] <= 0:
        raise UserError(f"--{flag.name}={','.join(flag.value)}: give numbers above 0")
    return found


def main() -> None:
    """Checks the flags, trains and measures each GAN, prints, writes."""
    cli.require_seed(_SEED)
    cli.require_positive(_NUM_SAMPLES)
    report.check_count(_NUM_SAMPLES.value)
    epochs, lengths = _numbers(_EPOCHS, int), _numbers(_LENGTHS, float)
    for length in lengths:
        averages.exponent(length)  # refuses what no average has
    if not any(_GANS.value):
        raise UserError("nothing to train: name at least one of --gans")
    # Averages of an average that grows as well would be longer than they say.
    recipes = {
        gan: dataclasses.replace(gans.recipe(gan, _RECIPE.value), ema_grows_from=0)
        for gan in _GANS.value
    }
    data_flags.check()
    workdir = results.folder(_WORKDIR, "measure.training_length")
    quick = _QUICK.value
    name = data_flags.name_or("garments" if quick else "fashion_mnist")
    where = data_flags.where()
    dataset = data.load(name, garments_size=640 if quick else None, **where)
    warned = results.warn(dataset.warning)
    configs = {
        gan: gans.config(recipe, dataset, _SEED.value, epochs[-1], quick=quick)
        for gan, recipe in recipes.items()
    }
    for gan, config in configs.items():
        run_folder.check(workdir / gan, config, overwrite=False)
    name = data_flags.name_of(dataset)
    reference = references.load_reference(name, quick=quick, **where)
    rows: Rows = []
    for gan, config in configs.items():
        found = train(gan, config, dataset, workdir / gan, reference, epochs, lengths)
        print(tables.as_text(*table(found)), flush=True)
        rows += found
    figure = training_length_figure.draw(rows)
    with whole_file(workdir / "training_length.png") as file:
        plots.save(file, figure)
    document = {
        **results.begin("measure.training_length"),
        **warned,
        "features": reference.measured_in.describe(),
        "num_samples": _NUM_SAMPLES.value,
        "recipes": {gan: dataclasses.asdict(recipe) for gan, recipe in recipes.items()},
        "rows": rows,
    }
    write_text(workdir / "results.json", results.as_json(document))
    print(workdir / "results.json", workdir / "training_length.png")


def train(
    gan: str,
    config: configuration.Config,
    dataset: data.Dataset,
    folder: pathlib.Path,
    reference: references.Reference,
    epochs: list[int],
    lengths: list[float],
) -> Rows:
    """Trains one GAN, or goes on with it; a row for each of the epochs.

    Raises:
      UserError: the folder or the run cannot be used.
    """
    per_epoch = config.steps // epochs[-1]
    steps = {epoch: epoch * per_epoch for epoch in epochs}
    schedule = Schedule(
        log_every=50,
        sample_every=per_epoch,
        checkpoint_every=_SAVE,
        evaluate_every=_EVERY,
    )
    measure = Measure(reference, _NUM_SAMPLES.value, _SEED.value)
    with run_folder.lock(folder):
        run_folder.prepare(folder, config, overwrite=False)
        place = data_flags.place(dataset)
        configuration.write_config(folder, config, source=dataset.source, data=place)
        averaged = Averaged(
            *(folder, lengths, steps.values(), measure),
            every=_EVERY,
            save_every=_SAVE,
            measured_with={
                "num_samples": _NUM_SAMPLES.value,
                "features": reference.measured_in.describe(),
            },
        )
        for end in steps.values():
            saved = checkpoints.newest(folder) or 0
            if end in averaged.measured and saved >= end:
                continue
            state = loop.train(
                dataclasses.replace(config, steps=end),
                dataset,
                folder,
                schedule=schedule,
                evaluate=averaged,
                devices=available.choose_devices(1),
                should_stop=cli.signals.should_stop,
            )
            averaged.save()
            if (step := int(state.step)) < end:
                done = f"{gan} is saved at step {step} of {config.steps}"
                cli.stopped(done, "measure.training_length")
            if step > end:
                epoch = end // per_epoch
                raise UserError(
                    f"{folder} is trained past epoch {epoch}, and was not measured"
                    f" after it: leave {epoch} out of --epochs, or use another"
                    " --workdir"
                )
    seconds = {line["step"]: line["seconds"] for line in read_metrics(folder)}
    return [
        {
            "gan": gan,
            "epochs": epoch,
            "step": step,
            "seconds": seconds[step],
            "measured": averaged.measured[step],
        }
        for epoch, step in steps.items()
    ]


class Measure:
    """All that is measured of an average; of the run's own, what it knows by heart."""

    def __init__(
        self, reference: references.Reference, num_samples: int, seed: int
    ) -> None:
        """Takes what samples are compared with, their number and latents."""
        self._reference, self._num_samples = reference, num_samples
        self._seed, self._seen = seed, reference.seen()

    def __call__(
        self, gan: training.GAN, state: training.GANState, name: str
    ) -> dict[str, Any]:
        """Measures of new samples; of the discriminator, and of copies among them."""
        samples = self._reference.draw(gan, state, self._num_samples, seed=self._seed)
        values = report.measure(samples, self._reference, uncertainty=False)
        if name != (LAST if gan.ema_decay is None else RECIPE):
            return values
        seen, held_out = self._seen, self._reference.test_split
        count = min(self._num_samples, len(seen.images), len(held_out.images))
        values |= overfitting.measure(
            gan, state, seen=seen, held_out=held_out, samples=samples, count=count
        )
        values["copying"] = memorisation.copying(
            samples.images[:_COPIES], seen.images, held_out.images
        )
        return values


def table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the distance of each average, the rest of the recipe's own."""
    names = list(rows[0]["measured"])
    rest = ("precision", "recall", "overfitting", "copying")
    header = ["GAN", "epochs", "seconds", *(f"FCD {name}" for name in names), *rest]
    cells = []
    for row in rows:
        measured = row["measured"]
        own = training_length_figure.own(row)
        distances = [
            f"{training_length_figure.distance(measured[name]):.1f}" for name in names
        ]
        others = [f"{own[name]:.3f}" if name in own else "" for name in rest]
        first = [row["gan"], str(row["epochs"]), f"{row['seconds']:.0f}"]
        cells.append([*first, *distances, *others])
    return header, cells


if __name__ == "__main__":
    cli.run(main)
