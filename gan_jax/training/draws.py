"""The random numbers of a step: one key an example, drawn for the GLOBAL batch.

Keys are a pure function of the run's key and the number of the step, so those of many
steps can be made at once, before a loop. Each device takes its part of the batch.
"""

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from gan_jax.training.state import GAN

Array = jax.Array

# Branches of a key for augmentation: what is split off it are its first children.
OF_REAL, OF_FAKE = 2**32 - 1, 2**32 - 2


class StepKeys(NamedTuple):
    """Random keys of the global batches of a step.

    Attributes:
      step: of the step as a whole.
      critic: of each discriminator update, ``[critic_steps]``.
      latents: of each batch of latents, ``[critic_steps + 1]``; the last is that of the
        generator's update as a whole.
      penalties: of each update's penalty, ``[critic_steps]``.
    """

    step: Array
    critic: Array
    latents: Array
    penalties: Array


class Draws(NamedTuple):
    """What one update draws, on this device.

    Attributes:
      key: of the global batch, for augmentation.
      z: latents, ``[batch, latent]``.
      penalty: a key for each example's penalty, ``[batch]``, or None.
    """

    key: Array
    z: Array
    penalty: Array | None = None


def step_keys(gan: "GAN", key: Array, step: Array) -> StepKeys:
    """The keys of a step, from that of the run."""
    key = jax.random.fold_in(key, step)
    critic, generator = jax.random.split(key)
    critic = jax.random.split(critic, gan.critic_steps)
    children = jax.vmap(jax.random.split)(critic)
    latents = jnp.concatenate([children[:, 0], generator[None]])
    return StepKeys(key, critic, latents, children[:, 1])


def local_keys(gan: "GAN", key: Array, local_batch: int) -> Array:
    """One key per example of this device's part of the global batch."""
    if gan.axis_name is None:
        return jax.random.split(key, local_batch)
    devices = jax.lax.axis_size(gan.axis_name)
    keys = jax.random.split(key, local_batch * devices)
    start = jax.lax.axis_index(gan.axis_name) * local_batch
    return jax.lax.dynamic_slice_in_dim(keys, start, local_batch)


def latents(gan: "GAN", keys: Array, dtype: jnp.dtype) -> Array:
    """``z ~ N(0, I)``, ``[batch, latent]``, each example from its own key."""
    return jax.vmap(lambda k: jax.random.normal(k, (gan.latent_size,), dtype))(keys)


def draw_step(
    gan: "GAN", keys: StepKeys, local_batch: int, dtype: jnp.dtype
) -> tuple[Draws, Draws]:
    """All that a step draws, at once.

    Returns:
      Of the discriminator's updates, ``[critic_steps, ...]``, and of the generator's.
    """
    together = keys.latents
    if gan.penalty is not None:
        together = jnp.concatenate([together, keys.penalties])
    of_examples = jax.vmap(lambda key: local_keys(gan, key, local_batch))(together)
    first = gan.critic_steps + 1
    z = jax.vmap(lambda keys: latents(gan, keys, dtype))(of_examples[:first])
    penalty = None if gan.penalty is None else of_examples[first:]
    return Draws(keys.critic, z[:-1], penalty), Draws(keys.latents[-1], z[-1])


def draw_discriminator(
    gan: "GAN", key: Array, local_batch: int, dtype: jnp.dtype
) -> Draws:
    """What one of the discriminator's updates draws, from its key alone."""
    latent, penalty = jax.random.split(key)
    z = latents(gan, local_keys(gan, latent, local_batch), dtype)
    return Draws(key, z, local_keys(gan, penalty, local_batch))


def draw_generator(gan: "GAN", key: Array, local_batch: int, dtype: jnp.dtype) -> Draws:
    """What the generator's update draws, from its key alone."""
    return Draws(key, latents(gan, local_keys(gan, key, local_batch), dtype))
