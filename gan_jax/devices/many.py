"""Many GANs at once: one program trains them all, ``pmap`` of ``vmap``.

The first two axes of everything are ``[devices, at_once]``: each device trains its
share side by side. The GANs differ in their key, and in any real number of their
recipe. All take the same number of steps on the same data set, each in its own order
and with its own draws: every one is the GAN that its key and its numbers alone would
give, but for the rounding of larger products.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax import training
from gan_jax.devices import parallel, placement
from gan_jax.networks import convolution
from gan_jax.training import GAN, Examples, GANState, Metrics

Array = jax.Array
Settings = dict[str, Array]  # a number's name to its values
Make = Callable[[Settings], GAN]  # of one GAN's numbers; without a device axis


def spread(values: Any, devices: Sequence[jax.Device]) -> Any:
    """Shares the GANs out: each device gets as many.

    Args:
      values: arrays ``[gans, ...]``; the number of devices divides that of GANs.
      devices: where to train.

    Returns:
      ``[devices, at_once, ...]``, on them.

    Raises:
      ValueError: the devices cannot share them evenly.
    """

    def fold(leaf: Array) -> Array:
        if leaf.shape[0] % len(devices):
            raise ValueError(f"{len(leaf)} GANs on {len(devices)} devices")
        return leaf.reshape(len(devices), -1, *leaf.shape[1:])

    axis = jax.sharding.PartitionSpec(placement.AXIS)
    return placement.place(jax.tree.map(fold, values), devices, axis)


def initialise(
    make: Make,
    settings: Settings,
    keys: Array,
    example_shape: tuple[int, ...],
    devices: Sequence[jax.Device],
) -> GANState:
    """`training.init_state` for each of the keys.

    Args:
      make: what to train, from the numbers of one GAN.
      settings: as `spread` gives them.
      keys: random keys, as `spread` gives them.
      example_shape: shape of one example, ``(28, 28, 1)``.
      devices: where to train.

    Returns:
      The states before step 0, ``[devices, at_once, ...]``.

    Raises:
      UserError: a penalised discriminator has layers that mix examples.
    """

    compiled = compile_initialise(make, settings, keys, example_shape, devices)
    return compiled(settings, keys)


def compile_initialise(
    make: Make,
    settings: Settings,
    keys: Array,
    example_shape: tuple[int, ...],
    devices: Sequence[jax.Device],
) -> Callable[[Settings, Array], GANState]:
    """What `initialise` calls: a program for settings and keys like these."""

    def one(setting: Settings, key: Array) -> GANState:
        return training.init_state(make(setting), key, example_shape)

    program = parallel.over_devices(jax.vmap(one), devices, in_axes=(0, 0))
    return program.lower(settings, keys).compile(parallel.for_one_call(devices))


def pick(states: GANState, index: int) -> GANState:
    """One of the states, counted as before `spread`."""
    at_once = states.step.shape[1]
    return jax.tree.map(lambda leaf: leaf[index // at_once, index % at_once], states)


def orders(
    states: GANState, epoch: int, *, num_examples: int, devices: Sequence[jax.Device]
) -> Array:
    """The order of the examples for each GAN, ``[devices, at_once, num_examples]``."""
    return _permute(num_examples, tuple(devices))(states.key, epoch)


@lru_cache
def _permute(num_examples: int, devices: tuple[jax.Device, ...]) -> Callable:
    permute = partial(training.epoch_permutation, num_examples=num_examples)
    each = jax.vmap(permute, (0, None))
    return parallel.over_devices(each, devices, in_axes=(0, None))


def compile_train_steps(
    make: Make,
    settings: Settings,
    states: GANState,
    examples: Examples,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> Callable[..., tuple[GANState, Metrics]]:
    """Compiles `training.train_steps` for all the GANs together.

    Args:
      make: what to train, from the numbers of one GAN.
      settings: like those to come, as `spread` gives them.
      states: like those to come.
      examples: the data set, which all share, replicated on the devices.
      devices: where to train.
      batch_size: of each GAN.
      capacity: the most steps that one call takes.

    Returns:
      ``(states, settings, examples, orders, num_steps) -> (states, metrics)``, metrics
      as ``[devices, at_once, capacity]``; the buffers of the given states are donated
      and must not be used again.
    """
    gans, size = states.step.size, len(examples.images)
    order = spread(jnp.tile(jnp.arange(size), (gans, 1)), devices)
    sizes = {"batch_size": batch_size, "capacity": capacity}
    return lower_train_steps(
        make, settings, states, examples, order, devices, **sizes
    ).compile()


def lower_train_steps(
    make: Make,
    settings: Settings,
    states: Any,
    examples: Any,
    orders: Any,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> jax.stages.Lowered:
    """What `compile_train_steps` compiles, and what else is as there.

    Shapes of all arguments are enough, and devices that are described.

    Args:
      orders: as `orders` gives them.
    """

    def one(
        state: GANState, setting: Settings, examples: Examples, order: Array, n: Array
    ) -> tuple[GANState, Metrics]:
        return training.train_steps(
            make(setting),
            state,
            examples,
            order,
            n,
            shard=0,
            batch_size=batch_size,
            capacity=capacity,
        )

    def side_by_side(*args: Any) -> tuple[GANState, Metrics]:
        with convolution.as_products():
            return one(*args)

    in_axes = (0, 0, None, 0, None)
    together = jax.vmap(side_by_side, in_axes)
    if states.step.shape[1] == 1:
        together = _without_axis(one, in_axes)
    program = parallel.over_devices(
        together, devices, in_axes=in_axes, donate_argnums=0
    )
    return program.lower(states, settings, examples, orders, 1)


def _without_axis(
    function: Callable[..., Any], in_axes: tuple[int | None, ...]
) -> Callable[..., Any]:
    """What ``vmap`` over an axis of length 1 computes; on a CPU in 3/4 of the time.

    With a batch axis, XLA's products there miss the fast kernels.
    """

    def call(*args: Any) -> Any:
        alone = [
            arg if axis is None else jax.tree.map(lambda leaf: leaf[0], arg)
            for arg, axis in zip(args, in_axes, strict=True)
        ]
        return jax.tree.map(lambda leaf: leaf[None], function(*alone))

    return call
