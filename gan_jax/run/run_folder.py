"""A run folder: what a training run leaves behind, and how to read it again.

config.json      every setting, the data set really used, versions, devices
metrics.jsonl    one line a log step (`gan_jax.run.metrics_log`)
events.out.*     the same for TensorBoard; trackers.json, its records in other trackers
real.png         up to a hundred training images
samples/         step_000050.png ...: the same hundred latents over training
curves.png       the metrics, drawn
checkpoints/     the training state (`gan_jax.run.checkpoints`)
.lock            who trains here now (`gan_jax.system.locks`)
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

from gan_jax.errors import UserError
from gan_jax.run import checkpoints
from gan_jax.run.configuration import (
    INIT_FROM,
    Config,
    check_letters,
    read_config,
    read_json,
    refuse_code_inside,
)
from gan_jax.run.differing import differences
from gan_jax.run.tracking import trackers
from gan_jax.system import locks, remote
from gan_jax.system.files import PART, remove, remove_abandoned
from gan_jax.system.remote import Place, is_remote

LOCK = ".lock"
EXPORTED = ("onnx", "stablehlo", "safetensors", "npz")  # endings of `gan_jax.export`
_OURS = (
    "metrics.jsonl",
    trackers.IDS,
    "real.png",
    "curves.png",
    "evaluation.json",
    "neighbours.png",
    "interpolation.png",
    "training.gif",
    "averages.npz",
    *(f"generator.{ending}" for ending in EXPORTED),
    "samples",
    checkpoints.DAMAGED,
    checkpoints.FOLDER,
)


@contextlib.contextmanager
def lock(
    folder: Place,
    *,
    times: locks.Times = locks.TIMES,
    say: Callable[[str], None] = print,
) -> Iterator[locks.Held]:
    """Holds a folder for this process alone, and makes it where there is none.

    Args:
      folder: of a run or a study, already accepted by `check_folder`.
      times: of the lease that holds one in a store.
      say: is told of a dead process's lease that was taken over.

    Yields:
      What knows whether it is still held (`gan_jax.system.locks`).

    Raises:
      UserError: another process has it; the folder cannot be made.
    """
    _make(folder)
    path = folder / LOCK
    with contextlib.ExitStack() as stack:
        try:
            if is_remote(folder):
                held = stack.enter_context(locks.lease(path, times=times, say=say))
            else:
                held = stack.enter_context(locks.local(path))
        except locks.TakenError as error:
            raise UserError(
                f"--workdir={folder} is being trained in by {error}: wait until it"
                " ends, stop it, or use another --workdir"
            ) from None
        except OSError as error:
            raise UserError(
                f"cannot lock {path} ({error.strerror}): delete it, or use another"
                " --workdir"
            ) from error
        if not is_remote(folder):
            for place in (folder, *filter(pathlib.Path.is_dir, folder.iterdir())):
                remove_abandoned(place)
        yield held


def check_place(folder: pathlib.Path) -> None:
    """Makes sure that the folder may be written to, or made; writes nothing itself.

    Raises:
      UserError: it is a file, or it cannot be written to.
    """
    check_letters(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--workdir={folder} is a file: name a folder")
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"cannot write to --workdir={folder}: choose another folder")


def check_folder(folder: Place) -> None:
    """Makes sure that some run may write to the folder; writes nothing itself.

    Of one in a store, only that it may be read.

    Raises:
      UserError: it is a file, it cannot be written to, or it holds files and no run.
    """
    if is_remote(folder):
        entries = sorted(remote.entries(folder))
    else:
        check_place(folder)
        entries = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    # What a process that died before its first file was whole has left is nothing.
    entries = [name for name in entries if name != LOCK and not name.endswith(PART)]
    if entries and "config.json" not in entries:
        raise UserError(
            f"--workdir={folder} holds files and no run ({entries[0]}...): name an"
            " empty or a new folder"
        )


def check(folder: pathlib.Path, config: Config, *, overwrite: bool) -> None:
    """Makes sure that a run of this config may write to the folder.

    Args:
      folder: run folder.
      config: what the run is to compute.
      overwrite: whether a run that is there may be deleted.

    Raises:
      UserError: as `check_folder`; or the folder holds the run of another
        configuration, or one that is trained further than this is to be.
    """
    check_folder(folder)
    refuse_code_inside(config, folder)
    if (folder / "config.json").exists():
        if overwrite:
            _refuse_other_program(folder)
        else:
            _refuse_other_config(folder, config)


def prepare(folder: pathlib.Path, config: Config, *, overwrite: bool) -> None:
    """Makes the folder of a run, without the run that it held if told to overwrite.

    Of that, config.json stays, for `write_config` to replace. Args and errors as in
    `check`.
    """
    check(folder, config, overwrite=overwrite)
    if (folder / "config.json").exists() and overwrite:
        _delete_run(folder)
    _make(folder)


def _make(folder: Place) -> None:
    if is_remote(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to --workdir={folder} ({error.strerror}): choose another"
            " folder"
        ) from error


def _refuse_other_program(folder: pathlib.Path) -> None:
    """What is deleted is a run, or what is left of one that is damaged."""
    try:
        found = read_json(folder / "config.json")
    except ValueError:
        return
    if not isinstance(found, dict) or "flags" not in found or "study" in found:
        raise UserError(
            f"--workdir={folder} holds something else than a run: name another folder"
        )


def _refuse_other_config(folder: pathlib.Path, config: Config) -> None:
    there, here = read_config(folder).flags(), config.flags()
    if there.get(INIT_FROM) != here.get(INIT_FROM):
        began = read_json(folder / "config.json").get(INIT_FROM)
        how = "without --init_from: leave that out"
        if began:
            how = f"with --init_from={began}: give that"
        raise UserError(
            f"--workdir={folder} holds a run that began {how} to go on with it, or use"
            " another --workdir, or --overwrite"
        )
    if differing := differences(there, here):
        raise UserError(
            f"--workdir={folder} holds another run ({differing}): use another"
            " --workdir, or --overwrite"
        )
    trained = checkpoints.newest(folder)
    if trained is not None and config.steps < trained:
        raise UserError(
            f"--workdir={folder} is trained up to step {trained} already, and"
            f" --steps={config.steps} asks for less: ask for more, or use --overwrite"
        )


def _delete_run(folder: pathlib.Path) -> None:
    events = [path.name for path in folder.glob("events.out.*")]
    # The settings stay until others replace them: what breaks off can be repeated.
    for name in (*events, *_OURS):
        remove(folder / name)
