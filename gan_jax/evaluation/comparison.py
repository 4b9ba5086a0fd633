"""Several sets of samples, measured against one reference and laid out as a table."""

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gan_jax import plots
from gan_jax.errors import UserError
from gan_jax.evaluation import features, neighbours, overfitting, report
from gan_jax.run import (
    checkpoints,
    configuration,
    run_folder,
    sample_files,
    sampling,
)
from gan_jax.system import progress
from gan_jax.system.files import whole_file, write_text

FLOOR = "training images"

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something to measure.

    Attributes:
      name: as the table has it.
      draw: gives its samples.
      shape: of one of them.
      seed: of the latents that it draws from, None of a file.
      config: of a run, None of a file.
      folder: of a run, None of a file.
      step: of a run's checkpoint, None of a file.
      score: what a run's discriminator says of samples; arguments but for the first two
        of `overfitting.measure`. None of a file.
    """

    name: str
    draw: Callable[[], sampling.Samples]
    shape: tuple[int, ...]
    seed: int | None = None
    config: configuration.Config | None = None
    folder: pathlib.Path | None = None
    step: int | None = None
    score: Callable[..., Values] | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` has measured.

    Attributes:
      subjects: what was measured.
      values: of each subject, in their order.
      floor: what training images score.
      ceiling_name: what stands for no success at all.
      ceiling: what that scores.
    """

    subjects: Sequence[Subject]
    values: Sequence[Values]
    floor: Values
    ceiling_name: str
    ceiling: Values


def run_subject(folder: pathlib.Path, num_samples: int, seed: int) -> Subject:
    """A run folder, once it is sure that samples can be drawn from it.

    The name of a run that is not finished says how far it is.

    Raises:
      UserError: there is no run, no checkpoint in it yet, or a damaged one; or the
        folder cannot be written to.
    """
    config = configuration.read_config(folder)
    run_folder.check_folder(folder)
    step = checkpoints.require(folder)
    gan, state = sampling.restore(folder)

    def draw() -> sampling.Samples:
        return sampling.draw(gan, state, num_samples, seed=seed)

    name = str(folder)
    if step < config.steps:
        name += f" (step {step} of {config.steps})"
    score = partial(overfitting.measure, gan, state)
    return Subject(name, draw, config.shape, seed, config, folder, step, score)


def file_subject(path: pathlib.Path, num_samples: int) -> Subject:
    """A file or folder of samples, once it is sure that it holds enough of them.

    Raises:
      UserError: it cannot be read, or holds something else or too little.
    """
    samples = sample_files.read(path, num_samples)
    if len(samples.images) < num_samples:
        raise UserError(
            f"{path} holds {len(samples.images)} images and --num_samples asks for"
            f" {num_samples}: distances compare at equal numbers, so lower"
            " --num_samples for all"
        )
    labels = None if samples.labels is None else samples.labels[:num_samples]
    first = sampling.Samples(samples.images[:num_samples], labels)
    return Subject(str(path), lambda: first, first.images.shape[1:])


def common_dataset(subjects: Sequence[Subject]) -> str | None:
    """The data set of all the runs, as their configurations have it; None without runs.

    Raises:
      UserError: they have different ones.
    """
    names = {s.config.dataset: s.name for s in subjects if s.config}
    if len(names) > 1:
        listed = ", ".join(f"{run} on {name}" for name, run in names.items())
        raise UserError(
            f"runs of different data sets cannot be compared ({listed}): evaluate them"
            " apart, or name one with --dataset"
        )
    return next(iter(names), None)


