"""What a tracker is."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from gan_jax.run.configuration import Config

PROJECT = "gan_jax"  # project of trackio and wandb, experiment of MLflow

Outcome = Literal["finished", "stopped", "failed"]
Line = dict[str, Any]  # of metrics.jsonl: "step", and numbers or None by name


@dataclasses.dataclass(frozen=True)
class Run:
    """What a record is about.

    Attributes:
      folder: of the run; its name is the record's name.
      config: the settings, by the names of their flags.
      step: the last that was taken before.
      is_trained: whether it is being trained; else something is added to its record,
        and how it has ended stays as it is.
    """

    folder: pathlib.Path
    config: dict[str, Any]
    step: int
    is_trained: bool = True

    @classmethod
    def of(
        cls, folder: pathlib.Path, config: Config, step: int, *, is_trained: bool = True
    ) -> "Run":
        """The run of a config in a folder."""
        workdir = {"workdir": str(folder.absolute())}
        return cls(folder, config.flags() | workdir, step, is_trained)

    @property
    def name(self) -> str:
        """Of the record."""
        return self.folder.absolute().name


class Tracker(Protocol):
    """A record of one run in one tracker, open for writing.

    Every method may raise whatever the library raises: `trackers.Trackers` then leaves
    this tracker out, and the run goes on.

    Attributes:
      id: names the record, for a process that continues it.
      is_new: whether the record holds nothing of an earlier process.
      where: one line: where the record is, and the command that shows it. Empty where
        the library says so itself.
    """

    id: str
    is_new: bool
    where: str

    def __init__(self, run: Run, record: str | None) -> None:
        """Opens the record of that id, or a new one."""

    def scalars(self, lines: Sequence[Line]) -> None:
        """Takes lines of metrics.jsonl, in the order of their steps."""

    def image(self, step: int, name: str, path: pathlib.Path) -> None:
        """Takes a picture, as a PNG file."""

    def close(self, outcome: Outcome) -> None:
        """Ends the record; another process may continue it."""


def numbers(line: Line) -> dict[str, float]:
    """A line's values without its step, and without those that were not finite."""
    return {
        name: value
        for name, value in line.items()
        if name != "step" and value is not None
    }


def prefer(**variables: str) -> None:
    """Sets environment variables that a library reads, where the user has not."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
