"""How a run is: done, running, stopped, half written, damaged, of another version."""

import functools
import json
import os
import pathlib
import socket
import time
from typing import Any, NamedTuple

from gan_jax import __version__, recipes
from gan_jax.errors import UserError
from gan_jax.evaluation.features import DISTANCES
from gan_jax.explore import folders
from gan_jax.run import checkpoints, configuration
from gan_jax.run.metrics_log import read_metrics
from gan_jax.run.run_folder import LOCK
from gan_jax.system.files import is_alive

DONE, RUNNING, STOPPED = "done", "running", "stopped"
HALF, DAMAGED, OTHER = "half-written", "damaged", "another version"
REFUSED = "not read"
_SILENT = 600  # seconds without a new file after which a run is not running
_FILES = ("config.json", "metrics.jsonl", "evaluation.json", LOCK)
_SIGNED = (*_FILES, "samples", checkpoints.FOLDER)
_MOST_BYTES = 2**20  # of a JSON file


class Run(NamedTuple):
    """A run as a list shows it.

    Attributes:
      name: below the root, with slashes.
      status: one of `DONE`, `RUNNING`, `STOPPED`, `HALF`, `DAMAGED`, `OTHER`,
        `REFUSED`.
      reason: of the status, in a line.
      config: its settings; None where they cannot be read.
      step: of the last line of metrics.jsonl; 0 where there is none.
      distance: what the last Frechet distance is called, and its value; or None.
      changed: when its files last changed, seconds since 1970.
    """

    name: str
    status: str
    reason: str
    config: configuration.Config | None
    step: int
    distance: tuple[str, float] | None
    changed: float

    @property
    def has_samples(self) -> bool:
        """Whether its networks can be restored, as far as one can see."""
        return self.status in (DONE, RUNNING, STOPPED) and self.config is not None


def describe_all(root: pathlib.Path) -> list[Run]:
    """Every run below a root, that which changed last first."""
    there = folders.listing(root)
    found = [describe(root, name) for name in there.runs]
    why = f"a link that leads outside of {root}"
    found += [_refused(name, why) for name in there.links]
    return sorted(found, key=lambda run: (-run.changed, run.name))


def describe(root: pathlib.Path, name: str) -> Run:
    """Reads what a list shows of a run; a folder that cannot be read is one, too.

    Args:
      root: of all runs.
      name: as `folders.listing` has it.
    """
    if name != folders.encodable(name):
        return _refused(name, "its name is not in UTF-8: rename the folder")
    folder = root / name
    try:
        for path in (folder, *(folder / file for file in _SIGNED)):
            folders.require_inside(root, path)
        read = _read(folder, signature(folder))
    except UserError as error:
        return _refused(name, str(error))
    except OSError as error:  # it is being deleted
        why = f"it cannot be read ({error.strerror})"
        return Run(name, DAMAGED, why, None, 0, None, 0)
    status, reason = _judge(folder, read)
    return Run(
        name, status, reason, read.config, read.step, read.distance, read.changed
    )


def _refused(name: str, why: str) -> Run:
    return Run(folders.encodable(name), REFUSED, why, None, 0, None, 0)


class _Read(NamedTuple):
    config: configuration.Config | None
    status: str | None  # where the settings or the metrics cannot be read
    reason: str
    step: int
    checkpoint: int | None
    distance: tuple[str, float] | None
    changed: float
    note: str


Signature = tuple[tuple[int, int] | None, ...]


def signature(folder: pathlib.Path) -> Signature:
    """Times and sizes of a run's files: what is read again when it differs."""

    def of(name: str) -> tuple[int, int] | None:
        try:
            found = os.stat(folder / name)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    return tuple(map(of, _SIGNED))


@functools.lru_cache(maxsize=1024)
def _read(folder: pathlib.Path, signed: Signature) -> _Read:
    """Everything that a list shows, read once for each `signature`."""
    config, status, reason, note = None, None, "", ""
    step, lines = 0, []
    try:
        config = configuration.read_config(folder)
        note = configuration.read_warning(folder) or ""
        lines = read_metrics(folder)
        step = lines[-1]["step"] if lines else 0
    except UserError as error:
        status, reason = _why_unreadable(folder, error)
    try:
        newest = checkpoints.newest(folder)
    except UserError as error:
        newest, status, reason = None, DAMAGED, str(error)
    times = [t[0] / 1e9 for t in signed if t is not None]
    distance = _evaluated(folder) or _logged(lines)
    changed = max(times, default=0.0)
    return _Read(config, status, reason, step, newest, distance, changed, note)


def _why_unreadable(folder: pathlib.Path, error: UserError) -> tuple[str, str]:
    """Whether a run is half written, damaged or of another version; and why."""
    path = folder / "config.json"
    if not path.is_file():
        return HALF, "it has no config.json: its training ended as it began"
    try:
        contents = configuration.read_json(path)
    except ValueError:
        return DAMAGED, str(error)
    if isinstance(contents, dict) and "study" in contents:
        return HALF, "a study that has no GAN yet"
    try:
        version = str(contents["versions"]["gan_jax"])[:30]
    except (KeyError, TypeError):
        return DAMAGED, str(error)
    if version != __version__ and "config.json" in str(error):
        return OTHER, f"of gan_jax {version}, and this is {__version__}: {error}"
    return DAMAGED, str(error)


def _judge(folder: pathlib.Path, read: _Read) -> tuple[str, str]:
    if read.status is not None:
        return read.status, read.reason
    assert read.config is not None
    total = read.config.steps
    note = f"; {read.note}" if read.note else ""
    own = recipes.of_ones_own(read.config.recipe)
    if own:
        note += f"; its {own[0][0]} is code of one's own: {own[0][1]}"
    if read.step < total and (who := _trainer(folder, read.changed)):
        return RUNNING, f"step {read.step} of {total}, {who}{note}"
    if read.checkpoint is None:
        return HALF, f"it ended at step {read.step}, before its first checkpoint{note}"
    if read.step < total:
        return (
            STOPPED,
            f"at step {read.step} of {total}: the same command goes on{note}",
        )
    return DONE, f"{total} steps{note}"


def _trainer(folder: pathlib.Path, changed: float) -> str | None:
    """Who seems to train there: a process that lives and writes; None for nobody.

    The lock itself is not tried: for that moment nobody else could take it.
    """
    if time.time() - changed > _SILENT:
        return None
    try:
        holder = json.loads((folder / LOCK).read_bytes()[:_MOST_BYTES])
        process, host = int(holder["process"]), str(holder["host"])[:100]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    except (RecursionError, OverflowError):  # brackets in brackets, Infinity
        return None
    if host == socket.gethostname() and not is_alive(process):
        return None
    return f"process {process} on {host}"


def evaluation(folder: pathlib.Path) -> dict[str, float]:
    """The measures of a run's evaluation.json, those that are numbers; or none."""
    try:
        found = configuration.read_json(folder / "evaluation.json")["values"]
        return {
            str(name): float(value)
            for name, value in found.items()
            if type(value) in (int, float)
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def _evaluated(folder: pathlib.Path) -> tuple[str, float] | None:
    values = evaluation(folder)
    key = next((key for key in DISTANCES if key in values), None)
    return None if key is None else (DISTANCES[key], values[key])


def _logged(lines: list[dict[str, Any]]) -> tuple[str, float] | None:
    """The last distance that training measured, to its own images."""
    for line in reversed(lines):
        for key, title in DISTANCES.items():
            if line.get(key) is not None:
                return f"{title} to training images", float(line[key])
    return None
