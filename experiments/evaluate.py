"""Measures the samples of trained runs against held-out real images.

    python -m experiments.evaluate --workdir=runs/wasserstein_gp
    python -m experiments.evaluate --workdir=runs/a,runs/b --samples=other.npz

Prints a table sorted by FCD, the Frechet distance in the features of a classifier that
the project trains itself (not FID: its features are Inception's). Runs that differ in
their seed alone share a row of mean and standard deviation. The floor is what training
images score, the ceiling what drawn garments or noise do. Leaves evaluation.json and
neighbours.png, samples beside their nearest training images, in each run folder.
"""

import dataclasses
import itertools
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from experiments import cli, tables
from gan_jax import data, plots, runs, sampling
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation import neighbours, report
from gan_jax.files import write_text

_WORKDIR = flags.DEFINE_list(
    "workdir", [], "Run folders of experiments.train, with commas between."
)
_SAMPLES = flags.DEFINE_list(
    "samples",
    [],
    "Files of samples to measure beside them, as experiments.sample writes them: .npz"
    " with images, uint8 [N, 28, 28, 1], and perhaps labels.",
)
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 10_000, "How many samples of each; a file's first ones."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "Data set to compare with. Default: the one that the runs were trained on;"
    " fashion_mnist for files alone.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of the data set, as in experiments.train."
)
_QUICK = flags.DEFINE_boolean(
    "quick",
    False,
    "A classifier trained on 2,000 images: seconds, and numbers of no meaning.",
)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Markdown file for the table.")

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
      UserError: there is no run, or no checkpoint in it yet.
    """
    config = runs.read_config(folder)
    runs.require_checkpoint(folder)

    def draw() -> sampling.Samples:
        return sampling.draw(*sampling.restore(folder), num_samples, seed=seed)

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


def evaluate(
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


FLOOR = "training images"


def beside_nearest(samples: sampling.Samples, split: data.Dataset) -> Any:
    """Ten samples, each with the nine training images that are nearest in pixels.

    Returns:
      uint8 ``[100, 28, 28, 1]``, a row of ten for each sample: the sample first.
    """
    from numpy import concatenate  # one use

    shown = samples.images[:10]
    flat = (images.reshape(len(images), -1) for images in (shown, split.images))
    indices, _ = neighbours.nearest(*flat, count=9)
    rows = concatenate([shown[:, None], split.images[indices]], axis=1)
    return rows.reshape(-1, *shown.shape[1:])


# Column -> the value in it, how it is scaled, and its digits.
_COLUMNS = {
    "FCD": ("fcd", 1, 2),
    "kernel distance": ("kernel_distance", 1, 3),
    "precision": ("precision", 1, 3),
    "recall": ("recall", 1, 3),
    "density": ("density", 1, 3),
    "coverage": ("coverage", 1, 3),
    "sliced W1": ("sliced_wasserstein", 1, 2),
    "class KL": ("class_kl", 1, 3),
    "class accuracy": ("class_accuracy", 1, 3),
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
            grouped.append((f"{group[0].name} + {len(group) - 1} seeds", group))
    rows = [(name, [values[name]]) for name in alone]
    rows += [(name, [values[s.name] for s in group]) for name, group in grouped]
    rows.sort(key=lambda row: statistics.mean(v["fcd"] for v in row[1]))
    rows = [(FLOOR, [values[FLOOR]]), *rows, (ceiling, [values[ceiling]])]
    return ["samples", *_COLUMNS], [
        [name, *(_cell(members, *column) for column in _COLUMNS.values())]
        for name, members in rows
    ]


def _cell(members: Sequence[Values], key: str, scale: float, digits: int) -> str:
    numbers = [scale * member[key] for member in members if key in member]
    if not numbers:
        return ""
    mean = f"{statistics.mean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f}"


def main() -> None:
    """Checks everything that can be refused, then measures and prints the table."""
    if not _WORKDIR.value and not _SAMPLES.value:
        raise UserError(
            "nothing to evaluate: name run folders with --workdir, or .npz files with"
            " --samples"
        )
    cli.require_positive(_NUM_SAMPLES)
    cli.require_seed(_SEED)
    cli.require_writable(_MARKDOWN)
    if _NUM_SAMPLES.value < report.FEWEST:
        raise report.too_few(_NUM_SAMPLES.value)
    if _DATASET.value is not None:
        check_name("data set", _DATASET.value, data.DATASETS)
    count, seed = _NUM_SAMPLES.value, _SEED.value
    folders, files = (
        [pathlib.Path(name).expanduser() for name in flag.value]
        for flag in (_WORKDIR, _SAMPLES)
    )
    for first, second in itertools.combinations([*folders, *files], 2):
        if first.absolute() == second.absolute():
            raise UserError(f"{first} is named twice: name it once")
    subjects = [run_subject(folder, count, seed) for folder in folders]
    subjects += [file_subject(path, count) for path in files]
    name = _DATASET.value or common_dataset(subjects)

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    reference = report.load_reference(
        name, data_dir=_DATA_DIR.value, quick=_QUICK.value, say=say
    )
    values, ceiling = evaluate(subjects, reference, count, seed, say)
    header_and_rows = table(values, subjects, ceiling)
    print(tables.as_text(*header_and_rows))
    note = (
        f"{count} samples each, against the {len(reference.test_split.images)} test"
        f" images of {reference.test_split.name}; classifier"
        f" {reference.classifier.sha256[:12]}, test accuracy"
        f" {reference.classifier.accuracy:.2%}."
    )
    print(note)
    if _MARKDOWN.value:
        text = f"{tables.as_markdown(*header_and_rows)}\n\n{note}\n"
        write_text(pathlib.Path(_MARKDOWN.value), text)
    for folder in folders:
        print(f"{folder / 'evaluation.json'}  {folder / 'neighbours.png'}")
        if warning := runs.read_warning(folder):
            print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
