"""Files in an object store, of which a study's folder may be made.

A store has no folders, only objects with slashes in their names. It shows an object
whole or not at all: what is to be written is complete on the local disk before it is
sent. Paths are those of etils, and the work is fsspec's, with s3fs or gcsfs, which find
the credentials by the store's own means.
"""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from gan_jax.errors import UserError
from gan_jax.system.paths import expand

if TYPE_CHECKING:
    from etils import epath

Place: TypeAlias = "pathlib.Path | epath.Path"


class _Store(NamedTuple):
    library: str
    extra: str
    credentials: str


_STORES = {
    "s3": _Store("s3fs", "s3", "AWS_ACCESS_KEY_ID and its like, or aws configure"),
    "gs": _Store("gcsfs", "gcs", "gcloud auth application-default login"),
}
_NAMED = "s3://bucket/name or gs://bucket/name"
# Whose errors are no `OSError`; fsspec's file systems turn the others into one.
_LIBRARIES = (
    *("aiobotocore.", "botocore.", "s3fs.", "gcsfs.", "fsspec.", "aiohttp."),
    *("google.auth.", "google.api_core.", "requests.", "urllib3."),
)

_READINGS = 10  # of an object that is replaced meanwhile


def folder(text: str) -> Place:
    """The path of a local folder, or of one in a store: ``s3://...``, ``gs://...``.

    Raises:
      UserError: there is no such kind of store, or what it needs is not installed.
    """
    scheme, between, rest = text.partition("://")
    if not between or not re.fullmatch(r"[A-Za-z][\w+.-]*", scheme):
        return expand(text)
    if scheme not in _STORES:
        raise UserError(f"{text}: name a local folder, or {_NAMED}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]+[a-z0-9]", rest.partition("/")[0]):
        raise UserError(f"{text} names no bucket: write {_NAMED}")
    import fsspec
    from etils import epath

    store = _STORES[scheme]
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise UserError(
            f"{text} needs {store.library}: pip install 'gan_jax[{store.extra}]'"
        ) from error
    # Others write there, too: a listing of before says nothing about now.
    for name in ("s3", "gs", "gcs"):
        fsspec.config.conf.setdefault(name, {})["use_listings_cache"] = False
    os.environ["EPATH_USE_TF"] = "false"  # else it is TensorFlow that reads
    return epath.Path(text)


def is_remote(path: Place) -> bool:
    """Whether a path is one in a store."""
    return not isinstance(path, pathlib.Path)


def refuse(path: pathlib.Path, flag: str = "workdir") -> None:
    """Refuses the address of a store where only a local folder will do.

    Raises:
      UserError: ``path`` was made of one.
    """
    first, *rest = path.parts or ("",)
    if re.fullmatch(r"[A-Za-z][\w+.-]+:", first):
        raise UserError(
            f"--{flag}={first}//{'/'.join(rest)} is no local folder, and a run is kept"
            " in one: name one (only experiments.study takes a --workdir in a store)"
        )


@contextlib.contextmanager
def told(verb: str, path: Place) -> Iterator[None]:
    """Says which object could not be read or written, and what to do.

    Raises:
      UserError: the store, or the way to it, has failed meanwhile.
    """
    try:
        yield
    except Exception as error:
        why = _reason(error)
        if not why or getattr(error, "filename", None):  # a local file's
            raise
        store = _STORES[str(path).partition("://")[0]]
        raise UserError(
            f"cannot {verb} {path} ({why}): see that its bucket is there, and that you"
            f" may {verb} there ({store.credentials})"
        ) from error


def is_away(error: BaseException | None) -> bool:
    """Whether a store was not to be asked: it may have what could not be read."""
    while error is not None and not isinstance(error, FileNotFoundError):
        if isinstance(error, PermissionError | ConnectionError | TimeoutError):
            return True
        if _is_of_library(error):
            return True
        error = error.__cause__
    return False


def _reason(error: Exception) -> str:
    """What a store, or the way to it, says in few words; empty of any other error."""
    if not isinstance(error, OSError) and not _is_of_library(error):
        return ""
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(said.split())[:200] or type(error).__name__


def _is_of_library(error: BaseException) -> bool:
    modules = (f"{kind.__module__}." for kind in type(error).__mro__)
    return any(module.startswith(_LIBRARIES) for module in modules)


def entries(folder: "epath.Path") -> list[str]:
    """Names in a folder; none where it is not there.

    Raises:
      UserError: its bucket is not there, or cannot be read.
    """
    with told("read", folder):
        try:
            return [path.name for path in folder.iterdir()]
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise
            bucket = "/".join(str(folder).split("/")[:3])
            if bucket.startswith("gs:") and not _system(folder).exists(bucket):
                raise FileNotFoundError("there is no such bucket") from error
            return []


def send(file: pathlib.Path, path: "epath.Path") -> None:
    """Makes a local file an object, which appears whole or not at all."""
    _system(path).put_file(str(file), str(path))


def remove(path: "epath.Path") -> None:
    """Removes an object, all below a name, or nothing."""
    with contextlib.suppress(FileNotFoundError):
        _system(path).rm(str(path), recursive=True)


def create(path: "epath.Path", data: bytes) -> bool:
    """Makes an object of what was none; says whether it did, and nobody else."""
    try:
        _system(path).pipe_file(str(path), data, mode="create")
    except OSError as error:
        if isinstance(error, FileExistsError) or _is_other(error):
            return False
        raise
    return True


def read_version(path: "epath.Path") -> tuple[bytes, str | None] | None:
    """An object, and what S3 calls this version of it; None where there is none.

    One that is replaced while it is read is read again.
    """
    readings = 0
    while True:
        readings += 1
        try:
            with path.open("rb") as file:
                details = getattr(file, "details", None) or {}
                return file.read(), details.get("ETag")
        except FileNotFoundError:
            return None
        except OSError as error:  # s3fs's FileExpired
            if error.errno != errno.EBUSY or readings == _READINGS:
                raise


def replace(path: "epath.Path", data: bytes, version: str | None) -> bool:
    """Writes an object anew; says whether it was still of that version.

    Only S3 can be asked that; gcsfs has no way to, and there it is overwritten.
    """
    still = {"IfMatch": version} if version and str(path).startswith("s3:") else {}
    try:
        _system(path).pipe_file(str(path), data, **still)
    except OSError as error:
        if still and (isinstance(error, FileNotFoundError) or _is_other(error)):
            return False
        raise
    return True


def _system(path: "epath.Path") -> Any:
    """The file system that the path itself reads with."""
    from etils.epath import backend

    return backend.fsspec_backend.fs(path)


def _is_other(error: OSError) -> bool:
    """Whether S3 says that an object is not what a condition asks for."""
    return _code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "412")


def _code(error: OSError) -> str | None:
    """S3's name of an error."""
    answer = getattr(error.__cause__, "response", None) or {}
    return answer.get("Error", {}).get("Code")
