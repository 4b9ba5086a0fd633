"""A run's newest checkpoint, read and checked.

Files that were altered, by a failing disk or by hand, are found by the hash: such a
checkpoint is reported and the one before it is used.
"""

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gan_jax.errors import UserError
from gan_jax.run import finite
from gan_jax.run.checkpoints import (
    DAMAGED,
    FOLDER,
    about_digest,
    alone,
    digest,
    steps,
    without_key,
)
from gan_jax.run.differing import differences
from gan_jax.system import files
from gan_jax.training import GANState


def restore(
    workdir: pathlib.Path,
    like: GANState,
    about: dict[str, Any],
    *,
    say: Callable[[str], None],
    set_aside: bool = False,
) -> GANState | None:
    """Reads the newest checkpoint that can be read.

    Args:
      workdir: run folder.
      like: a state of the same GAN, or `jax.eval_shape` of one; its values are not
        used.
      about: what a run of today would save beside it. ``flags`` must be equal in all
        but ``steps``; where ``versions`` or ``devices`` are not, the user is told.
      say: takes a line for each damaged checkpoint, and for other versions.
      set_aside: move damaged checkpoints out of the way, to `DAMAGED`, as the run
        will come by their steps again.

    Returns:
      The state, its numbers on the host; None where there is no checkpoint.

    Raises:
      UserError: every checkpoint is damaged, or the newest whole one belongs to
        another configuration.
    """
    damaged: dict[int, str] = {}
    gone: set[int] = set()
    while remaining := [s for s in steps(workdir) if s not in {*damaged, *gone}]:
        step = remaining[-1]
        try:
            folder = (workdir / FOLDER / str(step)).absolute()  # as orbax wants it
            state, there = _read(folder, like, about["flags"])
        except UserError:
            raise
        except Exception as error:  # orbax and tensorstore raise many kinds
            if files.is_passing(error):
                raise UserError(
                    f"cannot read checkpoint {step} in {workdir}"
                    f" ({files.reason(error)}): mend that, and start again"
                ) from error
            # A run that is being trained deletes its oldest: that is no damage.
            if (workdir / FOLDER / str(step)).exists():
                damaged[step] = files.reason(error)
            else:
                gone.add(step)
            continue
        for bad, why in damaged.items():
            say(
                f"checkpoint {bad} in {workdir} is damaged ({why}): using the one of"
                f" step {step} instead"
            )
            if set_aside:
                _set_aside(workdir, bad)
        for name in ("versions", "devices"):
            now = about.get(name, {})
            if differing := differences(there.get(name, now), now):
                say(
                    f"checkpoint {step} was saved with other {name}"
                    f" ({differing.replace('--', '')}): its run may end in other last"
                    " bits"
                )
        return state
    if damaged:
        bad, why = next(iter(damaged.items()))
        raise UserError(
            f"checkpoint {bad} in {workdir / FOLDER} cannot be read ({why}), and there"
            " is no other that can: train again with --overwrite"
        )
    return None


def _read(
    folder: pathlib.Path, like: GANState, flags: dict[str, Any]
) -> tuple[GANState, dict[str, Any]]:
    import orbax.checkpoint as ocp  # slow to import

    plain = jax.tree.map(
        lambda leaf: np.empty(leaf.shape, leaf.dtype), without_key(like)
    )
    args = ocp.args
    handler = ocp.CompositeCheckpointHandler(
        state=ocp.StandardCheckpointHandler(), about=ocp.JsonCheckpointHandler()
    )
    with ocp.Checkpointer(handler, multiprocessing_options=alone()) as reader:
        about = reader.restore(folder, args.Composite(about=args.JsonRestore())).about
        if about_digest(about) != about["sha256"]:
            raise ValueError("what is written about it is not as saved")
        devices = about.get("devices", {})  # older ones do not have them
        parts = (about["flags"], about["versions"], devices)
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError("what is written about it is of another kind")
        if differing := differences(about["flags"], flags):
            raise UserError(
                f"checkpoint {folder} belongs to another run ({differing}): use"
                " another --workdir, or --overwrite"
            )
        _check_shapes(folder, plain)  # before memory is taken for them
        wanted = args.Composite(state=args.StandardRestore(plain))
        state = reader.restore(folder, wanted).state
    if digest(state) != about["state_sha256"]:
        raise ValueError("its numbers are not as saved")
    if state.step != int(folder.name):
        raise ValueError(f"it is of step {state.step}")
    if name := finite.first_non_finite(state):
        raise ValueError(f"{name} is not finite")
    return state.replace(key=jax.random.wrap_key_data(state.key)), about


def _check_shapes(folder: pathlib.Path, like: GANState) -> None:
    import orbax.checkpoint as ocp

    stored = ocp.StandardCheckpointHandler().metadata(folder / "state").tree
    found = {leaf.name: (leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(stored)}
    leaves = zip(finite.names(like), jax.tree.leaves(like), strict=True)
    for name, leaf in leaves:
        if found.pop(name, None) != (leaf.shape, leaf.dtype):
            raise ValueError(f"{name} is not {leaf.dtype} {list(leaf.shape)}")
    if found:
        raise ValueError(f"it holds {min(found)} besides")


def _set_aside(workdir: pathlib.Path, step: int) -> None:
    place = workdir / DAMAGED / str(step)
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        shutil.rmtree(place)
    shutil.move(workdir / FOLDER / str(step), place)  # perhaps to another disk
