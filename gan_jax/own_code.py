"""Code of the user's own, by name: ``mine.py:NAME`` or ``package.module:NAME``.

A loss, a penalty, an optimiser or a network may be named so wherever a built-in one is.
The file or module is run, as Python runs what it imports; what stands beside it can be
imported from it. Its SHA-256 is kept with what was trained (`gan_jax.run`).
"""

import functools
import hashlib
import importlib
import pathlib
import sys
import traceback
import types
from typing import Any

from gan_jax.errors import UserError, check_name, quote
from gan_jax.system.paths import expand

HOW = "mine.py:NAME or package.module:NAME"


def is_own(name: str) -> bool:
    """Whether a name is of one's own code, and of nothing built in."""
    return ":" in name


def check(what: str, flag: str, name: str, known: Any, count: int = 1) -> None:
    """Refuses a name that is neither built in nor written as one of one's own.

    Runs nothing: `find` does.

    Args:
      what: what it names, as in "loss".
      flag: that it is the value of.
      name: what the user wrote.
      known: the names of what is built in.
      count: how many things one's own name names, with commas between.

    Raises:
      UserError: it is neither.
    """
    if not isinstance(name, str) or not is_own(name):
        check_name(what, name, known)
        return
    place, _, names = name.rpartition(":")
    members = names.split(",")
    if not place or len(members) != count or not all(m.isidentifier() for m in members):
        how = HOW.replace("NAME", "Generator,Discriminator") if count == 2 else HOW
        found = "names nothing"
        if count == 2 and len(members) == 1 and place and members[0].isidentifier():
            found = "names one network, and a GAN has two"
        raise UserError(f"--{flag}={name} {found}: write {how}")


def find(flag: str, name: str) -> list[Any]:
    """What a name of one's own stands for, one thing for each of its commas.

    Args:
      flag: that it is the value of.
      name: that `check` has let pass.

    Raises:
      UserError: there is no such file or module, it cannot be run (its own error is
        quoted), or it has nothing of that name.
    """
    place, _, names = name.rpartition(":")
    module = _load(flag, place)
    for member in names.split(","):
        if not hasattr(module, member):
            raise UserError(
                f"--{flag}={name}: {place} has no {member}; it has"
                f" {', '.join(_defined(module)) or 'nothing of its own'}"
            )
    return [getattr(module, member) for member in names.split(",")]


def _defined(module: types.ModuleType) -> list[str]:
    """Names that a module gives; none that it has from one of another package."""
    package = module.__name__.partition(".")[0]
    others = [
        vars(other)
        for name, other in sys.modules.copy().items()
        if name.partition(".")[0] != package and isinstance(other, types.ModuleType)
    ]

    def is_its_own(name: str, value: Any) -> bool:
        if name.startswith("_") or isinstance(value, types.ModuleType):
            return False
        return not any(other.get(name) is value for other in others)

    return [name for name, value in vars(module).items() if is_its_own(name, value)]


def source(flag: str, name: str) -> tuple[str, str]:
    """Where the code of a name is, as the user wrote it, and its SHA-256.

    Raises:
      UserError: as `find`.
    """
    place = name.rpartition(":")[0]
    return place, hashlib.sha256(_text(flag, place)).hexdigest()


def in_folder(name: str, folder: pathlib.Path) -> bool:
    """Whether the code of a name lies in a folder; runs nothing."""
    try:
        path = _path(name.rpartition(":")[0])
    except UserError:  # it is nowhere, and `find` says so
        return False
    return path is not None and path.is_relative_to(folder.resolve())


def _path(place: str) -> pathlib.Path | None:
    """The file of ``mine.py`` or, as far as it lies in a folder, ``package.module``.

    Raises:
      UserError: no file can be called so, its user is unknown, or it is a link that
        leads to itself.
    """
    try:
        path = _unresolved(place)
        return path and path.resolve()
    except UserError:
        raise
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{place!r} names no file ({quote(error)})") from error


def _unresolved(place: str) -> pathlib.Path | None:
    if place.endswith(".py"):
        return expand(place)
    parts = place.split(".")
    for entry in sys.path:
        stem = pathlib.Path(entry, *parts)
        for path in (stem / "__init__.py", stem.parent / f"{stem.name}.py"):
            if path.is_file():
                return path
    return None


def _text(flag: str, place: str) -> bytes:
    path = _path(place)
    if path is None:
        module = _load(flag, place)
        path = pathlib.Path(getattr(module, "__file__", None) or "")
        if not path.is_file():
            raise UserError(f"--{flag}={place}: this module has no source: name a file")
    try:
        return _read(str(path))
    except OSError as error:
        raise UserError(
            f"--{flag}={place}: cannot read {path} ({error.strerror}): name"
            " a Python file, from the folder that you are in or in full"
        ) from error


@functools.lru_cache
def _read(path: str) -> bytes:
    """A source, read once in a process, as imports are: the sum is of what is run."""
    return pathlib.Path(path).read_bytes()


def _load(flag: str, place: str) -> types.ModuleType:
    path = _path(place) if place.endswith(".py") else None
    try:
        if path is None:
            return importlib.import_module(place)
        return _run(str(path), _text(flag, place))
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever somebody's code raises
        where = [
            f for f in traceback.extract_tb(error.__traceback__) if _is_at(f, path)
        ]
        line = f", line {where[-1].lineno}" if where else ""
        raise UserError(
            f"--{flag}: cannot import {place} ({quote(error, line)}): mend it, and"
            " start again"
        ) from error


def _is_at(frame: traceback.FrameSummary, path: pathlib.Path | None) -> bool:
    return path is not None and frame.filename == str(path)


@functools.lru_cache
def _run(path: str, text: bytes) -> types.ModuleType:
    """Runs a file as a module, once: its classes are the same wherever it is named."""
    module = types.ModuleType(pathlib.Path(path).stem)
    module.__file__ = path
    code = compile(text, path, "exec")
    beside = str(pathlib.Path(path).parent)
    sys.path.insert(0, beside)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # dataclasses, as modules are, look there
    try:
        exec(code, module.__dict__)
    finally:
        sys.path.remove(beside)
        if before is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = before
    return module
