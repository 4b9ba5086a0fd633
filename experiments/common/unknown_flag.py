"""What to do in place of a flag, or of its value, that a program does not know."""

import contextlib
import re

from absl import flags

from gan_jax.errors import UserError, meant
from gan_jax.study import sweep


def line_of(error: Exception) -> str:
    """What absl says of flags that cannot be parsed, and what to write where we know.

    Args:
      error: that absl has raised.
    """
    said = str(error)
    if truth := re.match(r"flag (--(\w+)=.*): \('Non-boolean", said, re.DOTALL):
        return f"{truth[1]}: write --{truth[2]} or --no{truth[2]}"
    if isinstance(error, flags.UnrecognizedFlagError):
        value = error.flagvalue.partition("=")[2]
        if instead := _instead_of(error.flagname, value):
            return f"unknown flag {error.flagname!r}: {instead}"
    return said


def _instead_of(name: str, value: str) -> str:
    """In a study, some flags of a run are numbers of the --sweep."""
    if "sweep" not in flags.FLAGS:
        given = f"={value}" if value else ""
        names = [f"--{each}{given}" for each in meant(name, flags.FLAGS)]
        return f"write {' and '.join(names)}" if names else ""
    if name == "num_examples" and "steps" in flags.FLAGS:
        return "a study trains on all images: --steps=50 makes it shorter"
    names = meant(name, sweep.REAL) or [name]
    items = ",".join(f"{each}:{value}" for each in names)
    with contextlib.suppress(UserError):
        if sweep.parse(items):
            return f"write it into --sweep: {items}"
    return ""
