"""Trains many GANs at once and measures each: seeds, hyperparameters, losses.

    python -m experiments.study --loss=nonsaturating,wasserstein_gp --sweep=seed:0..15
    python -m experiments.study --sweep=generator_lr:1e-4..1e-2:log,seed:0..31

Every combination of the sweep's values is a GAN: the one that experiments.train makes
of the same numbers and the same seed. One program trains as many at once as fit on the
devices. Prints for each loss the distribution of FCD, the Frechet distance to the test
split, and the share of GANs that have collapsed (docs/study.md).

Leaves runs.jsonl and runs.csv (a line for each GAN), samples of each, results.json and
study.png in --workdir. Started again, a study goes on where it stopped; with a larger
sweep, it trains what is new.
"""

import contextlib
import os
import pathlib
import sys
from typing import Any, NamedTuple

import jax
from absl import flags

from experiments.common import cli, data_flags, study_report
from gan_jax import data, plots, recipes, training
from gan_jax.devices import available, many
from gan_jax.errors import UserError
from gan_jax.evaluation import report
from gan_jax.run import run_folder
from gan_jax.study import ledger, populations, study_folder, sweep, waves
from gan_jax.system.files import whole_file

_LOSS = flags.DEFINE_list(
    "loss",
    ["nonsaturating", "wasserstein_gp"],
    "Losses, with commas between; your own as mine.py:NAME.",
)
_SWEEP = flags.DEFINE_string(
    "sweep",
    "seed:0..7",
    "Which GANs of each loss, in quotes: name:1|10 and seed:0..15 list values,"
    " generator_lr:1e-4..1e-2:log:5 is a grid of five, all combined;"
    " generator_lr:1e-4..1e-2:log (or :linear) is drawn for each GAN. Names are the"
    " numbers and names of a recipe, as in experiments.train, and seed.",
)
_RECIPE = flags.DEFINE_string(
    "recipe", "tuned", "Table of the recipes: published or tuned."
)
_CONDITIONAL = flags.DEFINE_boolean(
    "conditional", False, "Give both networks the labels."
)
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the training images.")
_STEPS = flags.DEFINE_integer(
    "steps", None, "Generator steps of each GAN, instead of --epochs."
)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 5000, "Samples for each FCD.")
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of what the sweep draws. (Seeds of GANs are in --sweep.)"
)
_NUM_DEVICES = flags.DEFINE_integer(
    "num_devices",
    None,
    "Devices to train on, each its own GANs. Default: all; on a CPU, one a core.",
)
_AT_ONCE = flags.DEFINE_integer(
    "at_once",
    None,
    "GANs that each device trains side by side; the others wait. Default: 1 on a CPU,"
    " where more are no faster, and 32 elsewhere. The last ones are filled up with"
    " copies, which take time and are thrown away.",
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 500, "Generator steps between checkpoints of those under way."
)
_WORKDIR = flags.DEFINE_string("workdir", "runs/study", "Folder of the study.")
_OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "Delete the study that --workdir holds."
)
_QUICK = flags.DEFINE_boolean(
    "quick", False, "Drawn images, two seeds, twenty steps: seconds, for tests."
)

flags.adopt_module_key_flags(data_flags)


class Asked(NamedTuple):
    """What the flags ask for, as far as they alone can say."""

    runs: list[sweep.Run]
    drawn: dict[str, sweep.Range]
    dataset: str
    epochs: int
    steps: int | None
    workdir: pathlib.Path


def main() -> None:
    """Trains, or goes on, until all GANs are measured or a signal asks to end."""
    asked = _asked()
    done = _study(asked)
    if done < len(asked.runs):
        cli.stopped(f"{done} of {len(asked.runs)} GANs are done", "study")


def _asked() -> Asked:
    """Checks the flags; touches neither a device nor a file.

    Raises:
      UserError: one of them, or two together, make no sense.
    """
    for flag in (_EPOCHS, _STEPS, _AT_ONCE, _NUM_DEVICES, _CHECKPOINT_EVERY):
        cli.require_positive(flag)
    cli.require_losses(_LOSS)
    cli.require_seed(_SEED)
    if not 2 <= _NUM_SAMPLES.value <= report.MOST:
        raise UserError(
            f"--num_samples={_NUM_SAMPLES.value} must be in 2 ... {report.MOST}"
        )
    if not _WORKDIR.value:
        raise UserError("--workdir is empty: name a folder")
    quick = _QUICK.value
    axes = sweep.parse(cli.unless_quick(_SWEEP, "seed:0..1", quick))
    dataset = cli.unless_quick(data_flags.DATASET, "garments", quick)
    data_flags.check()
    members = sweep.expand(
        tuple(dict.fromkeys(_LOSS.value)),
        _RECIPE.value,
        axes,
        conditional=_CONDITIONAL.value,
        draw_seed=_SEED.value,
    )
    about = data.about(dataset)
    for program in sweep.programs(members) if about is not None else ():
        recipe = program.recipe
        recipes.try_gan(recipe, about.shape, about.num_classes)
        training.steps_per_epoch(recipe, about.size, recipe.batch_size)
    return Asked(
        runs=members,
        drawn={n: axis for n, axis in axes.items() if isinstance(axis, sweep.Range)},
        dataset=dataset,
        epochs=_EPOCHS.value,
        steps=cli.unless_quick(_STEPS, 20, quick),
        workdir=pathlib.Path(_WORKDIR.value).expanduser(),
    )


