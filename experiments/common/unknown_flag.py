"""What to do in place of a flag that a program does not have."""

import contextlib

from absl import flags

from gan_jax.errors import UserError
from gan_jax.study import sweep


def instead_of(error: Exception) -> str:
    """Behind the message of an unknown flag that is a number of the --sweep."""
    item = getattr(error, "flagvalue", "").lstrip("-").replace("=", ":", 1)
    with contextlib.suppress(UserError):
        if "sweep" in flags.FLAGS and sweep.parse(item):
            return f": write it into --sweep: {item}"
    return ""