def compare(
    subjects: Sequence[Subject],
    reference: report.Reference,
    num_samples: int,
    say: Callable[[str], None] = print,
) -> Comparison:
    """Measures every subject, the floor and the ceiling.

    Writes evaluation.json and neighbours.png in the folders of runs.

    Args:
      subjects: what to measure.
      reference: what to compare with.
      num_samples: of each.
      say: takes a line before each.

    Returns:
      All that was measured.

    Raises:
      UserError: one has samples of another shape; then nothing is measured.
    """
    for subject in subjects:
        report.check_shape(subject.shape, reference, subject.name)

    def measured(name: str, samples: sampling.Samples) -> Values:
        say(f"measuring {name}")
        with progress.clock("measuring"):
            return report.measure(samples, reference)

    seen = reference.seen()
    floor = measured(FLOOR, report.floor(reference, num_samples))
    ceiling_name, samples = report.ceiling(reference, num_samples)
    ceiling = measured(ceiling_name, samples)
    values = []
    for subject in subjects:
        samples = subject.draw()
        values.append(measured(subject.name, samples))
        if subject.folder is None or subject.score is None:
            continue
        values[-1] |= subject.score(
            seen=seen,
            held_out=reference.test_split,
            samples=samples,
            count=min(num_samples, len(seen.images), len(reference.test_split.images)),
        )
        document = {
            "num_samples": num_samples,
            "seed": subject.seed,
            "step": subject.step,
            "reference": {
                "dataset": reference.test_split.name,
                "split": "test",
                "images": len(reference.test_split.images),
            },
            "features": reference.measured_in.describe(),
            "values": values[-1],
            "floor": {"name": FLOOR} | floor,
            "ceiling": {"name": ceiling_name} | ceiling,
        }
        if warning := configuration.read_warning(subject.folder):
            document["warning"] = warning
        text = json.dumps(document, indent=2, allow_nan=False) + "\n"
        write_text(subject.folder / "evaluation.json", text)
        with whole_file(subject.folder / "neighbours.png") as file:
            plots.save_grid(
                file, neighbours.beside_nearest(samples.images, seen.images)
            )
    return Comparison(subjects, values, floor, ceiling_name, ceiling)


# Column -> the value in it, and its digits.
COLUMNS = {
    **{title: (key, 2) for key, title in features.DISTANCES.items()},
    "KID": ("kid", 3),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "density": ("density", 3),
    "coverage": ("coverage", 3),
    "sliced W1": ("sliced_wasserstein", 2),
    "modes": ("modes", 0),
    "class KL": ("class_kl", 3),
    "class accuracy": ("class_accuracy", 3),
    "overfitting": ("overfitting", 3),
}


def table(compared: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the floor, all subjects by Frechet distance, the ceiling.

    Finished runs of equal configurations but for the seed share a row, mean and
    standard deviation (of the sample: n - 1), and have no rows of their own.
    """
    groups: dict[Any, list[int]] = {}
    for i, subject in enumerate(compared.subjects):
        key: Any = i
        if subject.config is not None and subject.step == subject.config.steps:
            key = dataclasses.replace(subject.config, seed=0)
        groups.setdefault(key, []).append(i)
    rows = []
    for members in groups.values():
        configs = {compared.subjects[i].config for i in members}
        if len(configs) == len(members):
            rows.append(members)
        else:  # copies of a run are no evidence of spread
            rows.extend([i] for i in members)
    key = features.distance_in(compared.floor)
    rows.sort(key=lambda row: statistics.mean(compared.values[i][key] for i in row))
    named = [
        (_name(compared.subjects, row), [compared.values[i] for i in row])
        for row in rows
    ]
    floor = (FLOOR, [compared.floor])
    ceiling = (compared.ceiling_name, [compared.ceiling])
    there = columns([*compared.values, compared.floor])
    return ["samples", *there], [
        [name, *cells(values, there)] for name, values in (floor, *named, ceiling)
    ]


def _name(subjects: Sequence[Subject], row: Sequence[int]) -> str:
    name, more = subjects[row[0]].name, len(row) - 1
    if not more:
        return name
    return f"{name} + {more} more seed{'s' if more > 1 else ''}"


def columns(measured: Sequence[Values]) -> list[str]:
    """Those of `COLUMNS` that anything has a value in."""
    return [
        name
        for name, (key, _) in COLUMNS.items()
        if any(key in values for values in measured)
    ]


def cells(members: Sequence[Values], names: Sequence[str]) -> list[str]:
    """A row under those columns: a value, or mean ± standard deviation of several."""
    return [_cell(members, *COLUMNS[name]) for name in names]


def _cell(members: Sequence[Values], key: str, digits: int) -> str:
    numbers = [member[key] for member in members if key in member]
    if not numbers:
        return ""
    mean = f"{statistics.mean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f}"
