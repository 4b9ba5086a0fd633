"""Layers of the networks, of `gan_jax.networks.convolution`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax import backend
from gan_jax.errors import UserError, check_name
from gan_jax.networks import resampling
from gan_jax.networks.convolution import (
    conv2d,
    grouped_conv2d,
    pixel_shuffle,
    shuffled_conv2d,
)


class Conv(nn.Module):
    """A convolution layer; parameters named and shaped like `flax.linen.Conv`'s.

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel, in pixels.
      stride: step of the output grid, in pixels.
      padding: zeros added on each side, in pixels.
      shuffle: side of the blocks of a `pixel_shuffle` that comes first.
      resample: "up", a nearest upsampling by 2 comes first; "down", a mean over blocks
        of 2 x 2 comes last; both of an odd kernel, of the same size but for that,
        whatever ``padding`` is left at. Or "transpose": the convolution is transposed,
        ``stride`` is that of the input.
      groups: of channels, each with kernels of its own; without ``resample``.
      use_bias: whether a bias is added.
      kernel_init: initialiser of the kernel; the bias starts at 0.
      dtype: type of the computation; None for that of input and parameters.
      param_dtype: type of the parameters.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    shuffle: int = 1
    resample: str | None = None
    groups: int = 1
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()
    dtype: jnp.dtype | None = None
    param_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        """Refuses arguments that do not go together.

        Raises:
          UserError: some do not, or there is no such way to resample.
        """
        if self.resample is not None:
            self._check_resampling(self.resample)
        super().__post_init__()

    def _check_resampling(self, resample: str) -> None:
        check_name("resample", resample, ("up", "down", "transpose"))
        it, size = f"resample={resample!r}", self.kernel_size
        if self.groups > 1:
            raise UserError(f"groups={self.groups} and {it}: write one of the two")
        if resample == "transpose":
            return
        if size % 2 == 0:
            raise UserError(
                f"{it} takes an odd kernel_size: {size - 1} or {size + 1}, not {size}"
            )
        if self.stride != 1:
            raise UserError(f"{it} has no stride: leave stride={self.stride} out")
        same = size // 2
        if self.padding not in (0, same):
            raise UserError(
                f"{it} keeps the size of the image but for a factor of 2: write"
                f" padding={same}, or leave padding={self.padding} out"
            )

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[..., H, W, C]`` to ``[..., H', W', features]``.

        Raises:
          UserError: the channels are no multiple of what ``shuffle`` and ``groups``
            need.
        """
        channels = self._channels(x.shape[-1])
        shape = (self.kernel_size, self.kernel_size, channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param(
                "bias", nn.initializers.zeros, (self.features,), self.param_dtype
            )
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = self._convolve(x, kernel)
        return y if bias is None else y + jnp.expand_dims(bias, range(y.ndim - 1))

    def _channels(self, given: int) -> int:
        """Input channels of a kernel."""
        shuffled, left = divmod(given, self.shuffle**2)
        if left:
            raise UserError(
                f"shuffle={self.shuffle} takes a multiple of {self.shuffle**2}"
                f" channels, and there are {given}"
            )
        if shuffled % self.groups or self.features % self.groups:
            raise UserError(
                f"groups={self.groups} must divide the {shuffled} channels and"
                f" features={self.features}"
            )
        return shuffled // self.groups

    def _convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        how = {"stride": self.stride, "padding": self.padding}
        if self.shuffle > 1:
            same = {"stride": 1, "padding": (self.kernel_size - 1) / 2}
            if self.resample is None and self.groups == 1 and how == same:
                return shuffled_conv2d(
                    x, kernel, block=self.shuffle, padding=self.padding
                )
            x = pixel_shuffle(x, self.shuffle)
        if self.resample == "up":
            return resampling.upsampled_conv2d(x, kernel)
        if self.resample == "down":
            return resampling.mean_pooled_conv2d(x, kernel)
        if self.resample == "transpose":
            return resampling.conv2d_transpose(x, kernel, **how)
        if self.groups > 1:
            return grouped_conv2d(x, kernel, groups=self.groups, **how)
        return conv2d(x, kernel, **how)


class LayerNorm(nn.Module):
    """`flax.linen.LayerNorm` of an image, over its pixels and channels.

    Means are taken over the pixels first, and then over the channels: on a CPU, XLA
    sums whole rows of numbers there, and with a gradient penalty that is a third of the
    time. There, input, factor and output are computed once, and not again in each loop
    that reads them: a tenth of DCGAN's step with a gradient penalty. Scale and bias are
    of each channel.

    Attributes:
      epsilon: added to the variance.
      dtype: type of the computation; None for that of input and parameters.
    """

    epsilon: float = 1e-6
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[..., H, W, C]`` to the same."""
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        x, scale, bias = nn.dtypes.promote_dtype(x, scale, bias, dtype=self.dtype)

        def mean(values: jax.Array) -> jax.Array:
            wide = jnp.mean(values, axis=(-3, -2), keepdims=True)
            return jnp.mean(wide, axis=-1, keepdims=True)

        on_cpu = backend.kind() == "cpu"
        once = jax.lax.optimization_barrier if on_cpu else lambda values: values
        wide = once(x).astype(jnp.promote_types(x.dtype, jnp.float32))
        centred = wide - mean(wide)
        factor = once(jax.lax.rsqrt(mean(centred * centred) + self.epsilon))
        scale, bias = (jnp.expand_dims(p, range(x.ndim - 1)) for p in (scale, bias))
        return once((centred * factor).astype(x.dtype) * scale + bias)


def apply_layer(
    layer: nn.Module, x: jax.Array, *, spectral_norm: bool, train: bool
) -> jax.Array:
    """A layer's output, with its weights over their largest singular value or as is.

    Power iteration, one in each training pass, moves an estimate of the singular
    vector, which is kept beside the statistics of batch norm.

    Args:
      layer: of a module that is being called.
      x: its input.
      spectral_norm: whether weights are divided.
      train: whether the estimate moves.

    Source: Miyato et al. 2018, https://arxiv.org/abs/1802.05957
    """
    if not spectral_norm:
        return layer(x)
    return nn.SpectralNorm(layer)(x, update_stats=train)
