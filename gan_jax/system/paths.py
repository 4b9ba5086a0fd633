"""Paths of the local disk, as users write them."""

import os
import pathlib

from gan_jax.errors import UserError


def expand(text: str | os.PathLike[str]) -> pathlib.Path:
    """A path, with ~ and ~name as home folders.

    Raises:
      UserError: there is no such user, or it is no path.
    """
    path = pathlib.Path(text)
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} is no path: it has a zero character in it")
    try:
        return path.expanduser()
    except RuntimeError as error:
        user = path.parts[0][1:] or "with a home folder"
        raise UserError(
            f"{path}: there is no user {user} here: write the whole path"
        ) from error
