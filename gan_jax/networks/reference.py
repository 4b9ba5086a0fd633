"""The reference generator and discriminator: of 28 x 28 gray images, and of others.

Height and width are multiples of 4: each network halves or doubles them twice.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.errors import UserError
from gan_jax.networks.batch_norm import batch_norm
from gan_jax.networks.conditioning import beside_one_hot, logits
from gan_jax.networks.convolution import pixel_shuffle
from gan_jax.networks.layers import Conv, apply_layer

Array = jax.Array

# Uniform in +-1/sqrt(fan_in), the scale that the published numbers were made with.
kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def check_shape(shape: tuple[int, int, int]) -> None:
    """Refuses images that these networks cannot make.

    Args:
      shape: ``(height, width, channels)``.

    Raises:
      UserError: height or width is no multiple of 4.
    """
    height, width, _ = shape
    if height % 4 or width % 4 or min(height, width) < 4:
        near = max(round(min(height, width) / 4) * 4, 4)
        raise UserError(
            f"the reference networks make images whose height and width are multiples"
            f" of 4, and these are {height} x {width}: use images of {near} x {near}"
        )


class Generator(nn.Module):
    """The reference generator: images by two pixel shuffles; no tanh.

    Dense 512, Dense h/4 x w/4 x 64, then twice a pixel shuffle and a 3 x 3 convolution,
    with batch norm and ReLU between: 1,654,121 parameters for 64 latents and 28 x 28
    gray images.

    Attributes:
      num_classes: of the labels, None for an unconditional generator; ten classes are
        5,120 parameters more.
      shape: of an image, ``(height, width, channels)``.
      axis_name: the device axis that batch norm averages over, None for one device.
      dtype: type of the computation (None: that of inputs and parameters); the
        parameters stay float32.
      width: channels behind the Dense layers, of which the first has 8 times as many.
    """

    num_classes: int | None = None
    shape: tuple[int, int, int] = (28, 28, 1)
    axis_name: str | None = None
    dtype: jnp.dtype | None = None
    width: int = 64

    def __post_init__(self) -> None:
        """Refuses what it cannot make: see `check_shape`."""
        check_shape(self.shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool) -> Array:
        """Draws images.

        Args:
          z: latents, ``[batch, latent]``.
          labels: int32 ``[batch]``, where conditional.
          train: normalise with the batch's statistics (and update the running ones)
            instead of the running averages.

        Returns:
          ``[batch, height, width, channels]``, unbounded; data lie in [-1, 1].
        """
        height, width, channels = self.shape
        rows, columns = height // 4, width // 4
        dense = partial(nn.Dense, kernel_init=kernel_init, dtype=self.dtype)
        conv = partial(Conv, kernel_init=kernel_init, dtype=self.dtype)
        norm = batch_norm(train=train, axis_name=self.axis_name, dtype=self.dtype)
        z = beside_one_hot(z, labels, self.num_classes)
        x = nn.relu(norm()(dense(8 * self.width)(z)))
        x = nn.relu(norm()(dense(rows * columns * self.width)(x)))
        x = pixel_shuffle(x.reshape(*x.shape[:-1], rows, columns, self.width), 2)
        x = nn.relu(norm()(conv(self.width // 2, 3, padding=1)(x)))
        return conv(channels, 3, padding=1, shuffle=2)(x)


class Discriminator(nn.Module):
    """The reference discriminator (or critic): two strided convolutions, two Dense.

    No layer mixes examples, so that it can be penalised: 1,640,033 parameters for 28 x
    28 gray images; any others have any number of channels.

    Attributes:
      num_classes: of the labels, None for an unconditional discriminator; ten classes
        are 4,617 parameters more.
      dtype: as in `Generator`; logits are at least float32.
      width: channels before the Dense layers, of which the first has 8 times as many.
      spectral_norm: of every layer's weights.
    """

    num_classes: int | None = None
    dtype: jnp.dtype | None = None
    width: int = 64
    spectral_norm: bool = False

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """Scores images.

        Args:
          x: ``[..., height, width, channels]``: one image, or any batch axes.
          labels: int32 ``[...]``, where conditional.
          train: whether the power iterations of spectral norm move; else, every layer
            is the same in training and after.

        Returns:
          Logits, ``[...]``.
        """
        apply = partial(apply_layer, spectral_norm=self.spectral_norm, train=train)
        dense = partial(nn.Dense, kernel_init=kernel_init, dtype=self.dtype)
        conv = partial(Conv, kernel_init=kernel_init, dtype=self.dtype)
        leaky_relu = partial(nn.leaky_relu, negative_slope=0.1)
        x = leaky_relu(apply(conv(self.width // 2, 4, stride=2, padding=1), x))
        x = leaky_relu(apply(conv(self.width, 4, stride=2, padding=1), x))
        x = x.reshape(*x.shape[:-3], -1)
        x = leaky_relu(apply(dense(8 * self.width), x))
        x = apply(dense(self.num_classes or 1), x)
        return logits(x, labels, self.num_classes)
