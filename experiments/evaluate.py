"""Measures the samples of trained runs against held-out real images.

    python -m experiments.evaluate --workdir=runs/wasserstein_gp
    python -m experiments.evaluate --workdir=runs/a,runs/b --samples=other.npz

Prints a table sorted by FCD, the Frechet distance in the features of a classifier that
the project trains itself (not FID, whose features are Inception's). Runs that differ in
their seed alone share a row of mean and standard deviation. The floor is what training
images score, the ceiling what drawn garments or noise do. Leaves evaluation.json and
neighbours.png, samples beside their nearest training images, in each run folder.
"""

import itertools
import pathlib
import sys

from absl import flags

from experiments.common import cli, tables
from gan_jax import data
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation import comparison, report
from gan_jax.run import configuration
from gan_jax.system.files import write_text

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
    report.check_count(_NUM_SAMPLES.value)
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
    subjects = [comparison.run_subject(folder, count, seed) for folder in folders]
    subjects += [comparison.file_subject(path, count) for path in files]
    name = _DATASET.value or comparison.common_dataset(subjects)

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    reference = report.load_reference(
        name, data_dir=_DATA_DIR.value, quick=_QUICK.value, say=say
    )
    compared = comparison.compare(subjects, reference, count, say)
    header_and_rows = comparison.table(compared)
    print(tables.as_text(*header_and_rows))
    warning = reference.test_split.warning
    note = (
        f"{count} samples each, against the {len(reference.test_split.images)} test"
        f" images of {reference.test_split.name}; classifier"
        f" {reference.classifier.sha256[:12]}, test accuracy"
        f" {reference.classifier.accuracy:.2%}."
    )
    if warning:
        note += f" Warning: {warning}"
    print(note)
    if _MARKDOWN.value:
        text = f"{tables.as_markdown(*header_and_rows)}\n\n{note}\n"
        write_text(pathlib.Path(_MARKDOWN.value), text)
    for folder in folders:
        print(f"{folder / 'evaluation.json'}  {folder / 'neighbours.png'}")
        if warning := configuration.read_warning(folder):
            print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
