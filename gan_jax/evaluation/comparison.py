"""Several sets of samples, measured against one reference and laid out as a table."""

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan_jax import data, plots, runs, sampling
from gan_jax.errors import UserError
from gan_jax.evaluation import neighbours, report
from gan_jax.files import write_text

FLOOR = "training images"

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something to measure.

    Attributes:
      name: as the table has it.
      draw: gives its samples.
      config: of a run, None of a file.
      folder: of a run, None of a file.
    """

    name: str
    draw: Callable[[], sampling.Samples]
    config: runs.Config | None = None
    folder: pathlib.Path | None = None


def run_subject(folder: pathlib.Path, num_samples: int, seed: int) -> Subject:
    """A run folder, once it is sure that samples can be drawn from it.

    Raises:
      UserError: there is no run, no checkpoint in it yet, or a damaged one.
    """
    config = runs.read_config(folder)
    gan, state = sampling.restore(folder)

    def draw() -> sampling.Samples:
        return sampling.draw(gan, state, num_samples, seed=seed)

    return Subject(str(folder), draw, config, folder)


def file_subject(path: pathlib.Path, num_samples: int) -> Subject:
    """A file of samples, once it is sure that it holds enough of them.

    Raises:
      UserError: it cannot be read, or holds something else or too little.
    """
    samples = sampling.read_npz(path)
    if len(samples.images) < num_samples:
        raise UserError(
            f"{path} holds {len(samples.images)} images and --num_samples asks for"
            f" {num_samples}: distances compare at equal numbers, so lower"
            " --num_samples for all"
        )
    labels = None if samples.labels is None else samples.labels[:num_samples]
    first = sampling.Samples(samples.images[:num_samples], labels)
    return Subject(str(path), lambda: first)


def common_dataset(subjects: Sequence[Subject]) -> str:
    """The data set of all the runs.

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
    return next(iter(names), "fashion_mnist")


def compare(
    subjects: Sequence[Subject],
    reference: report.Reference,
    num_samples: int,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Values], str]:
    """Measures every subject, the floor and the ceiling.

    Writes evaluation.json and neighbours.png in the folders of runs.

    Args:
      subjects: what to measure.
      reference: what to compare with.
      num_samples: of each.
      seed: of the latents.
      say: takes a line before each.

    Returns:
      Name -> values, and the ceiling's name; the floor is "training images".
    """
    ceiling_name, ceiling_samples = report.ceiling(reference, num_samples)
    bounds = {
        FLOOR: report.floor(reference, num_samples),
        ceiling_name: ceiling_samples,
    }
    values = {}
    for name, samples in bounds.items():
        say(f"measuring {name}")
        values[name] = report.measure(samples, reference)
    for subject in subjects:
        say(f"measuring {subject.name}")
        samples = subject.draw()
        values[subject.name] = report.measure(samples, reference)
        if subject.folder is None:
            continue
        document = {
            "num_samples": num_samples,
            "seed": seed,
            "step": runs.latest_checkpoint(subject.folder),
            "reference": {
                "dataset": reference.test_split.name,
                "split": "test",
                "images": len(reference.test_split.images),
            },
            "classifier": reference.classifier.describe(),
            "values": values[subject.name],
            "floor": {"name": FLOOR} | values[FLOOR],
            "ceiling": {"name": ceiling_name} | values[ceiling_name],
        }
        text = json.dumps(document, indent=2, allow_nan=False) + "\n"
        write_text(subject.folder / "evaluation.json", text)
        plots.save_grid(
            subject.folder / "neighbours.png",
            beside_nearest(samples, reference.training_split),
        )
    return values, ceiling_name


def beside_nearest(samples: sampling.Samples, split: data.Dataset) -> np.ndarray:
    """Ten samples, each with the nine training images that are nearest in pixels.

    Returns:
      uint8 ``[100, 28, 28, 1]``, a row of ten for each sample: the sample first.
    """
    shown = samples.images[:10]
    flat = (images.reshape(len(images), -1) for images in (shown, split.images))
    indices, _ = neighbours.nearest(*flat, count=9)
    rows = np.concatenate([shown[:, None], split.images[indices]], axis=1)
    return rows.reshape(-1, *shown.shape[1:])


# Column -> the value in it, and its digits.
COLUMNS = {
    "FCD": ("fcd", 2),
    "kernel distance": ("kernel_distance", 3),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "density": ("density", 3),
    "coverage": ("coverage", 3),
    "sliced W1": ("sliced_wasserstein", 2),
    "class KL": ("class_kl", 3),
    "class accuracy": ("class_accuracy", 3),
}


def table(
    values: dict[str, Values], subjects: Sequence[Subject], ceiling: str
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the floor, all subjects by FCD, the ceiling.

    Runs of equal configurations but for the seed share a row, mean +- standard
    deviation (of the sample: n - 1), and have no rows of their own.
    """
    grouped = []
    alone = {subject.name: [subject.name] for subject in subjects}
    by_config: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.config is not None:
            same = dataclasses.replace(subject.config, seed=0)
            by_config.setdefault(repr(same), []).append(subject)
    for group in by_config.values():
        if len(group) > 1:
            for subject in group:
                del alone[subject.name]
            more = f"{len(group) - 1} more seed{'s' if len(group) > 2 else ''}"
            grouped.append((f"{group[0].name} + {more}", group))
    rows = [(name, [values[name]]) for name in alone]
    rows += [(name, [values[s.name] for s in group]) for name, group in grouped]
    rows.sort(key=lambda row: statistics.mean(v["fcd"] for v in row[1]))
    rows = [(FLOOR, [values[FLOOR]]), *rows, (ceiling, [values[ceiling]])]
    return ["samples", *COLUMNS], [[name, *cells(members)] for name, members in rows]


def cells(members: Sequence[Values]) -> list[str]:
    """A row under `COLUMNS`: the value of one, mean ± standard deviation of several."""
    return [_cell(members, *column) for column in COLUMNS.values()]


def _cell(members: Sequence[Values], key: str, digits: int) -> str:
    numbers = [member[key] for member in members if key in member]
    if not numbers:
        return ""
    mean = f"{statistics.mean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f}"
