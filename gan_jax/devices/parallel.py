"""The one place with ``pmap``: data parallelism, and devices that train on their own.

The state of a GAN that several devices train is never stacked: it goes in and comes out
replicated (``in_axes=None``), each device takes its part of every global batch, and
gradients, metrics and batch norm are averaged over the axis `AXIS`. ``pmap`` does not
check that replicas agree; a test compares eight devices with one. The devices may
belong to several processes (`gan_jax.devices.processes`).

Devices that train GANs of their own (`over_devices`) know nothing of each other.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import jax
import numpy as np

from gan_jax import networks, training
from gan_jax.devices import compilation
from gan_jax.devices.available import local_batch_size
from gan_jax.devices.placement import AXIS, place, replicate, replicated
from gan_jax.system import progress

TrainSteps = Callable[..., tuple[training.GANState, training.Metrics]]


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
    return replicate(begin(gan, key, example_shape, devices)[1].result(), devices)


def begin(
    gan: training.GAN,
    key: jax.Array,
    example_shape: tuple[int, ...],
    devices: Sequence[jax.Device],
) -> tuple[training.GANState, Future[training.GANState]]:
    """As `initialise`, but does not wait for the state.

    Returns:
      What programs that take the replicated state can be lowered for: in one process
      its shapes, among several itself. And a future of the state, on one device.
    """
    initial = jax.jit(partial(training.init_state, gan, example_shape=example_shape))
    with networks.refuse_apart(len(devices)):
        traced = initial.trace(key)
    lowered, options = traced.lower(), for_one_call(devices)

    drawn = compilation.in_background(lambda: lowered.compile(options)(key))
    if jax.process_count() > 1:
        return replicate(drawn.result(), devices), drawn
    return replicated(traced.out_info, devices), drawn


def for_one_call(devices: Sequence[jax.Device]) -> dict[str, str] | None:
    """Compiler options of a program that runs once, for 0.1 s.

    By default, XLA on CPU would optimise such a one for 5. A level in $XLA_FLAGS stays.
    """
    level = "xla_backend_optimization_level"
    on_cpu = devices[0].platform == "cpu"
    return {level: "1"} if on_cpu and level not in os.getenv("XLA_FLAGS", "") else None


def over_devices(
    function: Callable[..., Any],
    devices: Sequence[jax.Device],
    *,
    in_axes: tuple[int | None, ...],
    donate_argnums: int | tuple[int, ...] = (),
) -> Any:
    """Calls a function on each device with its own share of the arguments.

    Args:
      function: what each device computes; it knows nothing of the others.
      devices: where; as many as the shared arguments' first axis is long.
      in_axes: of each argument, 0 to share out its first axis, None for all of it.
      donate_argnums: arguments whose buffers are reused and must not be used again.

    Returns:
      A program as `jax.pmap` gives it; its results have the devices as first axis.
    """
    return jax.pmap(
        function, in_axes=in_axes, devices=devices, donate_argnums=donate_argnums
    )


def compile_train_steps(
    gan: training.GAN,
    state: training.GANState,
    examples: training.Examples,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> Future[TrainSteps]:
    """Begins to compile `training.train_steps`, data-parallel over ``devices``.

    Args:
      gan: what to train; its ``axis_name`` must be `AXIS`.
      state: a state like those to come, replicated on the devices; of `begin`.
      examples: the data set, replicated.
      devices: where to run; each takes its share of every batch.
      batch_size: of the global batch.
      capacity: the most steps that one call takes.

    Returns:
      A future of ``(state, examples, order, num_steps) -> (state, metrics)``; the
      given state's buffers are donated and must not be used again.

    Raises:
      UserError: the devices cannot share the batch evenly.
    """
    shards = _shards(devices)
    number = jax.dtypes.canonicalize_dtype(int)
    order = replicate(np.arange(len(examples.images), dtype=number), devices)
    lowered = lower_train_steps(
        gan,
        state,
        examples,
        order,
        shards,
        devices,
        batch_size=batch_size,
        capacity=capacity,
    )

    def train_steps() -> TrainSteps:
        compiled = lowered.compile()
        return lambda *args: compiled(*args, shards)

    return compilation.in_background(train_steps)


def lower_train_steps(
    gan: training.GAN,
    state: Any,
    examples: Any,
    order: Any,
    shards: Any,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> jax.stages.Lowered:
    """What `compile_train_steps` compiles, and what else is as there.

    In one process, shapes of all arguments are enough, and devices that are described.

    Args:
      order: as `training.train_steps` takes it.
      shards: int32 ``[devices]``, the number of each.
    """
    mapped = _map_train_steps(gan, devices, batch_size, capacity, None)
    return mapped.lower(state, examples, order, 1, shards)


def compile_block_steps(
    gan: training.GAN,
    state: training.GANState,
    block: training.Examples,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> TrainSteps:
    """Compiles `training.train_steps` over blocks of examples that come one by one.

    The loop is that of `compile_train_steps`, which takes the examples from the whole
    data set; here each device has the block of its own, in the order of the steps.

    Args:
      gan: what to train; its ``axis_name`` must be `AXIS`.
      state: a state like those to come, replicated on the devices.
      block: one like those to come, by `scatter`: on each device, its examples of
        ``capacity`` steps, ``[capacity * critic_steps * local batch, ...]``.
      devices: where to run.
      batch_size: of the global batch.
      capacity: how many steps a block has room for.

    Returns:
      ``(state, block, first, num_steps) -> (state, metrics)``: takes the block's first
      ``num_steps`` steps, of which ``first`` is the number of the first; the given
      state's buffers are donated and must not be used again.

    Raises:
      UserError: the devices cannot share the batch evenly.
    """
    compiled = _map_train_steps(gan, devices, batch_size, capacity, 0)
    shards = _shards(devices)
    local_batch = local_batch_size(batch_size, len(devices))
    # As if each device took its part of every batch: the block has no other parts.
    shape = (capacity * gan.critic_steps, 1, local_batch)
    order = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    order = replicate(order.repeat(len(devices), axis=1).ravel(), devices)
    with progress.clock("compiling"):
        compiled = compiled.lower(state, block, order, 1, shards, 0).compile()

    def train_steps(
        state: training.GANState, block: training.Examples, first: int, num_steps: int
    ) -> tuple[training.GANState, training.Metrics]:
        return compiled(state, block, order, num_steps, shards, first)

    return train_steps


def _map_train_steps(
    gan: training.GAN,
    devices: Sequence[jax.Device],
    batch_size: int,
    capacity: int,
    examples_axis: int | None,
) -> Any:
    """`training.train_steps` on all devices, which share each batch."""
    steps = partial(
        training.train_steps,
        gan,
        batch_size=local_batch_size(batch_size, len(devices)),
        capacity=capacity,
    )
    first = () if examples_axis is None else (None,)
    return jax.pmap(
        steps,
        axis_name=AXIS,
        in_axes=(None, examples_axis, None, None, 0, *first),
        out_axes=(None, None),
        devices=devices,
        donate_argnums=0,
    )


def _shards(devices: Sequence[jax.Device]) -> jax.Array:
    """The number of each device, on it."""
    numbers = np.arange(len(devices), dtype=np.int32)
    return place(numbers, devices, jax.sharding.PartitionSpec(AXIS))
