"""Trains a GAN: one loss, one data set, one command.

    python -m experiments.train --loss=wasserstein_gp

Leaves config.json, metrics.jsonl, TensorBoard events, sample grids, curves.png and
checkpoints in --workdir; with --track, the same in other trackers (docs/trackers.md).
Started again on a workdir, a run goes on where it stopped; asked to end by SIGTERM or
Ctrl-C, it saves and says how to go on (docs/reliability.md).
"""

import dataclasses
import pathlib
import statistics
import sys

import jax
from absl import flags

from experiments.common import cli, data_flags, plan, train_flags
from experiments.common.plan import Plan
from gan_jax import data
from gan_jax.devices import available, placement, processes
from gan_jax.run import beginning, configuration, loop, recorder, run_folder
from gan_jax.run.metrics_log import read_metrics
from gan_jax.run.tracking import trackers

flags.adopt_module_key_flags(train_flags)


def main() -> None:
    """Trains, or goes on, until it is done or a signal asks to end."""
    asked = plan.plan()
    if asked.processes is not None:
        processes.connect(*asked.processes)
    devices = available.choose_devices(asked.num_devices)
    # The user's own images are opened, not read: an epoch is as long as they are.
    own = asked.load() if data.about(asked.dataset) is None else None
    asked = plan.plan(len(devices), own).with_weights()
    step = _train(asked, own, devices)
    if step < asked.steps:
        done = f"saved at step {step}" if step else "ended before the first step"
        cli.stopped(f"{done} of {asked.steps}", "train")


def _train(asked: Plan, own: data.Dataset | None, devices: list[jax.Device]) -> int:
    """Checks what the flags name, and trains up to the step that it returns."""
    available.local_batch_size(asked.recipe.batch_size, len(devices))
    # Whatever can be refused is refused before what takes time: a download, perhaps.
    if processes.is_first():
        trackers.check(asked.track)
        if asked.track and not asked.overwrite:
            trackers.read_ids(asked.workdir)
        if asked.dataset == "auto":
            run_folder.check_folder(asked.workdir)
        else:
            _check(asked, own or asked.dataset)
    dataset = own or asked.load()
    if dataset.warning:
        print(f"warning: {dataset.warning}", file=sys.stderr)
    if not processes.is_first():
        return _run(asked, dataset, devices, None)
    _check(asked, dataset)
    if asked.start is not None:
        beginning.check(asked.start, asked.config(dataset))
    evaluate = None
    if asked.schedule.evaluate_every:
        evaluate = _monitor(asked, dataset)
    with run_folder.lock(asked.workdir):
        _begin(asked, dataset, devices)
        step = _run(asked, dataset, devices, evaluate)
    if step == asked.steps:
        _summarise(asked.workdir, dataset)
    return step


def _check(asked: Plan, dataset: data.Dataset | str) -> None:
    run_folder.check(asked.workdir, asked.config(dataset), overwrite=asked.overwrite)


def _begin(asked: Plan, dataset: data.Dataset, devices: list[jax.Device]) -> None:
    """Makes the folder into that of this run, and says what will be trained."""
    config = asked.config(dataset)
    run_folder.prepare(asked.workdir, config, overwrite=asked.overwrite)
    notes = {
        "source": dataset.source,
        "data": data_flags.place(dataset),
        "num_devices": len(devices),
        "images_on": asked.images_on,
        "schedule": dataclasses.asdict(asked.schedule),
    }
    if asked.init_from is not None:
        notes[configuration.INIT_FROM] = str(asked.init_from.absolute())
    if dataset.warning:
        notes["warning"] = dataset.warning
    configuration.write_config(asked.workdir, config, **notes)
    recipe = asked.recipe
    kind = "conditional " if recipe.conditional else ""
    shape = " x ".join(map(str, dataset.shape))
    print(
        f"{kind}{recipe.loss} on {dataset.name}, {shape} ({dataset.source}),"
        f" {asked.steps} steps of {recipe.batch_size} on {len(devices)}"
        f" {devices[0].device_kind}",
        flush=True,
    )


def _run(
    asked: Plan,
    dataset: data.Dataset,
    devices: list[jax.Device],
    evaluate: recorder.Evaluate | None,
) -> int:
    state = loop.train(
        asked.config(dataset),
        dataset,
        asked.workdir,
        schedule=asked.schedule,
        evaluate=evaluate,
        devices=devices,
        images_on=asked.images_on,
        track=asked.track,
        start=asked.start,
        should_stop=cli.signals.should_stop,
    )
    return int(placement.local(state.step))


def _monitor(asked: Plan, dataset: data.Dataset) -> recorder.Evaluate:
    from gan_jax.evaluation import monitor, references  # late: most runs do without

    name = data_flags.name_of(dataset)
    reference = references.load_reference(name, fewest=2, **asked.where)
    found = monitor.Monitor(reference)
    print(f"measured: {found.describe()}", flush=True)
    return found


def _summarise(workdir: pathlib.Path, dataset: data.Dataset) -> None:
    if lines := read_metrics(workdir):
        last = lines[-1]
        losses = (f"{name} {_number(last.get(name))}" for name in ("d_loss", "g_loss"))
        pace = statistics.median(line.get("images_per_second") or 0 for line in lines)
        print(
            f"step {last['step']}: {', '.join(losses)}; {last['seconds']:.1f} s,"
            f" {pace:.0f} images/s"
        )
    print(f"samples      {workdir / 'samples'}  (real images: {workdir / 'real.png'})")
    print(f"curves       {workdir / 'curves.png'}")
    print(f"metrics      {workdir / 'metrics.jsonl'}")
    print(f"checkpoints  {workdir / 'checkpoints'}")
    if dataset.warning:
        print(f"warning: {dataset.warning}")


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    cli.run(main)
