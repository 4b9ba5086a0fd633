"""Several sets of samples, measured against one reference."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gan_jax import plots
from gan_jax.errors import UserError
from gan_jax.evaluation import kept, neighbours, overfitting, references, report
from gan_jax.run import configuration, run_folder, sample_files, sampling
from gan_jax.system import progress
from gan_jax.system.files import whole_file, write_text

FLOOR = "training images"

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something to measure.

    Attributes:
      name: as the table has it.
      draw: gives its samples; a conditional run, in the shares of the reference.
      shape: of one of them.
      seed: of the latents that it draws from, None of a file.
      config: of a run, None of a file.
      folder: of a run, None of a file.
      step: of a run's checkpoint, None of a file.
      score: what a run's discriminator says of samples; arguments but for the first two
        of `overfitting.measure`. None of a file.
    """

    name: str
    draw: Callable[[references.Reference], sampling.Samples]
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
    gan, state = sampling.restore(folder)
    step = int(state.step)  # not the newest checkpoint's, where that is damaged

    def draw(reference: references.Reference) -> sampling.Samples:
        return reference.draw(gan, state, num_samples, seed=seed)

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
    return Subject(str(path), lambda reference: first, first.images.shape[1:])


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
    reference: references.Reference,
    num_samples: int,
    say: Callable[[str], None] = print,
) -> Comparison:
    """Measures every subject, the floor and the ceiling.

    Writes evaluation.json and neighbours.png in the folders of runs. What a run's
    discriminator knows is asked where the images are those that it was trained on.

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

    floor, ceiling = _bounds(reference, num_samples, measured)
    floor_count = min(num_samples, len(reference.training_split.images))
    values = []
    for subject in subjects:
        samples = subject.draw(reference)
        values.append(measured(subject.name, samples))
        if subject.folder is None or subject.score is None or subject.config is None:
            continue
        held_out = reference.test_split
        is_its_own = subject.config.dataset == reference.training_split.name
        seen = reference.seen(subject.config.num_examples if is_its_own else None)
        if is_its_own:
            count = min(num_samples, len(seen.images), len(held_out.images))
            values[-1] |= subject.score(
                seen=seen, held_out=held_out, samples=samples, count=count
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
            "floor": {"name": FLOOR, "num_samples": floor_count} | floor,
            "ceiling": ceiling,
        }
        if warning := configuration.read_warning(subject.folder):
            document["warning"] = warning
        text = json.dumps(document, indent=2, allow_nan=False) + "\n"
        write_text(subject.folder / "evaluation.json", text)
        with whole_file(subject.folder / "neighbours.png") as file:
            plots.save_grid(
                file, neighbours.beside_nearest(samples.images, seen.images)
            )
    return Comparison(subjects, values, floor, ceiling.pop("name"), ceiling)


def _bounds(
    reference: references.Reference,
    num_samples: int,
    measured: Callable[[str, sampling.Samples], Values],
) -> tuple[Values, Values]:
    """Floor and ceiling, this one with its name: they are the same for every run."""

    def kept_scores(what: str, make: Callable[[], Values]) -> Values:
        splits = [reference.training_split, reference.test_split]
        told = f"{what} of {num_samples}"
        return kept.scores(told, reference.measured_in, splits, make)

    def make_floor() -> Values:
        return measured(FLOOR, references.floor(reference, num_samples))

    def make_ceiling() -> Values:
        name, samples = references.ceiling(reference, num_samples)
        return {"name": name} | measured(name, samples)

    return kept_scores("floor", make_floor), kept_scores("ceiling", make_ceiling)
