"""Layers of the networks, of `gan_jax.networks.convolution`."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax import backend
from gan_jax.networks import resampling
from gan_jax.networks.convolution import conv2d, grouped_conv2d, shuffled_conv2d


class Conv(nn.Module):
    """A convolution layer; parameters named and shaped like `flax.linen.Conv`'s.

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel, in pixels.
      stride: step of the output grid, in pixels.
      padding: zeros added on each side, in pixels.
      shuffle: side of the blocks of a `pixel_shuffle` that comes first.
      resample: "up", a nearest upsampling by 2 comes first; "down", a mean over blocks
        of 2 x 2 comes last; both of an odd kernel, of the same size but for that. Or
        "transpose": the convolution is transposed, ``stride`` is that of the input.
      groups: of channels, each with kernels of its own; of a stride of 1.
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

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[..., H, W, C]`` to ``[..., H', W', features]``."""
        channels = x.shape[-1] // self.shuffle**2 // self.groups
        shape = (self.kernel_size, self.kernel_size, channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param(
                "bias", nn.initializers.zeros, (self.features,), self.param_dtype
            )
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = self._convolution()(x, kernel)
        return y if bias is None else y + jnp.expand_dims(bias, range(y.ndim - 1))

    def _convolution(self) -> Callable[[jax.Array, jax.Array], jax.Array]:
        if self.resample == "up":
            return resampling.upsampled_conv2d
        if self.resample == "down":
            return resampling.mean_pooled_conv2d
        size = {"stride": self.stride, "padding": self.padding}
        if self.resample == "transpose":
            return partial(resampling.conv2d_transpose, **size)
        if self.shuffle > 1:
            return partial(shuffled_conv2d, block=self.shuffle, padding=self.padding)
        if self.groups > 1:
            return partial(grouped_conv2d, groups=self.groups, padding=self.padding)
        return partial(conv2d, **size)


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
