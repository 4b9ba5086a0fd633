"""Linen networks: the reference generator and discriminator, and MLPs for 2-D data.

A generator maps latents ``[batch, latent]`` to examples ``[batch, ...]`` and takes
``train``; a discriminator maps examples to logits ``[batch]``. Pixels lie in [-1, 1].
With ``num_classes`` each is conditional and takes labels ``[batch]`` as its second
argument: the generator sees them one-hot beside z, and the discriminator's logit is
``onehot(y) . (A phi(x) + b)``, a projection (Miyato & Koyama 2018,
https://arxiv.org/abs/1802.05637): one row of the last layer for each class.
"""

import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.errors import UserError
from gan_jax.networks.convolution import Conv, pixel_shuffle

Array = jax.Array

# Uniform in +-1/sqrt(fan_in), the scale that the published numbers were made with.
kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Generator(nn.Module):
    """The reference generator: 28 x 28 images by two pixel shuffles; no tanh.

    Dense 512, Dense 7 x 7 x 64, then twice a pixel shuffle and a 3 x 3 convolution,
    with batch norm and ReLU between: 1,654,121 parameters for 64 latents.

    Attributes:
      num_classes: of the labels, None for an unconditional generator; ten classes are
        5,120 parameters more.
      axis_name: the device axis that batch norm averages over, None for one device.
      dtype: type of the computation (None: that of inputs and parameters); the
        parameters stay float32.
    """

    num_classes: int | None = None
    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool) -> Array:
        """Draws images.

        Args:
          z: latents, ``[batch, latent]``.
          labels: int32 ``[batch]``, where conditional.
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
        z = _beside_one_hot(z, labels, self.num_classes)
        x = nn.relu(norm()(dense(512)(z)))
        x = nn.relu(norm()(dense(7 * 7 * 64)(x)))
        x = pixel_shuffle(x.reshape(-1, 7, 7, 64), 2)
        x = nn.relu(norm()(conv(32, 3, padding=1)(x)))
        return conv(1, 3, padding=1, shuffle=2)(x)


class Discriminator(nn.Module):
    """The reference discriminator (or critic): two strided convolutions, two Dense.

    No layer mixes examples, so that it can be penalised: 1,640,033 parameters.

    Attributes:
      num_classes: of the labels, None for an unconditional discriminator; ten classes
        are 4,617 parameters more.
      dtype: as in `Generator`; logits are at least float32.
    """

    num_classes: int | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """Scores images.

        Args:
          x: ``[batch, 28, 28, 1]``.
          labels: int32 ``[batch]``, where conditional.
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
        return _logits(dense(self.num_classes or 1)(x), labels, self.num_classes)


class MLPGenerator(nn.Module):
    """A small multilayer perceptron for points: latents to ``[batch, outputs]``.

    Attributes:
      outputs: dimension of the data.
      hidden: width of each hidden layer.
      num_classes: of the labels, None for an unconditional generator.
      dtype: as in `Generator`.
    """

    outputs: int = 2
    hidden: tuple[int, ...] = (128, 128)
    num_classes: int | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, z: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[batch, latent]`` to ``[batch, outputs]``; ``train`` is not used."""
        del train
        z = _beside_one_hot(z, labels, self.num_classes)
        for width in self.hidden:
            z = nn.relu(nn.Dense(width, dtype=self.dtype)(z))
        return nn.Dense(self.outputs, dtype=self.dtype)(z)


class MLPDiscriminator(nn.Module):
    """A small multilayer perceptron that scores points.

    Attributes:
      hidden: width of each hidden layer.
      num_classes: of the labels, None for an unconditional discriminator.
      activation: after each hidden layer.
      dtype: as in `Generator`.
    """

    hidden: tuple[int, ...] = (128, 128)
    num_classes: int | None = None
    activation: Callable[[Array], Array] = partial(nn.leaky_relu, negative_slope=0.1)
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[batch, dimension]`` to logits ``[batch]``; ``train`` is not used."""
        del train
        for width in self.hidden:
            x = self.activation(nn.Dense(width, dtype=self.dtype)(x))
        last = nn.Dense(self.num_classes or 1, dtype=self.dtype)
        return _logits(last(x), labels, self.num_classes)


def _beside_one_hot(z: Array, labels: Array | None, num_classes: int | None) -> Array:
    """``[z, one-hot(y)]``: ``[batch, latent + num_classes]``, or z as it is."""
    if num_classes is None:
        return z
    return jnp.concatenate([z, _one_hot(labels, num_classes, z.dtype)], axis=-1)


def _logits(scores: Array, labels: Array | None, num_classes: int | None) -> Array:
    """Last layer ``[batch, num_classes or 1]`` to logits ``[batch]``.

    Losses are computed in float32 at least.
    """
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if num_classes is None:
        return scores[..., 0]
    return jnp.sum(_one_hot(labels, num_classes, scores.dtype) * scores, axis=-1)


def _one_hot(labels: Array | None, num_classes: int, dtype: jnp.dtype) -> Array:
    if labels is None:
        raise ValueError(f"a network of num_classes={num_classes} needs labels")
    return jax.nn.one_hot(labels, num_classes, dtype=dtype)


def refuse_lone_numbers(batch: int) -> contextlib.AbstractContextManager[None]:
    """Inside of it, a layer of batch norm refuses a mean over a single number.

    It would give zero, whatever its input. So does a batch of one image behind a Dense
    layer; behind a convolution, the mean is over the pixels as well.

    Args:
      batch: examples on this device; where there are two or more, no mean is over one.

    Raises:
      UserError: when such a layer is applied or initialised in training.
    """
    if batch > 1:
        return contextlib.nullcontext()
    return nn.intercept_methods(_refuse_lone_number)


def _refuse_lone_number(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: nn.module.InterceptorContext,
) -> Any:
    layer = context.module
    if isinstance(layer, nn.BatchNorm) and context.method_name == "__call__":
        asked = [*args[1:2], kwargs.get("use_running_average")][0]
        running = layer.use_running_average if asked is None else asked
        if not running and _averaged(layer, args[0].shape) == 1:
            raise UserError(
                f"batch norm over a single number ({'/'.join(layer.path)}) gives zero"
                " whatever its input, and nothing is learnt: use a --batch_size of 2 or"
                " more, or a network without batch norm"
            )
    return call(*args, **kwargs)


def _averaged(layer: nn.BatchNorm, shape: tuple[int, ...]) -> int:
    """How many numbers a mean of batch norm is over, on all devices."""
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    numbers = math.prod(shape) // math.prod(shape[axis] for axis in axes)
    if layer.axis_name is not None:
        numbers *= jax.lax.axis_size(layer.axis_name)
    return numbers
