"""Compares sample quality at an equal budget: PyTorch, published and tuned recipes.

    python -m experiments.measure.quality

Every program trains the same networks for one epoch, with several seeds: the PyTorch
peer with the published recipe, and this project with the published and the tuned one.
One classifier measures all of them against the test split. Prints a table and, for each
recipe, its FCD divided by the peer's. Leaves runs, the peers' samples and results.json
in --workdir; started again, it goes on with what is missing.
"""

import dataclasses
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys

from absl import flags

from experiments.common import cli, data_flags, gans, results, tables
from gan_jax import data, recipes
from gan_jax.devices import available
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation import comparison, references, report, score_table
from gan_jax.evaluation.features import distance_in
from gan_jax.run import checkpoints, configuration, loop, run_folder
from gan_jax.system.files import write_text

PROGRAMS = ("peer", "published", "tuned")

_GANS = flags.DEFINE_list(
    "gans",
    ["nonsaturating", "wasserstein_gp", "nonsaturating_conditional"],
    "What to train: names of losses, with _conditional behind for conditional GANs.",
)
_PROGRAMS = flags.DEFINE_list(
    "programs", list(PROGRAMS), "Which of peer (needs PyTorch), published and tuned."
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "How many seeds: --seed and the next ones.")
_SEED = flags.DEFINE_integer("seed", 0, "The first of the seeds.")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 10_000, "Samples of each run.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/quality", "Folder of all the runs.")
_QUICK = flags.DEFINE_boolean(
    "quick", False, "Ten steps on 640 garments: seconds, and numbers of no meaning."
)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Markdown file for the tables.")
flags.adopt_module_key_flags(data_flags)


@dataclasses.dataclass(frozen=True)
class Job:
    """One training run: of a GAN, by a program, with a seed."""

    gan: str
    program: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder or file, and of its row."""
        return f"{self.gan}/{self.program}/seed_{self.seed}"

    def recipe(self) -> recipes.Recipe:
        """The numbers; the peer's are the published ones."""
        return gans.recipe(
            self.gan, "tuned" if self.program == "tuned" else "published"
        )


def config_of(
    job: Job, dataset: data.Dataset, steps: int | None
) -> configuration.Config:
    """What a run of this project computes: ``steps``, or one epoch of the data set."""
    quick = steps is not None
    config = gans.config(job.recipe(), dataset, job.seed, epochs=1, quick=quick)
    return dataclasses.replace(config, steps=steps) if quick else config


def train(
    job: Job, dataset: data.Dataset, workdir: pathlib.Path, steps: int | None
) -> comparison.Subject:
    """Trains with this project, unless that is done, and says how to draw from it.

    Args:
      job: a run of "published" or "tuned".
      dataset: to train on.
      workdir: of the experiment.
      steps: generator steps; None for one epoch.
    """
    config = config_of(job, dataset, steps)
    folder = workdir / job.name
    with run_folder.lock(folder):
        run_folder.prepare(folder, config, overwrite=False)
        if checkpoints.newest(folder) != config.steps:
            place = data_flags.place(dataset)
            configuration.write_config(
                folder, config, source=dataset.source, data=place
            )
            devices = available.choose_devices(1)
            schedule = loop.Schedule(log_every=50, sample_every=500)
            state = loop.train(
                config,
                dataset,
                folder,
                schedule=schedule,
                devices=devices,
                should_stop=cli.signals.should_stop,
            )
            if (step := int(state.step)) < config.steps:
                done = f"{job.name} is saved at step {step} of {config.steps}"
                cli.stopped(done, "measure.quality")
    subject = comparison.run_subject(folder, _NUM_SAMPLES.value, job.seed)
    return dataclasses.replace(subject, name=job.name)


def train_peer(
    job: Job, dataset: data.Dataset, workdir: pathlib.Path, steps: int | None
) -> comparison.Subject:
    """Trains the PyTorch peer in a process of its own, unless that is done.

    Args and returns as in `train`.

    Raises:
      UserError: the process failed.
    """
    config = config_of(job, dataset, steps)
    path = workdir / f"{job.name}.npz"
    spec = {
        "recipe": dataclasses.asdict(config.recipe),
        "dataset": data_flags.name_of(dataset),
        "images": dataset.name,
        "examples": len(dataset.images),
        "steps": config.steps,
        "seed": job.seed,
        "num_samples": _NUM_SAMPLES.value,
    }
    # Beside the samples, so that those of another training are not taken for these.
    note = path.with_suffix(".json")
    if not (note.exists() and path.exists() and json.loads(note.read_text()) == spec):
        path.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        where = data_flags.where()
        where["pictures"] = dataclasses.asdict(where["pictures"])
        where["output"] = str(path)
        command = [sys.executable, "-m", "experiments.measure.peers.sampler"]
        done = subprocess.run([*command, json.dumps(spec | where)], check=False)
        if done.returncode:
            raise UserError(
                f"the PyTorch peer ended with status {done.returncode}: its message is"
                " above; leave it out with --programs=published,tuned"
            )
        write_text(note, json.dumps(spec) + "\n")
    subject = comparison.file_subject(path, _NUM_SAMPLES.value)
    return dataclasses.replace(subject, name=job.name, seed=job.seed)


