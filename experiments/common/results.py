"""Where results are written, what every file of them begins with, and how."""

import datetime
import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags

from experiments.common import cli, tables
from gan_jax.errors import UserError
from gan_jax.run import configuration, run_folder
from gan_jax.system import processor
from gan_jax.system.paths import expand


def folder(
    flag: flags.FlagHolder, program: str, usual: str | None = None
) -> pathlib.Path:
    """A program's folder, once it is sure that results may be written there.

    Args:
      flag: names it.
      program: under ``experiments``, as ``measure.tune``.
      usual: its name where the flag is not given.

    Raises:
      UserError: the flag is empty; the folder cannot be written to, or holds the
        results of another program.
    """
    name = usual if flag.value is None else flag.value
    if not name:
        raise UserError(f"--{flag.name} is empty: name a folder")
    found = expand(name)
    run_folder.check_place(found)
    whose = _program_of(found / "results.json")
    # By the last word: older files have programs from before they were in rooms.
    if whose and whose.rpartition(".")[2] != program.rpartition(".")[2]:
        raise UserError(
            f"--{flag.name}={found} holds results of experiments.{whose}: name another"
            " folder"
        )
    return found


def _program_of(path: pathlib.Path) -> str | None:
    """What has written a file of results, as far as it says so."""
    try:
        command = json.loads(path.read_text())["command"]
        return re.search(r"-m experiments\.([\w.]+)", command)[1]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def warn(warning: str | None) -> dict[str, str]:
    """Says before anything is measured what has to be known of the numbers.

    Args:
      warning: of the data set or the run; None where there is nothing to say.

    Returns:
      The same for the file of results.
    """
    if not warning:
        return {}
    print(f"warning: {warning}", file=sys.stderr, flush=True)
    return {"warning": warning}


def begin(program: str, device: str | None = None) -> dict[str, Any]:
    """How, when, on what and with what the numbers came about.

    Args:
      program: under ``experiments``, as ``measure.tune``.
      device: kind of the devices that have computed; by default this process's. Of a
        CPU, the processor is that of the machine where this is called.
    """
    found = {
        "command": cli.command(program),
        "date": datetime.date.today().isoformat(),
        "device": device or jax.devices()[0].device_kind,
    }
    found |= processor.describe(found["device"])
    return found | {"versions": configuration.versions()}


def as_json(document: Any) -> str:
    """A file's text.

    Raises:
      ValueError: a number in it is not finite.
    """
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def as_markdown(
    program: str, header: Sequence[str], rows: tables.Rows, warning: str | None = None
) -> str:
    """A table below the command that it is of."""
    table = f"{tables.as_markdown(header, rows)}\n"
    below = f"\nWarning: {warning}\n" if warning else ""
    return f"```\n{cli.command(program)}\n```\n\n{table}{below}"
