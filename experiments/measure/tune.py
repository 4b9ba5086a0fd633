"""Tunes recipes: a random search with successive halving for each GAN.

    python -m experiments.measure.tune --gans=hinge,hinge_conditional
    python -m experiments.measure.tune --dataset=folder --data_dir=pictures
    python -m experiments.measure.tune --sweep=batch_size:8,penalty_weight:3..60:log

For each GAN it draws settings from the space below, trains each with a seed of its own,
measures all at the rungs of a halving by the distance to the training split, and lets
the best go on: the test split is not looked at, and the first seed is --seed, so that
the seeds 0, 1, ... of a comparison are not those that chose. Prints the best settings
of each; leaves a study's folder of each in --workdir, with results.json. Started again,
it goes on where it stopped.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import (
    cli,
    data_flags,
    gans,
    results,
    searching,
    study_report,
    tables,
)
from gan_jax.devices import available
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation import references
from gan_jax.losses import LOSSES
from gan_jax.run import run_folder
from gan_jax.study import engines, ledger, study_folder, sweep, waves
from gan_jax.study.halving import Halving
from gan_jax.system.files import write_text

_GANS = flags.DEFINE_list(
    "gans",
    [loss + suffix for loss in LOSSES for suffix in ("", "_conditional")],
    "What to tune: names of losses, with _conditional behind for conditional GANs.",
)
_SWEEP = flags.DEFINE_string(
    "sweep",
    "",
    "Numbers to draw, or to fix, in place of the usual, as experiments.study takes"
    " them: batch_size:8,penalty_weight:3..60:log.",
)
_SETTINGS = flags.DEFINE_integer("settings", 12, "Drawn for each GAN.")
_SEED = flags.DEFINE_integer("seed", 1000, "Of the first setting; others count on.")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 5000, "Samples for each FCD.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/tune", "Folder of all searches.")
_QUICK = flags.DEFINE_boolean(
    "quick", False, "Drawn images, four settings, few steps: for tests."
)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Markdown file for the table.")
flags.adopt_module_key_flags(data_flags)

# What is drawn, or fixed, on top of the published recipe. One pass over the images in
# batches of 16 is the same wall time for all losses but wasserstein.
_STEPS = "batch_size:16"
_RATES = "generator_lr:2e-3..1.2e-2:log,discriminator_lr:4e-4..3e-3:log"
_EMA = "ema_decay:0.97..0.998:linear"
_ADAM = f"{_STEPS},beta1:0,beta2:0.97..0.999:linear,{_RATES},{_EMA}"
_WITH_R1 = f"{_ADAM},penalty:r1,penalty_weight:2..30:log"
SPACES = {
    **dict.fromkeys(LOSSES, _WITH_R1),
    "wasserstein_gp": f"{_ADAM},penalty_weight:3..100:log",
    "relativistic": f"{_ADAM},penalty_weight:0.5..10:log",
    # Of RMSProp; generators that are slow, or not much faster than the critic, stay
    # behind.
    "wasserstein": f"{_STEPS},critic_steps:1,generator_lr:1e-3..1e-2:log,"
    f"discriminator_lr:5e-5..6e-4:log,clip:5e-3..6e-2:log,{_EMA}",
}
_SHOWN = 3  # settings of each GAN
RUNGS = Halving(3, 3, 2)  # found the best in ten of ten searches: docs/study.md


def main() -> None:
    """Searches for each GAN, prints its best settings, and writes them."""
    cli.require_positive(_SETTINGS)
    cli.require_in(_NUM_SAMPLES, 2, references.MOST)
    quick = _QUICK.value
    settings = cli.unless_quick(_SETTINGS, 4, quick)
    cli.require_seed(_SEED, settings)
    cli.require_writable(_MARKDOWN)
    data_flags.check()
    spaces = {gan: space_of(gan, _SWEEP.value) for gan in _GANS.value}
    searches = {
        gan: draw(gan, space, settings, _SEED.value) for gan, space in spaces.items()
    }
    if not searches:
        raise UserError("nothing to tune: name at least one of --gans")
    workdir = results.folder(_WORKDIR, "measure.tune")
    dataset = cli.unless_quick(data_flags.DATASET, "garments", quick)
    count = cli.unless_quick(_NUM_SAMPLES, 100, quick)
    steps = 18 if quick else None
    cli.a_device_a_core()
    devices = len(available.find_devices())
    subject = engines.load(dataset, count, quick=quick, **data_flags.where())
    warned = results.warn(subject.images.warning)
    at_once = waves.usual_at_once(subject.device)
    plan = waves.Plan(subject.images, 1, steps, devices, at_once, 500)
    shared = {
        "dataset": subject.images.name,
        "num_samples": count,
        "rungs": RUNGS._asdict(),
        "steps": steps,
        "sweep": _SWEEP.value,
    }
    for gan in searches:
        study_folder.check(workdir / gan, shared, overwrite=False)
    found = {}
    for gan, runs in searches.items():
        print(f"{gan}: {len(runs)} settings", flush=True)
        folder = workdir / gan
        conditional = gans.split(gan)[1]
        alone = study_report.shared_flags(
            subject.images, "published", conditional, quick
        )
        found[gan] = ranked(_search(subject, plan, runs, folder, shared, alone))
        about = {**shared, "space": spaces[gan], **warned}
        _publish(folder, gan, found[gan], about)
    markdown = results.as_markdown("measure.tune", *table(found), **warned)
    cli.write(_MARKDOWN, markdown)


def space_of(gan: str, changed: str) -> str:
    """From what a GAN's settings are drawn, as a sweep.

    Args:
      gan: name of a loss, with ``_conditional`` behind for a conditional GAN.
      changed: sweep of the numbers that are not to be as usual.

    Raises:
      UserError: an unknown name, or no sweep.
    """
    loss, _ = gans.split(gan)
    check_name("loss", loss, SPACES)
    others = searching.axes_without_seeds(changed)
    usual = [i for i in SPACES[loss].split(",") if i.partition(":")[0] not in others]
    return ",".join([*usual, *filter(None, [changed])])


def draw(gan: str, space: str, settings: int, seed: int) -> list[sweep.Run]:
    """The settings of a GAN's search, each with a seed of its own.

    Args:
      gan: name of a loss, with ``_conditional`` behind for a conditional GAN.
      space: from what they are drawn, as a sweep.
      settings: how many; of listed values, each has so many.
      seed: of the first.

    Raises:
      UserError: numbers that a recipe refuses.
    """
    loss, conditional = gans.split(gan)
    axes = sweep.parse(space) | {"seed": tuple(range(seed, seed + settings))}
    return sweep.expand([loss], "published", axes, conditional=conditional)


def _search(
    subject: engines.Subject,
    plan: waves.Plan,
    runs: list[sweep.Run],
    folder: pathlib.Path,
    shared: dict[str, Any],
    alone: dict[str, Any],
) -> list[ledger.Row]:
    """Trains a GAN's settings, or goes on; ends the process where a signal has come."""
    with run_folder.lock(folder):
        # Another may have begun it since: the searches before take hours.
        study_folder.check(folder, shared, overwrite=False)
        images, device = subject.images, subject.device
        study_folder.begin(folder, shared, images, device, False, alone)
        rows = searching.search(subject, plan, runs, RUNGS, folder, _say)
        if rows is None:
            done = len(ledger.read(folder))
            said = f"{folder.name}: {done} of {len(runs)} are measured"
            cli.stopped(said, "measure.tune")
        study_folder.end(folder)
    return rows


