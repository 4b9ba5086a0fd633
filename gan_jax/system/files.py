"""Files that appear whole or not at all, and the user's cache folder.

A `Place` is a path of the local disk, or one in a store (`gan_jax.system.remote`);
whole folders are local.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from gan_jax.errors import UserError, quote
from gan_jax.system import remote
from gan_jax.system.paths import expand
from gan_jax.system.remote import Place, is_remote

PART = ".part"  # ends the names of files that are not whole yet
# Begins their last word but one, as the number of a process says little: it is of one
# host, and all containers may have number 1.
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_parts: set[pathlib.Path] = set()  # those of this process


@contextlib.contextmanager
def writing(path: Place) -> Iterator[None]:
    """Says which file could not be written, and what to do.

    Raises:
      UserError: an `OSError` happened meanwhile, or the store has failed.
    """
    if is_remote(path):
        with remote.told("write", path):
            yield
        return
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise UserError(
            f"cannot write {path} ({why}): free the space, mend the permission, or"
            " name another place"
        ) from error


def reading(path: Place) -> contextlib.AbstractContextManager[None]:
    """Says which object could not be read; of a local file, the `OSError` goes on.

    Raises:
      UserError: the store has failed meanwhile, or has no such object.
    """
    return remote.told("read", path) if is_remote(path) else contextlib.nullcontext()


@contextlib.contextmanager
def whole_file(path: Place) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears whole or not at all.

    One in a store is written to the local disk first, and sent when it is complete.

    Raises:
      UserError: it cannot be written.
    """
    with writing(path):
        part = _part(path)
        _parts.add(part)
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # else a crash may leave the name and no bytes
            if is_remote(path):
                remote.send(part, path)
                part.unlink()
            else:
                os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        finally:
            _parts.discard(part)


def _part(path: Place) -> pathlib.Path:
    """Where a file is written until it is whole."""
    if not is_remote(path):
        return part_of(path, os.getpid())
    file, name = tempfile.mkstemp(prefix="gan_jax_", suffix=path.suffix)
    os.close(file)
    return pathlib.Path(name)


def part_of(path: pathlib.Path, process: int) -> pathlib.Path:
    """A new name for what a process of this host writes before it is whole."""
    return path.with_name(f"{path.name}.{_HOST}{secrets.token_hex(4)}.{process}{PART}")


def make_folder(path: Place) -> None:
    """Makes a folder where there is none; a store has none, and needs none.

    Raises:
      UserError: it cannot be made.
    """
    if not is_remote(path):
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def whole_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write into that appears with all its files or not at all.

    Raises:
      UserError: it cannot be written, or there is one that holds something.
    """
    part = part_of(path, os.getpid())
    _parts.add(part)
    with writing(path):
        try:
            part.mkdir()
            yield part
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(part)
            raise
        finally:
            _parts.discard(part)


@contextlib.contextmanager
def scratch_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder of this process alone, whose end it does not outlive.

    Raises:
      UserError: it cannot be made.
    """
    part = part_of(path, os.getpid())
    _parts.add(part)
    try:
        with writing(path):
            part.mkdir()
        yield part
    finally:
        with contextlib.suppress(OSError):
            remove(part)
        _parts.discard(part)


def discard_parts() -> None:
    """Removes what this process has half written: it is about to end."""
    for part in tuple(_parts):
        with contextlib.suppress(OSError):
            remove(part)


def remove(path: Place) -> None:
    """Removes a file, a folder with all that it holds, or a link; or nothing."""
    if is_remote(path):
        remote.remove(path)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_abandoned(folder: pathlib.Path) -> None:
    """Removes what killed processes of this host left half written."""
    for part in folder.glob(f"*.{_HOST}*.*[0-9]{PART}"):
        process = part.name.removesuffix(PART).rpartition(".")[2]
        if process.isdecimal() and not is_alive(int(process)):
            remove(part)


def is_alive(process: int) -> bool:
    """Whether there is a process of this number here, of whomever."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return process > 0  # others are groups of processes


def write_text(path: Place, text: str) -> None:
    """Writes a whole text file or none: a reader never sees half of one."""
    with whole_file(path) as file:
        file.write(text.encode())


def read_npz(path: Place) -> dict[str, np.ndarray]:
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
        return expand(named)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expand(base) / "gan_jax"


def keyed_name(name: str, about: Any) -> str:
    """Of a file that is kept: what it is of, and a sum of all that it depends on.

    Args:
      name: of a data set; what a file cannot be called everywhere is left out.
      about: JSON values, in an order that is always the same.
    """
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
    return f"{re.sub('[^-.a-z0-9_]', '_', name)}-{key}"


_PASSING = (
    *(errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR),
)


def is_passing(error: Exception) -> bool:
    """Whether what could not be read may be whole: no permission, no memory..."""
    if isinstance(error, MemoryError | ImportError) or remote.is_away(error):
        return True
    return _code(error) in _PASSING


def _code(error: BaseException) -> int | None:
    """The system's error number, of the innermost cause that has one."""
    if error.__cause__ is not None and (code := _code(error.__cause__)):
        return code
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os_error_code='(\d+)'", str(error))  # tensorstore's words
    return int(found[1]) if found else None


def reason(error: Exception) -> str:
    """Why something could not be read or written, in a few words."""
    if code := _code(error):
        return os.strerror(code)
    return quote(error)
