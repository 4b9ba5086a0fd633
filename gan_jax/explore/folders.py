"""Which runs and studies lie below a folder; nothing outside of it is read."""

import os
import pathlib
from typing import NamedTuple

from gan_jax.errors import UserError
from gan_jax.run import checkpoints
from gan_jax.run.run_folder import LOCK
from gan_jax.study import ledger, trainer

DEPTH = 5  # folders below each other, at most
_OF_A_RUN = {"config.json", "metrics.jsonl", checkpoints.FOLDER, LOCK}
_OF_A_STUDY = {ledger.LINES, ledger.TABLE, trainer.WAVE}


class Listing(NamedTuple):
    """The folders below a root that hold something, as names with slashes.

    Attributes:
      runs: of `experiments.train`; a root that is a run itself is ".".
      studies: of `experiments.study`.
      links: that lead outside of the root, and are not followed.
    """

    runs: list[str]
    studies: list[str]
    links: list[str]


def listing(root: pathlib.Path) -> Listing:
    """Looks for runs and studies; of their files it reads nothing.

    A folder that cannot be read, or a root that is not there, holds none.
    """
    found = Listing([], [], [])

    def look(folder: pathlib.Path, name: str, depth: int) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        names = {entry.name for entry in entries}
        if names & _OF_A_STUDY:
            found.studies.append(name or ".")
        elif names & _OF_A_RUN:
            found.runs.append(name or ".")
        elif depth < DEPTH:
            for entry in entries:
                below = f"{name}/{entry.name}" if name else entry.name
                path = pathlib.Path(entry.path)
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    look(path, below, depth + 1)
                elif entry.is_symlink() and not is_inside(root, path):
                    found.links.append(below)

    look(root, "", 0)
    return found


def find(root: pathlib.Path, name: str) -> pathlib.Path:
    """The folder of a run or a study that `listing` names.

    Args:
      root: of all runs.
      name: anything that somebody has sent.

    Raises:
      UserError: there is none of that name, or no longer.
    """
    there = listing(root)
    if name not in there.runs and name not in there.studies:
        shown = "".join(c if c.isprintable() else "?" for c in str(name)[:100])
        raise UserError(f"there is no run {shown!r} in {root}: choose one of the list")
    return root / name


def is_inside(root: pathlib.Path, path: pathlib.Path) -> bool:
    """Whether a path, with all its links followed, lies below a root."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return False


def encodable(text: str) -> str:
    """A text with a code for each sign that UTF-8 does not have, as a page needs it."""
    return text.encode(errors="backslashreplace").decode()


def require_inside(root: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """The path itself, where it may be read.

    Raises:
      UserError: it leads outside of the root.
    """
    if not is_inside(root, path):
        raise UserError(f"{path} leads outside of {root}: it is not read")
    return path


def require_all_inside(root: pathlib.Path, folder: pathlib.Path) -> None:
    """Looks at every file of a run, before a library is told to read some of them.

    Raises:
      UserError: one of them leads outside of the root.
    """
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (entry := pathlib.Path(path, name)).is_symlink():
                require_inside(root, entry)
    require_inside(root, folder)
