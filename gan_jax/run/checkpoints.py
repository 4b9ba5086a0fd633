"""The training states of a run: saved by orbax, and checked when they are read.

checkpoints/500/state   every number of a `GANState`, the key as numbers
checkpoints/500/about   JSON: the run's settings, library versions, the state's SHA-256

A checkpoint appears under its number when it is whole, by a rename; what a process
that died has left half written has another name and is cleared away by the next.
Nothing in it is pickled. Files that were altered, by a failing disk or by hand, are
found by the hash: such a checkpoint is reported and the one before it is used.
"""

import contextlib
import hashlib
import json
import pathlib
import shutil
import time
from typing import Any

import jax
import numpy as np

from gan_jax.errors import UserError
from gan_jax.run import finite
from gan_jax.system import files
from gan_jax.training import GANState

FOLDER = "checkpoints"
DAMAGED = "damaged_checkpoints"
_CLEARED = 5  # seconds, for which what is half written is removed again


def steps(workdir: pathlib.Path) -> list[int]:
    """Steps of a run's whole checkpoints, oldest first; only looks.

    Raises:
      UserError: where they should be they cannot be looked for: a disk that is not
        there is no run without checkpoints.
    """
    folder = workdir / FOLDER
    try:
        names = [path.name for path in folder.iterdir() if path.is_dir()]
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not folder.is_symlink():
            return []
        raise UserError(
            f"cannot look for checkpoints in {folder} ({error.strerror}): bring it"
            " back, or delete it"
        ) from error
    found = (int(name) for name in names if name.isascii() and name.isdecimal())
    return sorted(step for step in found if str(step) in names)


def newest(workdir: pathlib.Path) -> int | None:
    """Step of a run's newest checkpoint, None where there is none; only looks."""
    return max(steps(workdir), default=None)


def require(workdir: pathlib.Path) -> int:
    """Step of a run's newest checkpoint; only looks.

    Raises:
      UserError: there is none.
    """
    step = newest(workdir)
    if step is None:
        raise UserError(
            f"the run in {workdir} has no checkpoint yet: let experiments.train reach"
            " its first --checkpoint_every"
        )
    return step


def digest(state: Any) -> str:
    """SHA-256 of every number of a pytree of arrays on the host, with its shape."""
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        sha.update(f"{leaf.dtype}{leaf.shape}".encode())
        # As bytes: bfloat16 is no type that Python's buffers know.
        sha.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8))
    return sha.hexdigest()


def about_digest(about: dict[str, Any]) -> str:
    """SHA-256 of what is written about a state, but for this sum itself."""
    rest = {name: value for name, value in about.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


class Writer:
    """Saves the states of a run in the background, and keeps the newest few."""

    def __init__(
        self, workdir: pathlib.Path, about: dict[str, Any], *, keep: int
    ) -> None:
        """Opens the checkpoints of a run folder, which no other process may write to.

        Args:
          workdir: run folder.
          about: JSON values that are saved beside each state: ``flags``, ``versions``.
          keep: how many checkpoints are kept; the newest.
        """
        import orbax.checkpoint as ocp  # slow to import

        self._ocp = ocp
        self._folder = (workdir / FOLDER).absolute()
        self._folder.mkdir(exist_ok=True)
        self._about = about
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,
            cleanup_tmp_directories=True,
            multiprocessing_options=alone(),
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        self._saving: int | None = None
        with self._reported():
            # A process that was killed may have saved the newest and kept the oldest.
            for step in steps(workdir)[:-keep]:
                self._manager.delete(step)

    def save(self, step: int, state: GANState) -> None:
        """Saves a state in the background; the state may be donated afterwards.

        Args:
          step: that it is of; above those that are saved.
          state: on devices, or as `on_host` gives it.

        Raises:
          UserError: the state holds NaN or infinity; or the disk does not take it, or
            did not take the one before.
        """
        plain = on_host(state)
        if name := finite.first_non_finite(plain):
            raise UserError(f"{name} is not finite at step {step}: stopped, not saved")
        args = self._ocp.args
        about = {**self._about, "state_sha256": digest(plain)}
        about["sha256"] = about_digest(about)
        with self._reported():
            self._manager.wait_until_finished()
            self._saving = step
            # Where orbax cannot make a folder, threads of it wait for one for minutes.
            probe = self._folder / f"probe{files.PART}"
            probe.mkdir(exist_ok=True)
            probe.rmdir()
            saved = self._manager.save(
                step,
                args=args.Composite(
                    state=args.StandardSave(plain), about=args.JsonSave(about)
                ),
            )
            if not saved:
                raise OSError(f"there is a checkpoint of step {step} or later")

    def check(self) -> None:
        """Looks whether what was done in the background has failed; does not wait.

        Raises:
          UserError: it has.
        """
        with self._reported():
            self._manager.check_for_errors()

    def close(self) -> None:
        """Waits until every checkpoint is on disk.

        Raises:
          UserError: the disk did not take the last.
        """
        try:
            with self._reported():
                self._manager.wait_until_finished()
        finally:
            with contextlib.suppress(Exception):  # what failed has been reported
                self._manager.close()

    @contextlib.contextmanager
    def _reported(self) -> Any:
        try:
            yield
        except Exception as error:
            self._remove_half_written()
            step = self._saving
            what = "write to" if step is None else f"save checkpoint {step} in"
            raise UserError(
                f"cannot {what} {self._folder} ({files.reason(error)}): mend that, such"
                " as space or permission, and start again"
            ) from error

    def _remove_half_written(self) -> None:
        """What is half written would only fill the disk further.

        Where one file of a checkpoint fails, Orbax's threads may still be writing its
        other files: so more than once, for so long.
        """
        end = time.monotonic() + _CLEARED
        while found := [*self._folder.glob(f"*{self._ocp.utils.TMP_DIR_SUFFIX}*")]:
            for path in found:
                shutil.rmtree(path, ignore_errors=True)
            if time.monotonic() > end:
                return
            time.sleep(0.1)


def alone() -> Any:
    """Orbax's setting for a run folder that one process reads and writes."""
    import orbax.checkpoint as ocp

    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}
    )


def on_host(state: GANState) -> GANState:
    """A copy on the host, `without_key`; of one that is there already, itself."""
    return jax.device_get(without_key(state))


def without_key(state: GANState) -> GANState:
    """With the key as numbers: a typed key is no array to a file."""
    if not jax.dtypes.issubdtype(state.key.dtype, jax.dtypes.prng_key):
        return state
    if isinstance(state.key, jax.ShapeDtypeStruct):
        return state.replace(key=jax.eval_shape(jax.random.key_data, state.key))
    return state.replace(key=jax.random.key_data(state.key))
