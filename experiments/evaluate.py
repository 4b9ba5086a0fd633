"""Measures the samples of trained runs against held-out real images.

    python -m experiments.evaluate --workdir=runs/wasserstein_gp
    python -m experiments.evaluate --workdir=runs/a,runs/b --samples=other.npz,pictures/

Real images are those of the runs' data set, unless --dataset names another; Fashion-
MNIST for files alone. Prints a table sorted by Frechet distance. Its features are those
of a classifier that the project trains on the data set's labels (FCD), or where it has
none, of an untrained network; --features=inception takes Inception's (FID; pip install
'gan_jax[fid]'). Runs that differ in their seed alone share a row of mean and standard
deviation. The floor is what training images score, the ceiling what drawn garments or
noise do. Leaves evaluation.json and neighbours.png, samples beside their nearest
training images, in each run folder, and adds its measures to the records that the run
has in trackers (docs/trackers.md).
"""

import itertools
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from experiments.common import cli, data_flags, results, tables
from gan_jax import data
from gan_jax.data import stacked
from gan_jax.errors import UserError
from gan_jax.evaluation import comparison, features, references, report, score_table
from gan_jax.run import configuration, run_folder
from gan_jax.run.metrics_log import read_metrics
from gan_jax.run.tracking import trackers
from gan_jax.run.tracking.tracker import Run
from gan_jax.system.paths import expand

_WORKDIR = flags.DEFINE_list(
    "workdir", [], "Run folders of experiments.train, with commas between."
)
_SAMPLES = flags.DEFINE_list(
    "samples",
    [],
    "Samples of any program to measure beside them: .npz files with images or arr_0,"
    " uint8 [N, height, width, 1 or 3], and perhaps labels or arr_1; or folders of"
    " pictures.",
)
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples",
    None,
    "How many samples of each; a file's first ones. Default: 10,000; of stacked images"
    " 26,000, of which their modes are counted (Srivastava et al. 2017).",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_FEATURES = flags.DEFINE_enum(
    "features",
    "auto",
    ["auto", *features.NAMES],
    "What images are measured in: classifier, trained on the data set's labels; random,"
    " an untrained network; inception, with torch-fidelity. auto: classifier where"
    " there are labels, else random.",
)
_INCEPTION_WEIGHTS = flags.DEFINE_string(
    "inception_weights",
    None,
    "File of torch-fidelity's weights, where they cannot be downloaded.",
)
_QUICK = flags.DEFINE_boolean(
    "quick",
    False,
    "2,000 images and a classifier trained on these: seconds, and numbers of no"
    " meaning.",
)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Markdown file for the table.")
flags.adopt_module_key_flags(data_flags)


def main() -> None:
    """Checks everything that can be refused, then measures and prints the table."""
    if not _WORKDIR.value and not _SAMPLES.value:
        raise UserError(
            "nothing to evaluate: name run folders with --workdir, or .npz files or"
            " folders of pictures with --samples"
        )
    cli.require_positive(_NUM_SAMPLES)
    cli.require_seed(_SEED)
    cli.require_writable(_MARKDOWN)
    data_flags.check(of_runs=bool(_WORKDIR.value))
    if _INCEPTION_WEIGHTS.value is not None and _FEATURES.value != "inception":
        raise UserError("--inception_weights is for --features=inception: add that")
    folders, files = (
        [expand(name) for name in flag.value] for flag in (_WORKDIR, _SAMPLES)
    )
    count, seed = _NUM_SAMPLES.value or _usual_count(folders), _SEED.value
    report.check_count(count)
    for first, second in itertools.combinations([*folders, *files], 2):
        if first.absolute() == second.absolute():
            raise UserError(f"{first} is named twice: name it once")
    subjects = [comparison.run_subject(folder, count, seed) for folder in folders]
    subjects += [comparison.file_subject(path, count) for path in files]
    reference = _reference(subjects)
    warnings = [reference.test_split.warning, *map(configuration.read_warning, folders)]
    for warning in dict.fromkeys(warnings):
        results.warn(warning)
    compared = comparison.compare(subjects, reference, count, _say)
    header_and_rows = score_table.table(compared)
    print(tables.as_text(*header_and_rows))
    split = reference.test_split
    note = (
        f"{count} samples each, against the {len(split.images)} test images of"
        f" {split.name} ({split.source}); {reference.measured_in.sentence()}."
    )
    if (there := len(reference.training_split.images)) < count:
        note += f" There are {there} training images: their row is of so many."
    if split.warning:
        note += f" Warning: {split.warning}"
    print(note)
    cli.write(_MARKDOWN, f"{tables.as_markdown(*header_and_rows)}\n\n{note}\n")
    for subject, values in zip(subjects, compared.values, strict=True):
        if subject.folder is not None:
            _track(subject, values)
    for folder in folders:
        print(f"{folder / 'evaluation.json'}  {folder / 'neighbours.png'}")


