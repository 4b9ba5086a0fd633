"""A run folder: what a training run leaves behind, and how to read it again.

config.json      every setting, the data set really used, versions, devices
metrics.jsonl    one line a log step (`gan_jax.run.metrics_log`)
events.out.*     the same for TensorBoard
real.png         a hundred training images
samples/         step_000050.png ...: the same hundred latents over training
curves.png       the metrics, drawn
checkpoints/     the training state (`gan_jax.run.checkpoints`)
.lock            who trains here now; the system lets go of it when they end or die
"""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shlex
import socket
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import jax

from gan_jax import __version__, recipes
from gan_jax.errors import UserError
from gan_jax.recipes import Recipe
from gan_jax.run import checkpoints
from gan_jax.system.files import PART, remove, remove_abandoned, write_text

_LOCK = ".lock"
_OURS = (
    "metrics.jsonl",
    "real.png",
    "curves.png",
    "evaluation.json",
    "neighbours.png",
    "interpolation.png",
    "training.gif",
    "samples",
    checkpoints.DAMAGED,
    checkpoints.FOLDER,
)
_RECIPE_FIELDS = [field.name for field in dataclasses.fields(Recipe)]


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; two runs of equal configs end in the same numbers.

    Attributes:
      recipe: every number of the GAN.
      dataset: the data set really used.
      seed: of weights, data order and latents.
      steps: generator steps in all; a finished run may be continued with more.
      num_examples: how many of the training images, the first; None for all.
    """

    recipe: Recipe
    dataset: str
    seed: int
    steps: int
    num_examples: int | None = None

    def flags(self) -> dict[str, Any]:
        """The settings by the names of their flags."""
        flat = dataclasses.asdict(self)
        return flat.pop("recipe") | flat


def write_config(folder: pathlib.Path, config: Config, **notes: Any) -> None:
    """Writes ``config.json``: the settings, then notes, versions and devices."""
    device = jax.devices()[0]
    contents = {
        "flags": config.flags(),
        **notes,
        "versions": versions(),
        "devices": {"kind": device.device_kind, "platform": device.platform},
    }
    write_text(folder / "config.json", json.dumps(contents, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Of everything that the numbers of a run depend on."""
    libraries = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
    return {
        "gan_jax": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in libraries},
    }


def read_config(folder: pathlib.Path) -> Config:
    """Reads a run's settings back.

    Raises:
      UserError: there is no run in the folder, or its config.json is damaged.
    """
    check_letters(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"no run in {folder}: it has no config.json; train one with"
            f" python -m experiments.train --workdir={folder}"
        )
    try:
        flags = dict(_read_json(path)["flags"])
        recipe = Recipe(**{name: flags.pop(name) for name in _RECIPE_FIELDS})
        recipes.check(recipe)
        config = Config(recipe=recipe, **flags)
        _check_types(config)
        return config
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is damaged or of another version ({why}): train again with"
            " --overwrite"
        ) from error


def _read_json(path: pathlib.Path) -> Any:
    """Reads JSON that anybody may have written.

    Raises:
      ValueError: it is none.
    """
    try:
        return json.loads(path.read_bytes())
    except (RecursionError, OSError) as error:
        raise ValueError(str(error)) from error


def _check_types(config: Config) -> None:
    if not isinstance(config.dataset, str):
        raise ValueError(f"dataset={config.dataset}")
    for name, least in (("seed", 0), ("steps", 1), ("num_examples", 1)):
        value = getattr(config, name)
        if value is None and name == "num_examples":
            continue
        if type(value) is not int or not least <= value < 2**32:
            raise ValueError(f"{name}={value}")


def read_warning(folder: pathlib.Path) -> str | None:
    """What a user of the run's results has to know: garments stood in, perhaps."""
    warning = _read_json(folder / "config.json").get("warning")
    return None if warning is None else str(warning)


@contextlib.contextmanager
def claim(folder: pathlib.Path) -> Iterator[None]:
    """Holds a run folder for this process alone, and makes it where there is none.

    The lock is the system's, on an open file: that of a process that has died, however
    it died, is free. It also holds between machines that share the folder by NFS.

    Args:
      folder: run folder, already accepted by `check_folder`.

    Raises:
      UserError: another process has it; the folder cannot be made.
    """
    import filelock  # slow to import

    _make(folder)
    path = folder / _LOCK
    # Not by a file that merely exists, where the system has no locks: one would stay.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(
            f"--workdir={folder} is being trained in by {_holder(path)}: wait until it"
            " ends, stop it, or use another --workdir"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot lock {path} ({error.strerror}): delete it, or use another"
            " --workdir"
        ) from error
    try:
        now = datetime.datetime.now().astimezone()
        holder = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": now.isoformat(timespec="seconds"),
            "command": shlex.join(sys.argv),
        }
        with contextlib.suppress(OSError):  # a full disk locks no one out
            if path.stat().st_nlink == 1:  # no other file is this one
                path.write_text(json.dumps(holder))
        for place in (folder, folder / "samples"):
            remove_abandoned(place)
        yield
    finally:
        lock.release()


def _holder(lock: pathlib.Path) -> str:
    try:
        who = _read_json(lock)
        return (
            f"process {who['process']} on {who['host']} since {who['since']}"
            f" ({who['command']})"
        )
    except (ValueError, KeyError, TypeError):
        return "another process"


def check_letters(folder: pathlib.Path) -> None:
    """Refuses a name that checkpoints cannot be written under, in such a locale.

    Raises:
      UserError: it has other letters than ASCII and the locale, as C, knows none.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"--workdir={folder} has letters that are not in this locale: set"
            " PYTHONUTF8=1, or name a folder in plain ASCII"
        ) from error


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


def check_folder(folder: pathlib.Path) -> None:
    """Makes sure that some run may write to the folder; writes nothing itself.

    Raises:
      UserError: it is a file, it cannot be written to, or it holds files and no run.
    """
    check_place(folder)
    entries = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    # What a process that died before its first file was whole has left is nothing.
    entries = [name for name in entries if name != _LOCK and not name.endswith(PART)]
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
    if (folder / "config.json").exists() and not overwrite:
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


def _make(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to --workdir={folder} ({error.strerror}): choose another"
            " folder"
        ) from error


def _refuse_other_config(folder: pathlib.Path, config: Config) -> None:
    there, here = read_config(folder).flags(), config.flags()
    if differing := checkpoints.differences(there, here):
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
