"""Several processes that train together, each with devices of its own.

All run the same program on the same data set (`connect`). The first alone has the run
folder: it reads the checkpoint that the others are sent, and writes whatever is
written. Where one dies the others end, too, and all are started again.
"""

import atexit
import hashlib
import subprocess
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.devices import placement
from gan_jax.errors import UserError

_PATIENCE = 300  # seconds to wait for the other processes at the start
_HEARTBEAT = 20  # seconds without a word after which a process counts as dead
_LAST_WORDS = (
    "process{} of this run has ended early: it was killed, or another was killed"
    " or never came; start all of them again to go on from the last checkpoint"
)
_witness: subprocess.Popen[bytes] | None = None


def connect(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Joins the other processes of a run, before any device is touched.

    Args:
      coordinator: ``host:port`` of process 0. Under SLURM, on TPUs and on Kubernetes
        all three may be left out.
      num_processes: how many there are.
      process_id: which one this is, from 0.

    Raises:
      UserError: they cannot be joined.

    Source: `jax.distributed.initialize`
    """
    global _witness
    number = "" if process_id is None else f" {process_id}"
    line = _LAST_WORDS.format(number)
    # JAX aborts where another process dies. What is left to say then, another says: a
    # shell that reads the end of a pipe where it expected a farewell.
    _witness = subprocess.Popen(
        ["sh", "-c", 'read -r farewell || printf "%s\\n" "$0" >&2', line],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(farewell)
    # It would take SIGTERM for itself; who trains asks all processes (`Agreement`).
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=_PATIENCE,
            heartbeat_timeout_seconds=_HEARTBEAT,
        )
    except (ValueError, RuntimeError) as error:
        farewell()
        raise UserError(
            f"cannot join the other processes ({' '.join(str(error).split())[:200]}):"
            " give each --coordinator=host:port, --num_processes and its own"
            " --process_id"
        ) from error


def farewell() -> None:
    """Says that this process ends for a reason that was told."""
    global _witness
    if _witness is not None:
        _witness.communicate(b"farewell\n")
        _witness = None


def is_first() -> bool:
    """Whether this is the process that has the run folder."""
    return jax.process_index() == 0


def from_first(tree: Any) -> Any:
    """What the first process holds, for all, bit for bit.

    Args:
      tree: a pytree of arrays; of the others, one of the same shapes and types.

    Returns:
      The same, on the host. Where there is one process, what was given.
    """
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    leaves, structure = jax.tree.flatten(tree)
    plain = [
        np.asarray(jax.random.key_data(leaf) if placement.is_key(leaf) else leaf)
        for leaf in leaves
    ]
    # As bytes: JAX sends a sum with zeros, in which -0.0 is lost.
    mine = np.frombuffer(b"".join(leaf.tobytes() for leaf in plain), np.uint8)
    sent = memoryview(np.asarray(multihost_utils.broadcast_one_to_all(mine)).tobytes())
    found = []
    for leaf, like in zip(leaves, plain, strict=True):
        part, sent = sent[: like.nbytes], sent[like.nbytes :]
        array = np.frombuffer(part, like.dtype).reshape(like.shape)
        found.append(
            jax.random.wrap_key_data(array) if placement.is_key(leaf) else array
        )
    return jax.tree.unflatten(structure, found)


def require_same(value: bytes, what: str) -> None:
    """Makes sure that every process was started with the same.

    Args:
      value: what must be the same.
      what: its name, as in "flags".

    Raises:
      UserError: this process's is not the first's.
    """
    mine = np.frombuffer(hashlib.sha256(value).digest(), np.uint8)
    if not np.array_equal(from_first(mine), mine):
        raise UserError(
            f"process {jax.process_index()} has other {what} than process 0: start all"
            " processes with the same flags, on the same data"
        )


class Agreement:
    """What any process has said, known to all at the same step."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """Prepares the questions to the processes of these devices."""
        self._devices = devices
        self._answer: jax.Array | None = None
        if jax.process_count() > 1:
            replicated = placement.replicate(np.zeros(2), devices).sharding
            largest = partial(jnp.max, axis=0)
            self._largest = jax.jit(largest, out_shardings=replicated)

    def ask(self, stop: bool, seconds: float) -> tuple[bool, float]:
        """Whether any process wants to stop, and how long a step takes the slowest.

        Both as they were when all were asked the last time but one: the answer travels
        while the next steps are computed. Where there is one process, it is what it
        says.
        """
        if jax.process_count() == 1:
            return stop, seconds
        last = self._answer
        votes = np.tile(np.float32([stop, seconds]), (len(self._devices), 1))
        spec = jax.sharding.PartitionSpec(placement.AXIS)
        self._answer = self._largest(placement.place(votes, self._devices, spec))
        if last is None:
            return False, 0.0
        stop, seconds = np.asarray(last.addressable_data(0)).tolist()
        return bool(stop), seconds
