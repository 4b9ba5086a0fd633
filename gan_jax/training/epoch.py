"""Many steps as one compiled loop, over the images in an epoch's order."""

from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp

from gan_jax.errors import UserError
from gan_jax.training.draws import StepKeys, step_keys
from gan_jax.training.pixels import scale_images
from gan_jax.training.state import GAN, Examples, GANState, Metrics
from gan_jax.training.step import train_step

Array = jax.Array


class HasCriticSteps(Protocol):
    """A GAN, or its recipe."""

    critic_steps: int


def steps_per_epoch(gan: HasCriticSteps, num_examples: int, batch_size: int) -> int:
    """Generator steps in a pass over the data; the remainder is dropped.

    Raises:
      UserError: the data set is too small for one step.
    """
    steps = num_examples // (batch_size * gan.critic_steps)
    if steps == 0:
        raise UserError(
            f"one step takes {gan.critic_steps} x {batch_size} examples and the data"
            f" set has {num_examples}: use a smaller --batch_size"
        )
    return steps


def epoch_permutation(key: Array, epoch: int, num_examples: int) -> Array:
    """The order of the examples in an epoch: a pure function, nothing to save.

    Args:
      key: the run's key (`GANState.key`).
      epoch: number of the epoch, from 0.
      num_examples: size of the data set.

    Returns:
      ``[num_examples]`` int32, a permutation of ``range(num_examples)``.
    """
    # Steps fold in 0, 1, 2...: data take their own branch of the key.
    key = jax.random.fold_in(jax.random.fold_in(key, 2**32 - 1), epoch)
    return jax.random.permutation(key, num_examples)


def train_steps(
    gan: GAN,
    state: GANState,
    examples: Examples,
    order: Array,
    num_steps: Array,
    shard: Array,
    first: Array | int = 0,
    *,
    batch_size: int,
    capacity: int,
) -> tuple[GANState, Metrics]:
    """Takes ``num_steps`` steps within one epoch, as one compiled loop.

    The examples are the whole data set, or a block of it that serves a few steps
    (`parallel.compile_block_steps`).

    The bound of the loop is dynamic: one program serves every chunk, however long,
    and so the same bits come out however a run was cut into chunks. (With ``scan``,
    each chunk length is a program of its own, to compile and to round differently.)

    Args:
      gan: what to train.
      state: before the first step.
      examples: on the device.
      order: int32, which of them each step takes, one global batch after another: the
        epoch's `epoch_permutation`.
      num_steps: int32 scalar, at most ``capacity``.
      shard: int32 scalar: which part of each global batch is this device's.
      first: int32 scalar: the step that ``order`` begins with, or that and a number of
        times that ``order`` was gone through.
      batch_size: examples of this device in a batch; static.
      capacity: length of the returned metrics; static.

    Returns:
      The state after the steps, and each metric as ``[capacity]``, of which the first
      ``num_steps`` are filled.
    """
    devices = 1 if gan.axis_name is None else jax.lax.axis_size(gan.axis_name)
    consumed = batch_size * devices * gan.critic_steps
    per_order = order.shape[0] // consumed
    # A fixed generator has no parameters.
    params = (state.generator.params, state.discriminator.params)
    dtype = jax.tree.leaves(params)[0].dtype

    @partial(jax.jit, inline=True)  # traced once, for its shapes and in the loop
    def step(state: GANState, keys: StepKeys) -> tuple[GANState, Metrics]:
        start = (state.step - first) % per_order * consumed
        index = jax.lax.dynamic_slice_in_dim(order, start, consumed)
        index = index.reshape(gan.critic_steps, devices, batch_size)[:, shard]
        images, labels = jax.tree.map(lambda array: array[index], examples)
        return train_step(gan, state, scale_images(images, dtype), labels, keys)

    # All at once: in the loop, they would be many launches on a GPU.
    numbers = state.step + jnp.arange(capacity)
    keys = jax.vmap(partial(step_keys, gan, state.key))(numbers)
    first_keys = jax.tree.map(lambda array: array[0], keys)
    shapes = jax.eval_shape(step, state, first_keys)[1]
    names = sorted(shapes)
    log = jnp.zeros((capacity, len(names)), jnp.result_type(*shapes.values()))

    def body(i: Array, carry: tuple[GANState, Array]) -> tuple[GANState, Array]:
        state, log = carry
        state, metrics = step(state, jax.tree.map(lambda array: array[i], keys))
        row = jnp.stack([metrics[name] for name in names])
        return state, log.at[i].set(row.astype(log.dtype))

    state, log = jax.lax.fori_loop(0, num_steps, body, (state, log))
    return state, dict(zip(names, log.T, strict=True))
