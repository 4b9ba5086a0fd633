"""Features of a convolutional network that nobody has trained.

For sets of images unlike ImageNet, and without labels to train a classifier with. Naeem
et al. 2020 (https://arxiv.org/abs/2002.09797, section 4) show that precision, recall,
density and coverage order models in such features as they should, where those of a
network trained on ImageNet mislead; theirs is a VGG16 of 64 features.
"""

from typing import Any

import jax
import numpy as np
from flax import linen as nn

from gan_jax import backend
from gan_jax.evaluation.batches import in_batches
from gan_jax.networks.layers import Conv
from gan_jax.training import scale_images

NUM_FEATURES = 64
_WIDTHS = (32, 64, 128)


class Network(nn.Module):
    """Three convolutions with ReLU and max pooling, and a layer of 64 features."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Pixels in [-1, 1], ``[batch, height, width, channels]``, to features."""
        init = nn.initializers.he_normal()
        for width in _WIDTHS:
            x = nn.relu(Conv(width, 3, padding=1, kernel_init=init)(x))
            if min(x.shape[1:3]) > 1:
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(NUM_FEATURES, kernel_init=init)(x)


def initialise(shape: tuple[int, int, int]) -> Any:
    """Weights of `Network` for images of a shape: always the same ones.

    Args:
      shape: ``(height, width, channels)``.
    """
    first = np.zeros((1, *shape), np.float32)
    init = jax.jit(Network().init)
    return jax.tree.map(np.asarray, init(jax.random.key(0), first)["params"])


@jax.jit
def _apply(params: Any, images: jax.Array) -> jax.Array:
    with backend.products("highest"):  # on every device the same, to rounding
        return Network().apply({"params": params}, scale_images(images))


def extract(params: Any, images: np.ndarray) -> np.ndarray:
    """Features of images.

    Args:
      params: of `initialise`.
      images: uint8, ``[N, height, width, channels]``.

    Returns:
      float64, ``[N, 64]``.
    """
    [features] = in_batches(lambda batch: [_apply(params, batch)], images)
    return features.astype(np.float64)
