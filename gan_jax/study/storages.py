"""Optuna, and its storages: where trials are recorded (`search`)."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

from gan_jax.errors import UserError
from gan_jax.system.paths import expand
from gan_jax.system.remote import Place, is_remote


def require() -> Any:
    """Optuna.

    Raises:
      UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "--sampler needs Optuna: pip install 'gan_jax[optuna]', or leave out"
            " --sampler to train all of the sweep"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def is_inside(storage: str, folder: Place) -> bool:
    """Whether a storage is a file below a folder, however both are spelled.

    Args:
      storage: as in `opened`.
      folder: of the study.

    Raises:
      UserError: there is no such user.
    """
    if is_remote(folder):
        return False
    kind, is_url, place = storage.partition("://")
    if not is_url:
        path = expand(storage)
    elif kind.partition("+")[0] == "sqlite":
        path = pathlib.Path(place.removeprefix("/").partition("?")[0])
    else:
        return False
    return path.resolve().is_relative_to(folder.resolve())


def check(storage: str) -> None:
    """Opens a storage, before anything depends on it.

    Raises:
      UserError: Optuna is not installed, or cannot open it.
    """
    optuna = require()
    with told(storage):
        optuna.storages.get_storage(opened(storage))


def opened(storage: str) -> Any:
    """What Optuna takes for a storage.

    Args:
      storage: a URL of Optuna's, or the path of a file, which becomes a journal.
    """
    if "://" in storage:
        return storage
    optuna = require()
    backend = optuna.storages.journal.JournalFileBackend
    return optuna.storages.JournalStorage(backend(str(expand(storage))))


@contextlib.contextmanager
def told(
    storage: str, what: str = "open", then: str = "name another --storage"
) -> Iterator[None]:
    """Says which storage has failed, and what to do.

    Args:
      storage: as in `opened`.
      what: that Optuna cannot do.
      then: what to do.

    Raises:
      UserError: anything happened meanwhile.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of databases, their drivers, files
        why = " ".join(str(error).split())[:200]
        raise UserError(f"Optuna cannot {what} {storage} ({why}): {then}") from error
