"""What a discriminator says of images: its score, and its gradient at each of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import penalties, training

Array = jax.Array


class Scores(NamedTuple):
    """A discriminator's answers to images.

    Attributes:
      logits: float32 ``[N]``.
      norms: of the gradient of the logit by the image's pixels in [-1, 1], float32
        ``[N]``.
      gradients: float32, ``[N, height, width, channels]``.
    """

    logits: np.ndarray
    norms: np.ndarray
    gradients: np.ndarray


@jax.jit(static_argnums=0)
def _scores(
    gan: training.GAN, state: training.GANState, x: Array, labels: Array | None
) -> tuple[Array, Array]:
    def critic(image: Array, *label: Array) -> Array:
        batch = (image[None], *(a[None] for a in label))
        return training.score(gan, state, *batch)[0]

    context = () if labels is None else (labels,)
    return jax.vmap(jax.value_and_grad(critic))(x, *context)


def scores(
    gan: training.GAN,
    state: training.GANState,
    x: np.ndarray,
    labels: np.ndarray | None = None,
) -> Scores:
    """Scores images as they are, without augmentation, each of them alone.

    Batch norm takes its running statistics. Compiled for each number of images.

    Args:
      gan: what is trained.
      state: at any step.
      x: uint8 ``[N, height, width, channels]``, or the same in [-1, 1], float32.
      labels: int32 ``[N]`` of a conditional GAN, None of another.

    Returns:
      Logits, gradients and their norms.
    """
    if x.dtype == np.uint8:
        x = training.scale_images(jnp.asarray(x))
    logits, gradients = jax.device_get(_scores(gan, state, x, labels))
    norms = np.sqrt(np.square(gradients).sum(axis=(1, 2, 3)))
    return Scores(logits, norms, gradients)


def between(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Points between real images and samples, as WGAN-GP penalises them.

    Args:
      real: uint8 ``[N, height, width, channels]``.
      fake: the same.
      seed: of the places.

    Returns:
      float32 in [-1, 1], the same shape.

    Source: Gulrajani et al. 2017, algorithm 1, https://arxiv.org/abs/1704.00028
    """
    keys = jax.random.split(jax.random.key(seed), len(real))
    pair = (training.scale_images(jnp.asarray(x)) for x in (real, fake))
    return np.asarray(penalties.interpolate(*pair, keys))


def gradient_picture(gradient: np.ndarray) -> np.ndarray:
    """A gradient as a picture: red where more light raises the score, blue where less.

    Args:
      gradient: ``[height, width, channels]``; channels are added up.

    Returns:
      uint8 ``[height, width, 3]``, white where it is 0.
    """
    flat = gradient.sum(axis=-1)
    scale = np.abs(flat).max()
    share = flat / scale if scale > 0 else flat
    up, down = np.clip(share, 0, 1), np.clip(-share, 0, 1)
    rgb = np.stack([1 - down, 1 - up - down, 1 - up], axis=-1)
    return np.rint(255 * rgb).astype(np.uint8)
