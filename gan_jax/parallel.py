"""Data parallelism: the one place that knows about devices and processes.

The state is never stacked: it goes in and comes out replicated (``in_axes=None``),
each device takes its part of every global batch, and gradients, metrics and batch
norm are averaged over the axis `AXIS`. ``pmap`` does not check that replicas agree;
a test compares eight devices with one.

Several processes, each with devices of its own, run the same program on the same data
set (`connect`). The first alone has the run folder: it reads the checkpoint that the
others are sent, and writes whatever is written.
"""

import atexit
import hashlib
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import training
from gan_jax.errors import UserError

AXIS = "devices"

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


def choose_devices(num_devices: int | None) -> list[jax.Device]:
    """The first ``num_devices`` devices (None: all, of all processes).

    Raises:
      UserError: there are fewer, or none of the kind that was asked for; or a part of
        the devices of several processes.
    """
    try:
        devices = jax.devices()
    except RuntimeError as error:  # JAX_PLATFORMS names what is not there
        raise UserError(f"JAX finds no device: {error}") from error
    if num_devices is None:
        return devices
    if not 1 <= num_devices <= len(devices):
        raise UserError(
            f"--num_devices={num_devices}, and this machine has {len(devices)}"
            f" ({devices[0].platform})"
        )
    if jax.process_count() > 1 and num_devices < len(devices):
        raise UserError(
            f"--num_devices={num_devices} leaves out some of the {len(devices)} devices"
            " of all processes: leave it out instead"
        )
    return devices[:num_devices]


def local_batch_size(batch_size: int, num_devices: int) -> int:
    """Examples per device of a global batch.

    Raises:
      UserError: the devices cannot share the batch evenly.
    """
    if batch_size % num_devices:
        raise UserError(
            f"--batch_size={batch_size} is not divisible by {num_devices} devices: use"
            f" {batch_size // num_devices * num_devices or num_devices}, or"
            " --num_devices=1"
        )
    return batch_size // num_devices


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Copies a pytree to every device, once, so that no call has to.

    Among several processes, each must hold the same values.
    """
    return _place(tree, devices, jax.sharding.PartitionSpec())


def _place(
    tree: Any, devices: Sequence[jax.Device], spec: jax.sharding.PartitionSpec
) -> Any:
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    sharding = jax.sharding.NamedSharding(mesh, spec)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(leaf: Any) -> jax.Array:
        if _is_key(leaf):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf)))
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, leaf.__getitem__)

    return jax.tree.map(place, tree)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def local(tree: Any) -> Any:
    """This process's own copy of a replicated pytree, on one device.

    What is computed from it needs no other process.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def from_first(tree: Any) -> Any:
    """What the first process holds, for all; a pytree of arrays, on the host."""
    if jax.process_count() == 1:
        return tree

    from jax.experimental import multihost_utils

    plain = [
        np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(tree)
    ]
    sent = iter(multihost_utils.broadcast_one_to_all(plain))
    return jax.tree.map(
        lambda leaf: (
            jax.random.wrap_key_data(next(sent)) if _is_key(leaf) else next(sent)
        ),
        tree,
    )


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
    """Whether any process has said yes, known to all at the same step."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """Prepares the question to the processes of these devices."""
        self._devices = devices
        self._answer: jax.Array | None = None
        if jax.process_count() > 1:
            replicated = replicate(np.zeros(()), devices).sharding
            self._any = jax.jit(jnp.any, out_shardings=replicated)

    def ask(self, mine: bool) -> bool:
        """Whether any process said yes, the last time but one that all were asked.

        The answer travels while the next steps are computed. Where there is one
        process, it is what it says.
        """
        if jax.process_count() == 1:
            return mine
        last = self._answer
        votes = np.full(len(self._devices), mine)
        spec = jax.sharding.PartitionSpec(AXIS)
        self._answer = self._any(_place(votes, self._devices, spec))
        return last is not None and bool(last.addressable_data(0))


def initialise(
    gan: training.GAN,
    key: jax.Array,
    example_shape: tuple[int, ...],
    devices: Sequence[jax.Device],
) -> training.GANState:
    """`training.init_state`, replicated on the devices.

    Args:
      gan: what to train.
      key: random key of the run.
      example_shape: shape of one example, ``(28, 28, 1)``.
      devices: where the state will be trained.

    Returns:
      The state before step 0.

    Raises:
      UserError: a penalised discriminator has layers that mix examples.
    """
    # The program runs once, for 0.1 s: by default, XLA on CPU would optimise it for 5.
    on_cpu = devices[0].platform == "cpu"
    options = {"xla_backend_optimization_level": "1"} if on_cpu else None
    compiled = jax.jit(
        partial(training.init_state, gan, example_shape=example_shape),
        compiler_options=options,
    )
    return replicate(compiled(key), devices)


def compile_train_steps(
    gan: training.GAN,
    state: training.GANState,
    examples: training.Examples,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> Callable[..., tuple[training.GANState, training.Metrics]]:
    """Compiles `training.train_steps`, data-parallel over ``devices``.

    Args:
      gan: what to train; its ``axis_name`` must be `AXIS`.
      state: a state like those to come, replicated on the devices.
      examples: the data set, replicated.
      devices: where to run; each takes its share of every batch.
      batch_size: of the global batch.
      capacity: the most steps that one call takes.

    Returns:
      ``(state, examples, order, num_steps) -> (state, metrics)``; the given state's
      buffers are donated and must not be used again.

    Raises:
      UserError: the devices cannot share the batch evenly.
    """
    steps = partial(
        training.train_steps,
        gan,
        batch_size=local_batch_size(batch_size, len(devices)),
        capacity=capacity,
    )
    parallel = jax.pmap(
        steps,
        axis_name=AXIS,
        in_axes=(None, None, None, None, 0),
        out_axes=(None, None),
        devices=devices,
        donate_argnums=0,
    )
    shards = np.arange(len(devices), dtype=np.int32)
    shards = _place(shards, devices, jax.sharding.PartitionSpec(AXIS))
    order = replicate(jnp.arange(len(examples.images)), devices)
    compiled = parallel.lower(state, examples, order, 1, shards).compile()
    return lambda *args: compiled(*args, shards)
