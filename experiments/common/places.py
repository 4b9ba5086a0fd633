"""Where a program is about to write: whether it can, before it has worked for long."""

import os
import pathlib

from gan_jax.errors import UserError


def require(flag: str, path: pathlib.Path, what: str = "file") -> None:
    """Refuses a place where nothing new can be made.

    Args:
      flag: that names it.
      path: of what is to be there.
      what: it is to be: a file or a folder.

    Raises:
      UserError: there is no folder to make it in, or no permission.
    """
    if not path.parent.is_dir():
        where = path.parent.absolute()
        raise UserError(f"--{flag}: there is no folder {where}: make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"cannot write to --{flag}={path}: choose another {what}")