def _usual_count(folders: Sequence[pathlib.Path]) -> int:
    """26,000 where `Features.counts_modes` will hold, 10,000 elsewhere.

    Asked before anything is loaded: files are to have so many.

    Args:
      folders: of the runs, which have one data set.
    """
    name = data_flags.name_or("fashion_mnist")
    if folders and not flags.FLAGS["dataset"].present:
        name = configuration.read_config(folders[0]).dataset
    in_classes = _FEATURES.value in ("auto", "classifier")
    return 26_000 if in_classes and name.startswith(stacked.PREFIX) else 10_000


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _track(subject: comparison.Subject, values: comparison.Values) -> None:
    """Adds what was measured to the records that the run has in trackers."""
    folder, step = subject.folder, subject.step
    measures = {
        f"evaluation/{name}": value
        for name, value in values.items()
        if type(value) in (int, float)
    }
    try:
        if not (names := trackers.read_ids(folder)):
            return
        # Behind all that is there: TensorBoard drops what an earlier file has after it.
        lines = read_metrics(folder)
        last = max([step, *(line["step"] for line in lines[-1:])])
        run = Run.of(folder, subject.config, last, is_trained=False)
        # One process writes to a record: not this one while the run is being trained.
        with (
            run_folder.lock(folder, say=_say),
            trackers.Trackers([*names], run, _say) as records,
        ):
            records.scalars([{"step": step, **measures}])
            picture = folder / "neighbours.png"
            records.image(step, "evaluation/neighbours", picture)
    except UserError as error:
        _say(f"warning: its trackers are not told of what was measured: {error}")


def _reference(subjects: Sequence[comparison.Subject]) -> references.Reference:
    """The data set of --dataset; by default that of the runs, of files Fashion-MNIST.

    Raises:
      UserError: the runs have different ones, or theirs cannot be found again.
    """
    name, where = data_flags.name_or("fashion_mnist"), data_flags.where()
    theirs = None
    if not flags.FLAGS["dataset"].present:
        theirs = comparison.common_dataset(subjects)
    if theirs is not None:
        run = next(subject.folder for subject in subjects if subject.folder)
        place = configuration.read_place(run)
        name = str(place.get("dataset", theirs))
        where = data_flags.where_of(place)
        if name.rpartition("-")[0] in data.OWN:
            raise UserError(
                f"{run} does not say where its images are: name them with --dataset"
                " and --data_dir"
            )
    data_flags.check_pictures(name)
    reference = references.load_reference(
        name,
        measured_in=_FEATURES.value,
        inception_weights=_INCEPTION_WEIGHTS.value,
        quick=_QUICK.value,
        say=_say,
        **where,
    )
    found = reference.test_split.name
    if theirs not in (None, found):
        raise UserError(
            f"{subjects[0].name} was trained on {theirs}, and what is found now is"
            f" {found}: name the images that it was trained on with --data_dir"
        )
    return reference


if __name__ == "__main__":
    cli.run(main)
