"""The trackers of a run, each in a thread of its own; none may end or stall the run."""

import contextlib
import importlib
import importlib.util
import json
import pathlib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Self

from gan_jax.errors import UserError, check_name, quote
from gan_jax.run.metrics_log import read_metrics
from gan_jax.run.tracking.tracker import Line, Outcome, Run, Tracker
from gan_jax.system.files import write_text

# Names of --track, of modules of this folder and, but for the first, of packages and of
# our extras; the package that each needs.
TRACKERS = {
    "tensorboard": "tensorboardX",
    "trackio": "trackio",
    "wandb": "wandb",
    "mlflow": "mlflow",
}
DEFAULT = ("tensorboard",)
# Lines; something else; or, as the last one, how the run has ended.
Job = list[Line] | Callable[[Tracker], None] | Outcome
IDS = "trackers.json"  # of a run folder: the id of its record in each tracker
_ID = re.compile(r"[\w.-]{1,300}")
_SECONDS = 60  # to wait at the end for all of them


def check(names: Sequence[str], *, here: bool = True) -> None:
    """Makes sure that there are such trackers, once each.

    Args:
      names: as --track has them.
      here: whether their packages are needed in this process.

    Raises:
      UserError: a name is unknown or there twice; a package is not installed.
    """
    for i, name in enumerate(names):
        check_name("tracker", name, TRACKERS)
        if name in names[:i]:
            raise UserError(f"--track names {name} twice: name it once")
        # wandb leaves a folder of its name, which counts as a package of no origin.
        found = importlib.util.find_spec(TRACKERS[name]) if here else None
        if here and (found is None or found.origin is None):
            raise UserError(
                f"--track={name} needs a package that is not installed: pip install"
                f" 'gan_jax[{name}]'"
            )


def read_ids(folder: pathlib.Path) -> dict[str, str]:
    """The ids of a run's records by the trackers' names; none of an untracked run.

    Raises:
      UserError: the file is damaged.
    """
    path = folder / IDS
    if not path.exists():
        return {}
    try:
        ids = json.loads(path.read_bytes())
        for name, record in ids.items():
            if name not in TRACKERS or not _ID.fullmatch(record):
                raise ValueError(f"{name!r}: {record!r}")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read ({quote(error)}): delete it, and the run begins new"
            " records in its trackers"
        ) from error
    return ids


class Trackers:
    """Writes to all trackers of a run; a context manager.

    A tracker that cannot be opened, or that fails, is named in one line and left out
    from there on.
    """

    def __init__(
        self,
        names: Sequence[str],
        run: Run,
        say: Callable[[str], None] = print,
    ) -> None:
        """Opens none yet.

        Args:
          names: of trackers, already accepted by `check`.
          run: what the records are about.
          say: takes lines, in another thread.

        Raises:
          UserError: the folder's file of ids is damaged.
        """
        self._run, self._say = run, say
        self._last = run.step
        self._ids = read_ids(run.folder) if names else {}
        self._lock = threading.Lock()
        self._workers = {
            name: _Worker(name, partial(self._open, name), say) for name in names
        }

    def __enter__(self) -> Self:
        """Begins to open them; a new record gets the metrics that are there already."""
        ready = []
        for name, worker in self._workers.items():
            # Libraries are imported here: two threads may get halves of a third one.
            with worker.told():
                importlib.import_module(f"gan_jax.run.tracking.{name}")
                ready.append(worker)
        for worker in ready:
            with worker.told():
                worker.start()
        return self

    def __exit__(self, kind: type | None, error: Any, trace: Any) -> None:
        """Ends the records, and waits for that, a minute at most."""
        outcome: Outcome = "failed" if error is not None else "stopped"
        if error is None and self._last >= self._run.config.get("steps", 0):
            outcome = "finished"
        for worker in self._workers.values():
            worker.close(outcome)
        until = time.monotonic() + _SECONDS
        for name, worker in self._workers.items():
            if worker.ident is not None:  # it could be started
                worker.join(max(until - time.monotonic(), 0))
            if worker.is_alive():
                self._say(
                    f"warning: {name} has not written all within {_SECONDS} s: its"
                    " record may lack the end"
                )

    def scalars(self, lines: Sequence[Line]) -> None:
        """Gives them lines of metrics.jsonl."""
        if lines:
            self._last = lines[-1]["step"]
            self._all([*lines])

    def image(self, step: int, name: str, path: pathlib.Path) -> None:
        """Gives them a PNG file that stays where it is."""
        self._all(lambda tracker: tracker.image(step, name, path))

    def _all(self, job: "Job") -> None:
        for worker in self._workers.values():
            if worker.is_alive():  # else it has failed
                worker.jobs.put(job)

    def _open(self, name: str) -> Tracker:
        module = importlib.import_module(f"gan_jax.run.tracking.{name}")
        tracker = module.Tracker(self._run, self._ids.get(name))
        if tracker.where:
            self._say(tracker.where)
        if tracker.is_new:
            step = self._run.step
            lines = read_metrics(self._run.folder) if step else []
            tracker.scalars([line for line in lines if line["step"] <= step])
            tracker.image(0, "real", self._run.folder / "real.png")
        with self._lock:  # now, since a record that lacks its beginning is begun again
            if self._ids.get(name) != tracker.id:
                self._ids[name] = tracker.id
                text = json.dumps(self._ids, indent=2) + "\n"
                write_text(self._run.folder / IDS, text)
        return tracker


class _Worker(threading.Thread):
    """Opens a tracker and does, one after another, what it is to do.

    A daemon: where a library does not come back, the process can end.
    """

    def __init__(
        self, name: str, start: Callable[[], Tracker], say: Callable[[str], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._open, self._say = start, say

    def close(self, outcome: Outcome) -> None:
        """Has the record ended after all that was given before."""
        self.jobs.put(outcome)

    def run(self) -> None:
        """What the thread does."""
        with self.told():
            tracker = self._open()
            try:
                outcome = self._work(tracker)
            except BaseException:
                with contextlib.suppress(Exception):
                    tracker.close("failed")
                raise
            tracker.close(outcome)

    def _work(self, tracker: Tracker) -> Outcome:
        """Does what it is given until the end; lines that wait are given as one."""
        while True:
            lines, job = [], self.jobs.get()
            while isinstance(job, list):
                lines += job
                job = None if self.jobs.empty() else self.jobs.get()
            if lines:
                tracker.scalars(lines)
            if callable(job):
                job(tracker)
            elif job is not None:
                return job

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Says in one line what was raised, and raises nothing."""
        try:
            yield
        except (Exception, SystemExit) as error:  # of anybody's code
            self._say(
                f"warning: the tracker {self.name} fails, and records nothing from here"
                f" on: {quote(error)}"
            )
