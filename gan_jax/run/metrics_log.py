"""metrics.jsonl, a line a log step."""

import json
import os
import pathlib
from typing import Any

from gan_jax.errors import UserError
from gan_jax.system.files import write_text, writing

_MOST = 1e40  # of any metric: they are computed in float32


class MetricsLog:
    """Appends to metrics.jsonl.

    A log that is opened at step k forgets what was written after step k, so that an
    interrupted run goes on without a gap or a duplicate.
    """

    def __init__(self, folder: pathlib.Path, step: int) -> None:
        """Opens the log of a run that goes on after ``step``.

        Raises:
          UserError: it cannot be written, or what is there is damaged.
        """
        self._path = folder / "metrics.jsonl"
        kept = [line for line in read_metrics(folder) if line["step"] <= step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self.seconds = kept[-1]["seconds"] if kept else 0.0

    def write(self, *lines: dict[str, Any]) -> None:
        """Writes lines; each must hold ``step``.

        Raises:
          UserError: the disk does not take them.
        """
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        with writing(self._path), self._path.open("a") as file:
            file.write(text)

    def sync(self) -> None:
        """Makes sure that the lines are on disk, not on their way there."""
        with writing(self._path), self._path.open("a") as file:
            os.fsync(file.fileno())


def read_metrics(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line that was cut off is left out.

    A value is a number, or None where none of its steps had a finite one.

    Raises:
      UserError: another line is damaged.
    """
    path = folder / "metrics.jsonl"
    # Every whole line ends in a newline, so the last part is empty or cut off.
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    try:
        return [_checked(json.loads(line)) for line in lines]
    except (ValueError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())[:100]}): delete the bad"
            " line, or train again with --overwrite"
        ) from error


def _checked(line: Any) -> dict[str, Any]:
    """A line that holds a step, the seconds, and numbers.

    Raises:
      ValueError: it does not.
    """
    if not isinstance(line, dict) or not {"step", "seconds"} <= line.keys():
        raise ValueError("a line without step and seconds")
    for name, value in line.items():
        number = type(value) in (int, float) and abs(value) < _MOST
        if not number and (value is not None or name in ("step", "seconds")):
            raise ValueError(f"{name} is {str(value)[:20]}")
    if type(line["step"]) is not int or not 0 <= line["step"] < 2**32:
        raise ValueError(f"step is {line['step']}")
    return line
