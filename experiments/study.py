"""Trains many GANs at once and measures each: seeds, hyperparameters, losses.

    python -m experiments.study --loss=nonsaturating,wasserstein_gp --sweep=seed:0..15
    python -m experiments.study --sweep=generator_lr:1e-4..1e-2:log,seed:0..31
    python -m experiments.study --sweep=... --halving=3 --engine=ray --ray_address=auto

Every combination of the sweep's values is a GAN: the one that experiments.train makes
of the same numbers and the same seed. One program trains as many at once as fit on the
devices. Prints for each loss the distribution of FCD, the Frechet distance to the test
split, and the share of GANs that have collapsed (docs/study.md).

Leaves runs.jsonl and runs.csv (a line for each GAN), samples of each, results.json and
study.png in --workdir. Started again, a study goes on where it stopped; with a larger
sweep, it trains what is new.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.common import cli, data_flags, study_flags, study_report
from gan_jax import data, plots, recipes
from gan_jax.devices import available
from gan_jax.run import run_folder
from gan_jax.study import (
    cluster,
    connection,
    driver,
    engines,
    ledger,
    search,
    storages,
    study_folder,
    sweep,
    waves,
)
from gan_jax.system import locks, progress
from gan_jax.system.files import reading, whole_file

flags.adopt_module_key_flags(data_flags)
flags.adopt_module_key_flags(study_flags)


def main() -> None:
    """Trains, or goes on, until all GANs are measured or a signal asks to end."""
    asked = study_flags.read()
    with reading(asked.workdir):
        done = _study(asked)
    if done is not None:
        cli.stopped(done, "study")


def _study(asked: study_flags.Asked) -> str | None:
    """Trains and measures what is not done; says what is, where a signal has come."""
    overwrite = study_flags.OVERWRITE.value
    if study_flags.ENGINE.value == "ray":  # devices are for its tasks
        jax.config.update("jax_platforms", "cpu")
    else:  # before code of one's own is tried, which starts JAX
        cli.a_device_a_core(study_flags.NUM_DEVICES.value)
    # Whatever can be refused is refused before what takes time.
    run_folder.check_folder(asked.workdir)
    storage = study_flags.STORAGE.value
    # One inside would be a file in what is no study's folder yet.
    inside = bool(storage) and storages.is_inside(storage, asked.workdir)
    if storage and not inside:
        storages.check(storage)
    about = data.about(asked.dataset)
    if about is not None:
        _check(asked, data.Description("", *about))
        if asked.dataset != "auto":
            settings = asked.settings(asked.dataset)
            study_folder.check(asked.workdir, settings, overwrite)
    if (asked.workdir / "config.json").exists():
        with run_folder.lock(asked.workdir):  # while another trains here, at once
            pass
    with _engine(asked) as engine:
        images = engine.images
        if images.warning:
            print(f"warning: {images.warning}", file=sys.stderr)
        _check(asked, images)  # refused before the folder is touched
        settings = asked.settings(images.name)
        study_folder.check(asked.workdir, settings, overwrite)
        with run_folder.lock(asked.workdir) as held:
            if inside:  # before anything of an old study is removed
                storages.check(storage)
            study_folder.begin(
                asked.workdir,
                settings,
                images,
                engine.device,
                overwrite,
                _shared(images),
            )
            engine.save_in(asked.workdir)
            return _train(asked, engine, held)


def _check(asked: study_flags.Asked, images: data.Description) -> None:
    """Refuses GANs that the images are too few or too small for."""
    plan = _plan(asked, images, 1, 1)
    for program in sweep.programs(asked.examples()):
        asked.rungs.steps(plan.steps_of(program.recipe))
        recipes.try_gan(program.recipe, images.shape, images.num_classes)


def _plan(
    asked: study_flags.Asked, images: data.Description, num_devices: int, at_once: int
) -> waves.Plan:
    every = study_flags.CHECKPOINT_EVERY.value
    return waves.Plan(images, asked.epochs, asked.steps, num_devices, at_once, every)


@contextlib.contextmanager
def _engine(asked: study_flags.Asked) -> Iterator[driver.Engine]:
    """What trains, with the data set at hand."""
    stop = cli.signals.should_stop
    load = functools.partial(
        engines.load,
        asked.dataset,
        study_flags.NUM_SAMPLES.value,
        quick=study_flags.QUICK.value,
        **_where(),
    )
    if study_flags.ENGINE.value == "local":
        available.choose_devices(study_flags.NUM_DEVICES.value)
        yield engines.Local(load(), stop)
        return
    with connection.connected(study_flags.RAY_ADDRESS.value):
        yield cluster.Cluster(load, study_flags.NUM_DEVICES.value or 1, stop)


def _where() -> dict[str, Any]:
    """Where the data set is, for a process of another folder and environment."""
    where = data_flags.where()
    if study_flags.ENGINE.value == "ray":  # its tasks do not have this variable
        where["data_dir"] = where["data_dir"] or os.environ.get("GAN_JAX_DATA_DIR")
    where["data_dir"] = data_flags.absolute(where["data_dir"])
    return where


def _train(
    asked: study_flags.Asked, engine: driver.Engine, held: locks.Held
) -> str | None:
    """Trains what is missing and writes what was found; or says what is done."""
    ray = study_flags.ENGINE.value == "ray"
    devices = study_flags.NUM_DEVICES.value or (1 if ray else len(jax.devices()))
    at_once = study_flags.AT_ONCE.value or waves.usual_at_once(engine.device)
    plan = _plan(asked, engine.images, devices, at_once)
    searches = [_search(asked, loss) for loss in asked.searched]
    count = f"{len(asked.runs)} GANs"
    if searches:
        count = f"{study_flags.TRIALS.value} settings of each loss"
    where = f"{engine.images.name} ({engine.images.source})"
    print(f"{count} on {where}, {devices} {engine.device} a wave", flush=True)
    total = len(asked.runs) if asked.rungs.rungs == 1 and not searches else None
    with progress.bar("study", total, unit="GAN") as bar:

        def keep(row: ledger.Row, samples: np.ndarray | None) -> None:
            held.require()  # what is another's now is not written to
            if samples is not None:
                name = f"{study_report.file_name(row)}.png"
                with whole_file(asked.workdir / "samples" / name) as file:
                    plots.save_grid(file, samples)
            print(study_report.line(row, so_far=True), flush=True)
            bar.update()

        varying = [*asked.drawn] if searches else []
        found = driver.Driver(engine, plan, asked.workdir, keep, asked.rungs, varying)
        if already := _done(found, asked.runs):
            print(f"{already} of them are done already", flush=True)
            bar.update(already if total else 0)
        for each in searches:
            each.require_rows(found.rows.keys(), found.key)
        is_whole = found.train(asked.runs) and all(map(found.search, searches))
    runs = asked.runs + [run for each in searches for run in each.runs()]
    keyed = {found.key(run): run for run in runs}  # Optuna may choose the same twice
    runs = [*keyed.values()]
    if not is_whole:
        return f"{_done(found, runs)} of {len(runs)} GANs are done"
    ordered = {key: found.rows[key] for key in keyed}
    rows = [*ordered.values()]
    # Behind them, those of a larger sweep that this folder has held before.
    ledger.write(asked.workdir, [*(ordered | found.rows).values()])
    study_folder.end(asked.workdir)
    study_report.publish(
        asked.workdir,
        rows,
        runs,
        asked.drawn,
        engine.images,
        engine.device,
        engine.floor,
        _shared(engine.images),
    )
    return None


def _shared(images: data.Description) -> dict[str, Any]:
    flags = study_flags
    recipe, conditional = flags.RECIPE.value, flags.CONDITIONAL.value
    return study_report.shared_flags(images, recipe, conditional, flags.QUICK.value)


def _done(found: driver.Driver, runs: list[sweep.Run]) -> int:
    """How many are trained to their end."""
    rows = (found.rows.get(found.key(run)) for run in runs)
    return sum(row is not None and not ledger.is_stopped(row) for row in rows)


def _search(asked: study_flags.Asked, loss: str) -> search.Search:
    """What Optuna asks for of a loss."""
    return search.Search(
        study_flags.STORAGE.value or str(asked.workdir / study_folder.JOURNAL),
        loss,
        asked.axes,
        functools.partial(study_flags.expand, (loss,)),
        sampler=study_flags.SAMPLER.value,
        trials=study_flags.TRIALS.value,
        seed=study_flags.SEED.value,
        owner=study_folder.owner(asked.workdir),
        overwrite=study_flags.OVERWRITE.value,
    )


if __name__ == "__main__":
    cli.run(main)
