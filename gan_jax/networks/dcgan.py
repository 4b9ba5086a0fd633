"""DCGAN: strided convolutions and batch norm, no Dense layer in between.

Source: Radford et al. 2016, https://arxiv.org/abs/1511.06434; kernels of 4 x 4 instead
of 5 x 5, as most implementations have them: they cover each pixel equally often.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.networks.batch_norm import batch_norm
from gan_jax.networks.conditioning import beside_one_hot, logits
from gan_jax.networks.layers import Conv, LayerNorm, apply_layer
from gan_jax.networks.stages import stages

Array = jax.Array

_init = nn.initializers.normal(0.02)


class DCGANGenerator(nn.Module):
    """A Dense layer, then transposed convolutions that double the sides, then tanh.

    Attributes:
      num_classes: of the labels, None for an unconditional generator.
      shape: of an image, ``(height, width, channels)``; see `stages`.
      width: channels before the last layer; twice as many at each smaller side.
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
        stages("dcgan", self.shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool) -> Array:
        """``[batch, latent]`` to ``[batch, height, width, channels]`` in [-1, 1]."""
        count, rows, columns = stages("dcgan", self.shape)
        double = partial(
            Conv,
            kernel_size=4,
            stride=2,
            padding=1,
            resample="transpose",
            kernel_init=_init,
            dtype=self.dtype,
        )
        norm = batch_norm(train=train, axis_name=self.axis_name, dtype=self.dtype)
        features = self.width * 2 ** (count - 1)
        z = beside_one_hot(z, labels, self.num_classes)
        dense = nn.Dense(
            rows * columns * features,
            use_bias=False,
            kernel_init=_init,
            dtype=self.dtype,
        )
        x = dense(z).reshape(*z.shape[:-1], rows, columns, features)
        for i in reversed(range(count - 1)):
            x = nn.relu(norm()(x))
            x = double(self.width * 2**i, use_bias=False)(x)
        return jnp.tanh(double(self.shape[-1])(nn.relu(norm()(x))))


class DCGANDiscriminator(nn.Module):
    """Strided convolutions that halve the sides, down to the generator's first.

    Attributes:
      num_classes: of the labels, None for an unconditional discriminator.
      width: channels of the first layer; twice as many at each smaller side.
      norm: of all layers but the first and the last: "batch"; "layer", which keeps
        examples apart, as a gradient penalty needs it (Gulrajani et al. 2017, section
        4); or "none".
      spectral_norm: of every layer's weights, in place of ``norm``.
      axis_name: as in `DCGANGenerator`.
      dtype: as in `DCGANGenerator`; logits are at least float32.
    """

    num_classes: int | None = None
    width: int = 64
    norm: str = "batch"
    spectral_norm: bool = False
    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[..., height, width, channels]`` to logits ``[...]``."""
        halve = partial(
            Conv,
            kernel_size=4,
            stride=2,
            padding=1,
            kernel_init=_init,
            dtype=self.dtype,
        )
        apply = partial(apply_layer, spectral_norm=self.spectral_norm, train=train)
        normed = self.norm != "none" and not self.spectral_norm
        leaky_relu = partial(nn.leaky_relu, negative_slope=0.2)
        count = stages("dcgan", x.shape[-3:])[0]
        x = leaky_relu(apply(halve(self.width), x))
        for i in range(1, count):
            x = apply(halve(self.width * 2**i, use_bias=not normed), x)
            x = leaky_relu(self._normalised(x, train) if normed else x)
        x = x.reshape(*x.shape[:-3], -1)
        last = nn.Dense(self.num_classes or 1, kernel_init=_init, dtype=self.dtype)
        return logits(apply(last, x), labels, self.num_classes)

    def _normalised(self, x: Array, train: bool) -> Array:
        if self.norm == "layer":
            return LayerNorm(dtype=self.dtype)(x)
        norm = batch_norm(train=train, axis_name=self.axis_name, dtype=self.dtype)
        return norm()(x)