def _study(asked: Asked) -> int:
    """Trains and measures what is not done; says how many are."""
    devices, overwrite = _devices(), _OVERWRITE.value
    at_once = _AT_ONCE.value or (1 if devices[0].platform == "cpu" else 32)
    # Whatever can be refused is refused before what takes time.
    run_folder.check_folder(asked.workdir)
    if asked.dataset != "auto" and data.about(asked.dataset) is not None:
        study_folder.check(asked.workdir, _settings(asked, asked.dataset), overwrite)
    quick = _QUICK.value
    reference = report.load_reference(asked.dataset, quick=quick, **data_flags.where())
    dataset = reference.training_split
    if dataset.warning:
        print(f"warning: {dataset.warning}", file=sys.stderr)
    plan = waves.Plan(
        asked.epochs, asked.steps, devices, at_once, _CHECKPOINT_EVERY.value
    )
    for program in sweep.programs(asked.runs):  # refused before the folder is touched
        plan.steps_of(program.recipe, len(dataset.images))
        recipes.try_gan(program.recipe, dataset.shape, dataset.num_classes)
    settings = _settings(asked, dataset.name)
    study_folder.check(asked.workdir, settings, overwrite)
    with run_folder.lock(asked.workdir):
        study_folder.begin(asked.workdir, settings, dataset, devices, overwrite)
        print(
            f"{len(asked.runs)} GANs on {dataset.name} ({dataset.source}),"
            f" {len(devices)} {devices[0].device_kind}"
        )
        rows = _train(asked, plan, reference)
        if len(rows) == len(asked.runs):
            shared = {
                "recipe": _RECIPE.value,
                **data_flags.place(dataset),
                "conditional": True if _CONDITIONAL.value else None,
                "num_examples": len(dataset.images) if quick else None,
                "num_devices": 1,
            }
            study_report.publish(
                asked.workdir, rows, asked.runs, asked.drawn, dataset, shared
            )
    return len(rows)


def _devices() -> list[jax.Device]:
    """Those that are there; on a CPU, simulated ones: one a core, or as named."""
    with contextlib.suppress(RuntimeError):  # in use already: those that are there
        if not os.environ.get("JAX_NUM_CPU_DEVICES"):
            jax.config.update("jax_num_cpu_devices", _NUM_DEVICES.value or cli.cores())
    return available.choose_devices(_NUM_DEVICES.value)


def _settings(asked: Asked, dataset: str) -> dict[str, Any]:
    """What all GANs of a study share, by the names of the flags."""
    return {
        "recipe": _RECIPE.value,
        "conditional": _CONDITIONAL.value,
        "dataset": dataset,
        "epochs": None if asked.steps else asked.epochs,
        "steps": asked.steps,
        "num_samples": _NUM_SAMPLES.value,
        "seed": _SEED.value,
        "quick": _QUICK.value,
    }


def _train(
    asked: Asked, plan: waves.Plan, reference: report.Reference
) -> list[ledger.Row]:
    """Trains and measures what is missing; the rows of all that is done, in order."""
    dataset = reference.training_split
    keys = [ledger.key(plan.config(run, dataset)) for run in asked.runs]
    found = ledger.read(asked.workdir)
    if done := sum(key in found for key in keys):
        print(f"{done} of them are done already", flush=True)
    judge = None
    if done < len(keys):
        judge = populations.Judge(reference, _NUM_SAMPLES.value)

    def is_missing(run: sweep.Run) -> bool:
        return ledger.key(plan.config(run, dataset)) not in found

    for program in sweep.programs(asked.runs):
        # Of all, also of those that are done: what is left goes on in the same program.
        fitted = plan.fit(len(program.runs))
        rest = program._replace(runs=list(filter(is_missing, program.runs)))
        trained = waves.train(
            rest, dataset, fitted, asked.workdir, should_stop=cli.signals.should_stop
        )
        for wave in trained:
            rows = []
            for i, run in enumerate(wave.runs):
                measures, images = judge(wave.gan, many.pick(wave.states, i))
                config = plan.config(run, dataset)
                row = ledger.row(run, config, wave.seconds, measures)
                rows.append(row)
                found[ledger.key(config)] = row
                if images is not None:
                    name = f"{study_report.file_name(row)}.png"
                    with whole_file(asked.workdir / "samples" / name) as file:
                        plots.save_grid(file, images[:100])
                print(study_report.line(row), flush=True)
            ledger.append(asked.workdir, rows)
        if cli.signals.received is not None:
            break
    ordered = {key: found[key] for key in keys if key in found}
    # Behind them, those of a larger sweep that this folder has held before.
    ledger.write(asked.workdir, list((ordered | found).values()))
    return list(ordered.values())


if __name__ == "__main__":
    cli.run(main)