def summarise(
    values: dict[str, comparison.Values], jobs: list[Job]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a row a GAN and program, means and deviations over seeds."""
    rows, there = [], score_table.columns(list(values.values()))
    for gan in dict.fromkeys(job.gan for job in jobs):
        peer = [j for j in jobs if (j.gan, j.program) == (gan, "peer")]
        for program in dict.fromkeys(job.program for job in jobs):
            group = [j for j in jobs if (j.gan, j.program) == (gan, program)]
            ratio = ""
            if peer and program != "peer":
                means = [_mean_distance(values, jobs) for jobs in (group, peer)]
                ratio = f"{means[0] / means[1]:.2f}"
            cells = score_table.cells([values[job.name] for job in group], there)
            rows.append([gan, program, ratio, *cells])
    return ["GAN", "program", "Frechet / peer's", *there], rows


def _mean_distance(values: dict[str, comparison.Values], jobs: list[Job]) -> float:
    key = distance_in(values[jobs[0].name])
    return statistics.mean(values[job.name][key] for job in jobs)


def _check_folder(folder: pathlib.Path, config: configuration.Config) -> None:
    try:
        run_folder.check(folder, config, overwrite=False)
    except UserError as error:
        raise UserError(
            f"{folder} cannot be taken up ({error}): use another --workdir"
        ) from error


def main() -> None:
    """Checks the flags, trains what is missing, measures, prints."""
    for flag in (_SEEDS, _NUM_SAMPLES):
        cli.require_positive(flag)
    cli.require_seed(_SEED, _SEEDS.value)
    cli.require_writable(_MARKDOWN)
    report.check_count(_NUM_SAMPLES.value)
    for program in _PROGRAMS.value:
        check_name("program", program, PROGRAMS)
    jobs = [
        Job(gan, program, seed)
        for gan in _GANS.value
        for seed in range(_SEED.value, _SEED.value + _SEEDS.value)
        for program in _PROGRAMS.value
    ]
    if not jobs:
        raise UserError("nothing to train: name at least one of --gans and --programs")
    for job in jobs:
        job.recipe()  # refuses unknown losses before anything is trained
    data_flags.check()
    if "peer" in _PROGRAMS.value and importlib.util.find_spec("torch") is None:
        raise UserError(
            "PyTorch is not installed: pip install 'gan_jax[peers]', or leave the peer"
            " out with --programs=published,tuned"
        )
    workdir = results.folder(_WORKDIR, "measure.quality")
    name = data_flags.name_or("garments" if _QUICK.value else "fashion_mnist")
    size, steps = (640, 10) if _QUICK.value else (None, None)
    dataset = data.load(name, garments_size=size, **data_flags.where())
    for job in jobs:
        if job.program != "peer":
            config = config_of(job, dataset, steps)
            _check_folder(workdir / job.name, config)

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    reference = references.load_reference(
        data_flags.name_of(dataset), quick=_QUICK.value, say=say, **data_flags.where()
    )
    warned = results.warn(dataset.warning)
    subjects = []
    for job in jobs:
        say(job.name)
        run = train_peer if job.program == "peer" else train
        subjects.append(run(job, dataset, workdir, steps))
    compared = comparison.compare(subjects, reference, _NUM_SAMPLES.value, say)
    values = {
        subject.name: value
        for subject, value in zip(subjects, compared.values, strict=True)
    }
    header, rows = summarise(values, jobs)
    cells = score_table.cells([compared.floor], header[3:])
    rows.append([comparison.FLOOR, "", "", *cells])
    print(tables.as_text(header, rows))
    document = {
        **results.begin("measure.quality"),
        **warned,
        "features": reference.measured_in.describe(),
        "num_samples": _NUM_SAMPLES.value,
        "recipes": {
            f"{job.gan}/{job.program}": dataclasses.asdict(job.recipe()) for job in jobs
        },
        "values": values,
        "floor": compared.floor,
    }
    write_text(workdir / "results.json", results.as_json(document))
    markdown = results.as_markdown("measure.quality", header, rows, **warned)
    cli.write(_MARKDOWN, markdown)
    print(workdir / "results.json")


if __name__ == "__main__":
    cli.run(main)
