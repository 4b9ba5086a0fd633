"""Residual networks of WGAN-GP and, with spectral normalisation, of SN-GAN.

Below 64 pixels a side, all layers have the same width: those of CIFAR-10. Larger
images have half as many channels at each larger side.

Sources: Gulrajani et al. 2017, appendix F, https://arxiv.org/abs/1704.00028; Miyato et
al. 2018, appendix B.4, https://arxiv.org/abs/1802.05957
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.networks.batch_norm import batch_norm
from gan_jax.networks.conditioning import beside_one_hot, logits
from gan_jax.networks.layers import Conv, apply_layer
from gan_jax.networks.resampling import mean_pool, upsample_nearest
from gan_jax.networks.stages import stages

Array = jax.Array

_init = nn.initializers.variance_scaling(2, "fan_avg", "uniform")  # before a ReLU
_linear_init = nn.initializers.variance_scaling(1, "fan_avg", "uniform")
_EQUALLY_WIDE = 3  # doublings


def _widths(width: int, count: int) -> list[int]:
    """Channels at each side, the largest first."""
    return [width * (1 if count <= _EQUALLY_WIDE else 2**i) for i in range(count)]


class ResNetGenerator(nn.Module):
    """A Dense layer, residual blocks that double the sides, a convolution, tanh.

    In a block: batch norm, ReLU, nearest upsampling, convolution; batch norm, ReLU,
    convolution; the block's upsampled input is added.

    Attributes:
      num_classes: of the labels, None for an unconditional generator.
      shape: of an image, ``(height, width, channels)``; see `stages`.
      width: channels of the last block; CIFAR-10's are 128 and 256 in the papers.
      axis_name: the device axis that batch norm averages over, None for one device.
      dtype: type of the computation (None: that of inputs and parameters); the
        parameters stay float32.
    """

    num_classes: int | None = None
    shape: tuple[int, int, int] = (32, 32, 3)
    width: int = 64
    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    def __post_init__(self) -> None:
        """Refuses what it cannot make: see `stages`."""
        stages("resnet", self.shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool) -> Array:
        """``[batch, latent]`` to ``[batch, height, width, channels]`` in [-1, 1]."""
        count, rows, columns = stages("resnet", self.shape)
        conv = partial(Conv, dtype=self.dtype)
        norm = batch_norm(train=train, axis_name=self.axis_name, dtype=self.dtype)
        widths = _widths(self.width, count)
        z = beside_one_hot(z, labels, self.num_classes)
        features = rows * columns * widths[-1]
        x = nn.Dense(features, kernel_init=_linear_init, dtype=self.dtype)(z)
        x = x.reshape(*z.shape[:-1], rows, columns, widths[-1])
        for width in reversed(widths):
            h = nn.relu(norm()(x))
            h = conv(width, 3, resample="up", kernel_init=_init)(h)
            h = nn.relu(norm()(h))
            h = conv(width, 3, padding=1, kernel_init=_init)(h)
            # A 1 x 1 convolution is the same before an upsampling, and cheaper.
            x = upsample_nearest(conv(width, 1, kernel_init=_linear_init)(x)) + h
        x = nn.relu(norm()(x))
        return jnp.tanh(conv(self.shape[-1], 3, padding=1, kernel_init=_linear_init)(x))


class ResNetDiscriminator(nn.Module):
    """Residual blocks that halve the sides, then one or two that do not.

    In a block: ReLU, convolution, ReLU, convolution, mean over 2 x 2; the block's input
    is added, likewise. No layer mixes examples.

    Attributes:
      num_classes: of the labels, None for an unconditional discriminator.
      width: channels of the first block.
      spectral_norm: of every layer's weights (SN-GAN); features are then added up over
        the last pixels, and averaged without it, as the papers do.
      dtype: as in `ResNetGenerator`; logits are at least float32.
    """

    num_classes: int | None = None
    width: int = 64
    spectral_norm: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[..., height, width, channels]`` to logits ``[...]``."""
        conv = partial(Conv, dtype=self.dtype)
        apply = partial(apply_layer, spectral_norm=self.spectral_norm, train=train)
        count = stages("resnet", x.shape[-3:])[0]
        widths = _widths(self.width, count)
        halved = count if count > _EQUALLY_WIDE else count - 1
        plain = 1 if count > _EQUALLY_WIDE else 2
        for i, width in enumerate(widths[:halved]):
            h = nn.relu(x) if i else x  # the first block sees pixels
            h = nn.relu(apply(conv(width, 3, padding=1, kernel_init=_init), h))
            h = apply(conv(width, 3, resample="down", kernel_init=_init), h)
            x = apply(conv(width, 1, kernel_init=_linear_init), mean_pool(x)) + h
        for _ in range(plain):
            h = apply(conv(width, 3, padding=1, kernel_init=_init), nn.relu(x))
            h = apply(conv(width, 3, padding=1, kernel_init=_init), nn.relu(h))
            x = x + h
        pool = jnp.sum if self.spectral_norm else jnp.mean
        x = pool(nn.relu(x), axis=(-3, -2))
        last = nn.Dense(
            self.num_classes or 1, kernel_init=_linear_init, dtype=self.dtype
        )
        return logits(apply(last, x), labels, self.num_classes)
