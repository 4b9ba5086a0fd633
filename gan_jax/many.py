"""Many GANs at once: one program trains a GAN for every key, by ``vmap``.

A pytree of states has a first axis, one entry for each GAN. All of them take the same
steps on the same data set, each in its own order and with its own draws: every one is
the GAN that its key alone would give, but for the rounding of larger products.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from gan_jax import training
from gan_jax.training import GAN, Examples, GANState, Metrics

Array = jax.Array


def initialise(gan: GAN, keys: Array, example_shape: tuple[int, ...]) -> GANState:
    """`training.init_state` for each of the keys.

    Args:
      gan: what to train; without a device axis.
      keys: random keys, ``[gans]``.
      example_shape: shape of one example, ``(28, 28, 1)``.

    Returns:
      The states before step 0, ``[gans, ...]``.

    Raises:
      UserError: a penalised discriminator has layers that mix examples.
    """
    init = partial(training.init_state, gan, example_shape=example_shape)
    return jax.jit(jax.vmap(init))(keys)


def pick(states: GANState, index: int) -> GANState:
    """One of the states."""
    return jax.tree.map(lambda leaf: leaf[index], states)


@partial(jax.jit, static_argnames="num_examples")
def orders(states: GANState, epoch: int, *, num_examples: int) -> Array:
    """The order of the examples for each GAN, ``[gans, num_examples]``."""
    permute = partial(training.epoch_permutation, num_examples=num_examples)
    return jax.vmap(permute, (0, None))(states.key, epoch)


def compile_train_steps(
    gan: GAN, states: GANState, examples: Examples, *, batch_size: int, capacity: int
) -> Callable[[GANState, Examples, Array, Array], tuple[GANState, Metrics]]:
    """Compiles `training.train_steps` for all the GANs together, on one device.

    Args:
      gan: what to train; without a device axis.
      states: states like those to come.
      examples: the data set, which all share.
      batch_size: of each GAN.
      capacity: the most steps that one call takes.

    Returns:
      ``(states, examples, orders, num_steps) -> (states, metrics)``, metrics as
      ``[gans, capacity]``; the given states' buffers are donated and must not be used
      again.
    """
    steps = partial(
        training.train_steps, gan, shard=0, batch_size=batch_size, capacity=capacity
    )
    together = jax.jit(jax.vmap(steps, (0, None, 0, None)), donate_argnums=0)
    order = jnp.tile(jnp.arange(len(examples.images)), (len(states.step), 1))
    return together.lower(states, examples, order, 1).compile()
