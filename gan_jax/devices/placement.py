"""Arrays on devices: replicated, spread over them, and brought back.

The mesh has one axis, `AXIS`. The devices may belong to several processes.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

AXIS = "devices"


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Copies a pytree to every device, once, so that no call has to.

    Among several processes, each must hold the same values.
    """
    return place(tree, devices, jax.sharding.PartitionSpec())


def replicated(shapes: Any, devices: Sequence[jax.Device]) -> Any:
    """The shapes of a pytree as they are where `replicate` has put it, in one process.

    Args:
      shapes: `jax.ShapeDtypeStruct`, or what has a shape and a type as well.
      devices: of the mesh.
    """
    sharding = _sharding(devices, jax.sharding.PartitionSpec())
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
    )


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
    sharding = _sharding(devices, spec)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> jax.Array:
        if is_key(leaf):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf)))
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, leaf.__getitem__)

    return jax.tree.map(put, tree)


def scatter(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Puts its own part of something on each device of this process.

    Args:
      tree: NumPy arrays ``[local devices, ...]``, in the order of `local_positions`;
        they must not be written to again.
      devices: of all processes.

    Returns:
      Global arrays ``[devices, ...]``, one row on each. The copy goes on while
      the host does.
    """
    sharding = _sharding(devices, jax.sharding.PartitionSpec(AXIS))
    row = {position: i for i, position in enumerate(local_positions(devices))}

    def put(leaf: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...]) -> np.ndarray:
            [position] = range(len(devices))[index[0]]
            return leaf[row[position]][None]

        shape = (len(devices), *leaf.shape[1:])
        return jax.make_array_from_callback(shape, sharding, part)

    return jax.tree.map(put, tree)


def _sharding(
    devices: Sequence[jax.Device], spec: jax.sharding.PartitionSpec
) -> jax.sharding.NamedSharding:
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    return jax.sharding.NamedSharding(mesh, spec)


def local_positions(devices: Sequence[jax.Device]) -> list[int]:
    """Which of the devices of all processes are this process's own."""
    mine = jax.process_index()
    return [i for i, device in enumerate(devices) if device.process_index == mine]


def is_key(leaf: Any) -> bool:
    """Whether an array is of typed random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def local(tree: Any) -> Any:
    """This process's own copy of a replicated pytree, on one device.

    What is computed from it needs no other process.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
