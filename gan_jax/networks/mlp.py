"""Multilayer perceptrons for points, as of 2-D data."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.networks.conditioning import beside_one_hot, logits

Array = jax.Array


class MLPGenerator(nn.Module):
    """A small multilayer perceptron for points: latents to ``[batch, outputs]``.

    Attributes:
      outputs: dimension of the data; or the shape of an example, as of images.
      hidden: width of each hidden layer.
      num_classes: of the labels, None for an unconditional generator.
      dtype: as in `Generator`.
    """

    outputs: int | tuple[int, ...] = 2
    hidden: tuple[int, ...] = (128, 128)
    num_classes: int | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, z: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[batch, latent]`` to ``[batch, *outputs]``; ``train`` is not used."""
        del train
        z = beside_one_hot(z, labels, self.num_classes)
        for width in self.hidden:
            z = nn.relu(nn.Dense(width, dtype=self.dtype)(z))
        if isinstance(self.outputs, int):
            return nn.Dense(self.outputs, dtype=self.dtype)(z)
        x = nn.Dense(math.prod(self.outputs), dtype=self.dtype)(z)
        return x.reshape(*x.shape[:-1], *self.outputs)


class MLPDiscriminator(nn.Module):
    """A small multilayer perceptron that scores points.

    Attributes:
      hidden: width of each hidden layer.
      num_classes: of the labels, None for an unconditional discriminator.
      activation: after each hidden layer.
      axes: of an example: 1 of a point; 3 of an image, which is flattened.
      dtype: as in `Generator`.
    """

    hidden: tuple[int, ...] = (128, 128)
    num_classes: int | None = None
    activation: Callable[[Array], Array] = partial(nn.leaky_relu, negative_slope=0.1)
    axes: int = 1
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, x: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[batch, dimension]`` to logits ``[batch]``; ``train`` is not used."""
        del train
        if self.axes > 1:
            x = x.reshape(*x.shape[: -self.axes], -1)
        for width in self.hidden:
            x = self.activation(nn.Dense(width, dtype=self.dtype)(x))
        last = nn.Dense(self.num_classes or 1, dtype=self.dtype)
        return logits(last(x), labels, self.num_classes)
