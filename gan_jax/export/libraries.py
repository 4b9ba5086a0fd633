"""Libraries that come with an extra."""

import importlib
from typing import Any

from gan_jax.errors import UserError


def library(name: str, extra: str) -> Any:
    """A module that is imported where it is needed.

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} is not installed: pip install 'gan_jax[{extra}]', or use"
            " stablehlo or npz, which need nothing more"
        ) from error
