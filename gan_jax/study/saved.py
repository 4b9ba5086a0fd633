"""States of GANs in one file: those of a wave under way, and of a GAN at a rung.

An .npz file of the state's arrays, in the order of the pytree, with ``about``: JSON
that says whose they are. It appears whole or not at all, on a disk as in an object
store, and a damaged one is found by its checksums.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable
from concurrent import futures
from typing import Any

import jax
import numpy as np

from gan_jax.errors import UserError
from gan_jax.run import checkpoints
from gan_jax.system import files
from gan_jax.system.remote import Place
from gan_jax.training import GANState

About = dict[str, Any]


def file_name(about: About) -> str:
    """A name of its own for whatever is about the same GANs."""
    text = json.dumps(about, sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def write(path: Place, about: About, state: GANState) -> None:
    """Writes a state, or the states of many, ``[devices, at_once, ...]``.

    Raises:
      UserError: the disk or the store does not take it.
    """
    leaves = jax.tree.leaves(checkpoints.on_host(state))
    arrays = {f"{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    note = np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)
    files.make_folder(path.parent)
    with files.whole_file(path) as file:
        np.savez(file, about=note, **arrays)


def read(
    path: Place, about: About, like: GANState, say: Callable[[str], None]
) -> GANState | None:
    """Reads what `write` has written.

    Args:
      path: of the file.
      about: what it has to be about.
      like: a state of the same kind, or its shapes.
      say: takes a line about a file that cannot be used.

    Returns:
      The state on the host, its key a typed one; None where there is no such file or
      it is damaged or about something else.

    Raises:
      UserError: it cannot be read now, and may be whole.
    """
    with files.reading(path):
        if not path.exists():
            return None
    leaves, tree = jax.tree.flatten(checkpoints.without_key(like))
    try:
        arrays = files.read_npz(path)
        there = json.loads(arrays.pop("about").tobytes())
        found = [arrays[name] for name in sorted(arrays)]
        if len(found) == len(leaves):
            found = list(map(_typed, found, leaves))
        shapes = [(leaf.shape, leaf.dtype) for leaf in leaves]
        if there != about or [(a.shape, a.dtype) for a in found] != shapes:
            raise UserError(f"{path} is of other GANs or of another version")
    except (KeyError, ValueError) as error:
        cause = error.__cause__
        if isinstance(cause, Exception) and files.is_passing(cause):
            raise UserError(f"{error}: mend that, and start again") from cause
        say(f"{error}: not used")
        return None
    state = jax.tree.unflatten(tree, found)
    return state.replace(key=jax.random.wrap_key_data(state.key))


def _typed(array: np.ndarray, like: Any) -> np.ndarray:
    """NumPy's files know no bfloat16, and give it back as bytes."""
    is_bytes = array.dtype == f"V{like.dtype.itemsize}"
    return array.view(like.dtype) if is_bytes else array


class UnderWay(contextlib.AbstractContextManager):
    """The file of a wave that is being trained; written in the background."""

    def __init__(
        self, path: "Place | None", about: About, say: Callable[[str], None]
    ) -> None:
        """Takes the file, None to save nothing, and whose it is."""
        self._path, self._about, self._say = path, about, say
        self._last = 0  # step that is saved; there is nothing to save of step 0
        self._thread = futures.ThreadPoolExecutor(1)
        self._writing: futures.Future[None] | None = None

    def read(self, like: GANState) -> GANState | None:
        """What is saved of these very GANs, as `read`."""
        found = None
        if self._path is not None:
            found = read(self._path, self._about, like, self._say)
        if found is not None:
            self._last = int(found.step[0, 0])
        return found

    def save(self, step: int, states: GANState) -> None:
        """Takes states, which may be donated afterwards.

        Raises:
          UserError: the disk or the store did not take those before.
        """
        if self._path is None or step == self._last:
            return
        self._last = step
        host = checkpoints.on_host(states)
        self._wait()
        self._writing = self._thread.submit(write, self._path, self._about, host)

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def __exit__(self, *exception: Any) -> None:
        """Waits until the last states are written."""
        try:
            self._wait()
        finally:
            self._thread.shutdown()
