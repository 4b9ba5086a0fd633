"""Files that appear whole or not at all, and the user's cache folder."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from gan_jax.errors import UserError

PART = ".part"  # ends the names of files that are not whole yet


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Says which file could not be written, and what to do.

    Raises:
      UserError: an `OSError` happened meanwhile.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise UserError(
            f"cannot write {path} ({why}): free the space, mend the permission, or"
            " name another place"
        ) from error


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears whole or not at all.

    Raises:
      UserError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    with writing(path):
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # else a crash may leave the name and no bytes
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a whole text file or none: a reader never sees half of one."""
    with whole_file(path) as file:
        file.write(text.encode())


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz file, none of which may hold pickled objects.

    Raises:
      UserError: there is no such file, or it is damaged or of another kind.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # of zip, zlib, the headers' parser, NumPy...
        why = getattr(error, "strerror", None) or " ".join(str(error).split())[:100]
        raise UserError(
            f"{path} cannot be read as an .npz file ({why or type(error).__name__})"
        ) from error


def cache_folder() -> pathlib.Path:
    """Where what takes long to make is kept for the next time.

    ``$GAN_JAX_CACHE_DIR``, else ``gan_jax`` in ``$XDG_CACHE_HOME`` or ~/.cache.
    """
    named = os.environ.get("GAN_JAX_CACHE_DIR")
    if named:
        return pathlib.Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser() / "gan_jax"
