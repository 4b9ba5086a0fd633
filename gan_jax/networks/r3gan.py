"""R3GAN: residual blocks without normalisation, for the relativistic loss.

Source: Huang et al. 2024, 'The GAN is dead; long live the GAN!',
https://arxiv.org/abs/2501.05441; the initialisation is Fixup's, Zhang et al. 2019,
https://arxiv.org/abs/1901.09321
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.networks.conditioning import one_hot
from gan_jax.networks.layers import Conv
from gan_jax.networks.resampling import downsample_bilinear, upsample_bilinear
from gan_jax.networks.stages import stages

Array = jax.Array

BLOCKS = 2  # in a stage
GROUP = 16  # channels
EXPANSION = 2
_SLOPE = 0.2
# Of leaky ReLU: keeps the variance of a normal variable. (1.387 in their code:
# that keeps the mean square.)
GAIN = 1 / math.sqrt(((1 + _SLOPE**2) - (1 - _SLOPE) ** 2 / math.pi) / 2)

_leaky_relu = partial(nn.leaky_relu, negative_slope=_SLOPE)


def _normal(gain: float) -> nn.initializers.Initializer:
    """Normal with deviation ``gain / sqrt(fan_in)``."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


class ResidualBlock(nn.Module):
    """1 x 1 to twice the width, 3 x 3 in groups of 16 channels, 1 x 1 back; added to x.

    Attributes:
      depth: blocks of the whole network, for the initial scale.
      dtype: type of the computation.
    """

    depth: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """``[..., height, width, channels]`` to the same."""
        width = x.shape[-1]
        wide = EXPANSION * width
        conv = partial(Conv, dtype=self.dtype)
        init = _normal(GAIN * self.depth**-0.25)  # L^(-1 / (2m - 2)) of m = 3 layers
        h = _leaky_relu(conv(wide, 1, kernel_init=init)(x))
        grouped = conv(wide, 3, padding=1, groups=wide // GROUP, kernel_init=init)
        h = _leaky_relu(grouped(h))
        zeros = nn.initializers.zeros
        return x + conv(width, 1, use_bias=False, kernel_init=zeros)(h)


class R3GANGenerator(nn.Module):
    """A learned basis times a linear map of z, then stages of two residual blocks.

    Attributes:
      num_classes: of the labels, None for an unconditional generator.
      shape: of an image, ``(height, width, channels)``; see `stages`.
      width: channels of every stage; 768 in the paper, for CIFAR-10.
      dtype: type of the computation (None: that of inputs and parameters); the
        parameters stay float32.
    """

    num_classes: int | None = None
    shape: tuple[int, int, int] = (32, 32, 3)
    width: int = 64
    dtype: jnp.dtype | None = None

    def __post_init__(self) -> None:
        """Refuses what it cannot make: see `stages`."""
        stages("r3gan", self.shape)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, z: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[batch, latent]`` to ``[batch, height, width, channels]``, unbounded."""
        del train
        count, rows, columns = stages("r3gan", self.shape)
        depth = (count + 1) * BLOCKS
        linear = partial(
            nn.Dense, use_bias=False, kernel_init=_normal(1), dtype=self.dtype
        )
        if self.num_classes is not None:
            classes = one_hot(labels, self.num_classes, z.dtype)
            z = jnp.concatenate([z, linear(z.shape[-1], name="embed")(classes)], -1)
        weights = linear(self.width, name="weights")(z)[..., None, None, :]
        basis = self.param(
            "basis", nn.initializers.normal(1.0), (rows, columns, self.width)
        )
        lead = [1] * (weights.ndim - basis.ndim)
        x = weights * basis.reshape(*lead, *basis.shape).astype(weights.dtype)
        for i in range(count + 1):
            x = upsample_bilinear(x) if i else x
            for _ in range(BLOCKS):
                x = ResidualBlock(depth, self.dtype)(x)
        to_pixels = Conv(
            self.shape[-1], 1, use_bias=False, kernel_init=_normal(1), dtype=self.dtype
        )
        return to_pixels(x)


class R3GANDiscriminator(nn.Module):
    """The generator's mirror; ends in a depthwise basis and a linear map.

    Its logit is one number, or the product of an embedding of the image with one of the
    class, divided by the root of their dimension. No layer mixes examples.

    Attributes:
      num_classes: of the labels, None for an unconditional discriminator.
      width: channels of every stage.
      dtype: as in `R3GANGenerator`; logits are at least float32.
    """

    num_classes: int | None = None
    width: int = 64
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[..., height, width, channels]`` to logits ``[...]``."""
        del train
        count, rows, columns = stages("r3gan", x.shape[-3:])
        depth = (count + 1) * BLOCKS
        linear = partial(
            nn.Dense, use_bias=False, kernel_init=_normal(1), dtype=self.dtype
        )
        from_pixels = Conv(
            self.width, 1, use_bias=False, kernel_init=_normal(1), dtype=self.dtype
        )
        x = from_pixels(x)
        for i in range(count + 1):
            x = downsample_bilinear(x) if i else x
            for _ in range(BLOCKS):
                x = ResidualBlock(depth, self.dtype)(x)
        scale = nn.initializers.normal(1 / math.sqrt(rows * columns))
        basis = self.param("basis", scale, (rows, columns, self.width))
        x = jnp.einsum("...hwc,hwc->...c", x, basis.astype(x.dtype))
        size = 1 if self.num_classes is None else self.width
        x = linear(size, name="last")(x)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.num_classes is None:
            return x[..., 0]
        classes = one_hot(labels, self.num_classes, x.dtype)
        embedded = linear(size, name="embed")(classes)
        return jnp.sum(x * embedded, axis=-1) / math.sqrt(size)
