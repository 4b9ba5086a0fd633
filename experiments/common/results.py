"""What every file of results begins with, and how it is written."""

import datetime
import json
from typing import Any

import jax

from experiments.common import cli, tables
from gan_jax.run import configuration
from gan_jax.system import processor


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


def as_markdown(program: str, *contents: Any) -> str:
    """A table below the command that it is of; its header and rows are given."""
    return f"```\n{cli.command(program)}\n```\n\n{tables.as_markdown(*contents)}\n"
