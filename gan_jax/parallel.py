"""Data parallelism: the one place that knows about devices.

The state is never stacked: it goes in and comes out replicated (``in_axes=None``),
each device takes its part of every global batch, and gradients, metrics and batch
norm are averaged over the axis `AXIS`. ``pmap`` does not check that replicas agree;
a test compares eight devices with one.
The devices may belong to several processes (`gan_jax.processes`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import training
from gan_jax.errors import UserError

AXIS = "devices"


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
    return place(tree, devices, jax.sharding.PartitionSpec())


def place(
    tree: Any, devices: Sequence[jax.Device], spec: jax.sharding.PartitionSpec
) -> Any:
    """Puts a pytree on devices, also those of other processes.

    Args:
      tree: arrays; among several processes, each must hold the same values.
      devices: of the mesh, whose one axis is `AXIS`.
      spec: how each array is spread over it.

    Returns:
      Global arrays.
    """
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    sharding = jax.sharding.NamedSharding(mesh, spec)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> jax.Array:
        if is_key(leaf):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf)))
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, leaf.__getitem__)

    return jax.tree.map(put, tree)


def is_key(leaf: Any) -> bool:
    """Whether an array is of typed random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def local(tree: Any) -> Any:
    """This process's own copy of a replicated pytree, on one device.

    What is computed from it needs no other process.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


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
    shards = place(shards, devices, jax.sharding.PartitionSpec(AXIS))
    order = replicate(jnp.arange(len(examples.images)), devices)
    compiled = parallel.lower(state, examples, order, 1, shards).compile()
    return lambda *args: compiled(*args, shards)
