"""Linen networks: the reference generator and discriminator, and MLPs for 2-D data.

A generator maps latents ``[batch, latent]`` to examples ``[batch, ...]`` and takes
``train``; a discriminator maps examples to logits ``[batch]``. Pixels lie in [-1, 1].
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.convolution import Conv, pixel_shuffle

Array = jax.Array

# Uniform in +-1/sqrt(fan_in), the scale that the published numbers were made with.
kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Generator(nn.Module):
    """The reference generator: 28 x 28 images by two pixel shuffles; no tanh.

    Dense 512, Dense 7 x 7 x 64, then twice a pixel shuffle and a 3 x 3 convolution,
    with batch norm and ReLU between: 1,654,121 parameters for 64 latents.

    Attributes:
      axis_name: the device axis that batch norm averages over, None for one device.
      dtype: type of the computation (None: that of inputs and parameters); the
        parameters stay float32.
    """

    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """Draws images.

        Args:
          z: latents, ``[batch, latent]``.
          train: normalise with the batch's statistics (and update the running ones)
            instead of the running averages.

        Returns:
          ``[batch, 28, 28, 1]``, unbounded; data lie in [-1, 1].
        """
        dense = partial(nn.Dense, kernel_init=kernel_init, dtype=self.dtype)
        conv = partial(Conv, kernel_init=kernel_init, dtype=self.dtype)
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )
        x = nn.relu(norm()(dense(512)(z)))
        x = nn.relu(norm()(dense(7 * 7 * 64)(x)))
        x = pixel_shuffle(x.reshape(-1, 7, 7, 64), 2)
        x = nn.relu(norm()(conv(32, 3, padding=1)(x)))
        x = pixel_shuffle(x, 2)
        return conv(1, 3, padding=1)(x)


class Discriminator(nn.Module):
    """The reference discriminator (or critic): two strided convolutions, two Dense.

    No layer mixes examples, so that it can be penalised: 1,640,033 parameters.

    Attributes:
      dtype: as in `Generator`; logits are at least float32.
    """

    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool = True) -> Array:
        """Scores images.

        Args:
          x: ``[batch, 28, 28, 1]``.
          train: not used; every layer is the same in training and after.

        Returns:
          Logits, ``[batch]``.
        """
        del train
        dense = partial(nn.Dense, kernel_init=kernel_init, dtype=self.dtype)
        conv = partial(Conv, kernel_init=kernel_init, dtype=self.dtype)
        leaky_relu = partial(nn.leaky_relu, negative_slope=0.1)
        x = leaky_relu(conv(32, 4, stride=2, padding=1)(x))
        x = leaky_relu(conv(64, 4, stride=2, padding=1)(x))
        x = x.reshape(-1, 7 * 7 * 64)
        x = leaky_relu(dense(512)(x))
        return _as_logits(dense(1)(x))


class MLPGenerator(nn.Module):
    """A small multilayer perceptron for points: latents to ``[batch, outputs]``.

    Attributes:
      outputs: dimension of the data.
      hidden: width of each hidden layer.
      dtype: as in `Generator`.
    """

    outputs: int = 2
    hidden: tuple[int, ...] = (128, 128)
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool = True) -> Array:
        """``[batch, latent]`` to ``[batch, outputs]``; ``train`` is not used."""
        del train
        for width in self.hidden:
            z = nn.relu(nn.Dense(width, dtype=self.dtype)(z))
        return nn.Dense(self.outputs, dtype=self.dtype)(z)


class MLPDiscriminator(nn.Module):
    """A small multilayer perceptron that scores points.

    Attributes:
      hidden: width of each hidden layer.
      dtype: as in `Generator`.
    """

    hidden: tuple[int, ...] = (128, 128)
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool = True) -> Array:
        """``[batch, dimension]`` to logits ``[batch]``; ``train`` is not used."""
        del train
        for width in self.hidden:
            x = nn.leaky_relu(nn.Dense(width, dtype=self.dtype)(x), 0.1)
        return _as_logits(nn.Dense(1, dtype=self.dtype)(x))


def _as_logits(x: Array) -> Array:
    """``[batch, 1]`` to ``[batch]``; losses are computed in float32 at least."""
    return x[..., 0].astype(jnp.promote_types(x.dtype, jnp.float32))