def _say(row: ledger.Row, samples: Any) -> None:
    """A line for each GAN at each rung; of the training split alone."""
    numbers = {**row["swept"], "seed": row["seed"]}
    last = searching.distances(row)[row["steps"]]
    distance = "no FCD" if last is None else f"FCD {last:.1f}"
    print(f"{_setting(numbers)}  {distance} at step {row['steps']}", flush=True)


def ranked(rows: Sequence[ledger.Row]) -> list[dict[str, Any]]:
    """Settings and distances at the rungs; the longest trained first, then the best."""
    found = [
        {
            "setting": row["swept"],
            "seed": row["seed"],
            "steps": row["steps"],
            "seconds": row["seconds"],
            "fcd_train": searching.distances(row),
        }
        for row in rows
    ]

    def order(gan: dict[str, Any]) -> tuple[int, float]:
        last = gan["fcd_train"][gan["steps"]]
        return -gan["steps"], float("inf") if last is None else last

    return sorted(found, key=order)


def _publish(
    folder: pathlib.Path,
    gan: str,
    found: list[dict[str, Any]],
    about: dict[str, Any],
) -> None:
    """Prints the best three of a search; writes all of it."""
    print(tables.as_text(*table({gan: found})), flush=True)
    document = {**results.begin("measure.tune"), **about, "settings": found}
    write_text(folder / "results.json", results.as_json(document))
    print(folder / "results.json", flush=True)


def table(
    found: dict[str, list[dict[str, Any]]],
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the best few settings of each GAN."""
    rows = []
    for gan, settings in found.items():
        for each in settings[:_SHOWN]:
            last = each["fcd_train"][each["steps"]]
            distance = "" if last is None else f"{last:.1f}"
            setting = _setting(each["setting"])
            rows.append([gan, distance, str(each["steps"]), setting])
    return ["GAN", "FCD to training", "steps", "setting"], rows


def _setting(numbers: dict[str, Any]) -> str:
    """In three digits."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in numbers.items()
    )


if __name__ == "__main__":
    cli.run(main)
