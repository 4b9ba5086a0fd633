"""Augmentation of what a discriminator sees: pure functions of a key and an image.

``(key, image) -> image`` for ONE image ``[height, width, channels]`` in [-1, 1], with a
random key for each example, differentiable in the image. What is saved is never
augmented.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array
Augment = Callable[[Array, Array], Array]


def mirror(key: Array, image: Array) -> Array:
    """The image or, with probability 1/2, its mirror image: left and right change."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def colour(key: Array, image: Array) -> Array:
    """Brightness, saturation, contrast, each by a random number of its own.

    Brightness moves by U[-0.5, 0.5] (in units of [-1, 1]), the distance of the channels
    from their mean is multiplied by U[0, 2], that of all pixels from theirs by
    U[0.5, 1.5].

    Source: Zhao et al. 2020, https://arxiv.org/abs/2006.10738, and its code
    """
    brightness, saturation, contrast = jax.random.uniform(key, (3,), image.dtype)
    image = image + brightness - 0.5
    gray = jnp.mean(image, axis=-1, keepdims=True)
    image = gray + 2 * saturation * (image - gray)
    mean = jnp.mean(image, keepdims=True)
    return mean + (contrast + 0.5) * (image - mean)


def translate(key: Array, image: Array) -> Array:
    """Moved by up to an eighth of the sides, each way; what comes in is 0, gray.

    Source: Zhao et al. 2020, https://arxiv.org/abs/2006.10738
    """
    height, width, _ = image.shape
    most = jnp.array([(height + 4) // 8, (width + 4) // 8])
    down, across = jax.random.randint(key, (2,), -most, most + 1)
    # A one-hot product along each axis: a gather's transpose is a slow scatter.
    rows = jnp.arange(height)[:, None] - down == jnp.arange(height)[None]
    columns = jnp.arange(width)[:, None] - across == jnp.arange(width)[None]
    image = jnp.einsum("ih,hwc->iwc", rows.astype(image.dtype), image)
    return jnp.einsum("jw,iwc->ijc", columns.astype(image.dtype), image)


def cutout(key: Array, image: Array) -> Array:
    """A square of half the sides becomes 0, gray; its centre is anywhere.

    Source: Zhao et al. 2020, https://arxiv.org/abs/2006.10738, after DeVries and Taylor
    2017
    """
    height, width, _ = image.shape
    kept = []
    for size, own in zip((height, width), jax.random.split(key), strict=True):
        side = (size + 1) // 2
        first = jax.random.randint(own, (), 0, size + 1 - side % 2) - side // 2
        pixel = jnp.arange(size)
        kept.append((pixel < first) | (pixel >= first + side))
    return jnp.where((kept[0][:, None] | kept[1][None])[..., None], image, 0)


def diffaugment(key: Array, image: Array) -> Array:
    """`colour`, then `translate`, then `cutout`.

    Args:
      key: random key of this example.
      image: ``[height, width, channels]``, pixels in [-1, 1].

    Returns:
      The same shape; pixels may leave [-1, 1].

    Source: Zhao et al. 2020 (DiffAugment), https://arxiv.org/abs/2006.10738
    """
    keys = jax.random.split(key, 3)
    for change, own in zip((colour, translate, cutout), keys, strict=True):
        image = change(own, image)
    return image


AUGMENTS: dict[str, Augment] = {"diffaugment": diffaugment}
