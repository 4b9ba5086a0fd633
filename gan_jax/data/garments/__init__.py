"""Drawn garments: the ten classes of Fashion-MNIST as a pure function of a key.

A data set that needs no download: ``draw(key, label)`` draws one 28 x 28 image as a
stack of antialiased shapes, ``make(seed, size)`` a whole balanced split of them.

Lengths are in pixels. x runs right from the middle of the image (-14 to 13), y down
from its top (0 to 27), and a shape is a signed distance, negative inside. Brightness
is in [0, 1], and higher means a darker cloth: Fashion-MNIST shows its photographs as
negatives, so shadows are light here, too. A part that an image lacks is painted with
a cover of zero, because a branch would be drawn by every image of a batch anyway.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data import mnist_family
from gan_jax.data.garments.bags import draw_bag
from gan_jax.data.garments.cloth import SIZE, lay_out
from gan_jax.data.garments.clothes import draw_top, draw_trousers
from gan_jax.data.garments.footwear import draw_sandal, draw_shoe
from gan_jax.system import progress

CLASS_NAMES = mnist_family.CLASS_NAMES["fashion_mnist"]
_CHUNK = 500  # images of one class that are drawn by one call: about 20 MB


def draw(key: jax.Array, label: int | jax.Array) -> jax.Array:
    """Draws one garment.

    Args:
      key: a JAX random key; equal keys draw equal images.
      label: int32 scalar, an index into ``CLASS_NAMES``. Under ``vmap``, a label that
        is shared by the batch (``in_axes=(0, None)``) draws one class only; a batch of
        labels is allowed, but costs the drawing of every kind of garment.

    Returns:
      float32 [28, 28, 1] in [0, 1]; the background is exactly 0.
    """
    label = jnp.asarray(label, jnp.int32)
    kinds = (draw_top, draw_trousers, draw_shoe, draw_sandal, draw_bag)
    kind = jnp.asarray((0, 1, 0, 0, 0, 3, 0, 2, 4, 2))[label]
    image = jax.lax.switch(kind, kinds, lay_out(key, label), label)
    # Like film, highlights bend towards 1 instead of being cut off.
    image = jnp.maximum(image, 0.0)
    return (image / jnp.sqrt(jnp.sqrt(jnp.sqrt(1.0 + image**8))))[:, :, None]


@jax.jit
def _draw_chunk(root: jax.Array, places: jax.Array, label: jax.Array) -> jax.Array:
    """Images uint8 [n, 28, 28, 1] of one class, at ``places`` [n] of the data set."""
    keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(places)
    images = jax.vmap(draw, in_axes=(0, None))(keys, label)
    return jnp.round(images * 255).astype(jnp.uint8)


def make(seed: int, size: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Draws a balanced, shuffled split; another split is another seed.

    Image i and its label depend on the seed and i only, so a smaller data set is the
    beginning of a larger one.

    Args:
      seed: of everything random in it.
      size: number of images.

    Returns:
      Images uint8 [size, 28, 28, 1] and labels int32 [size], whose counts differ by at
      most one.
    """
    # Each block of ten is a shuffle of the ten classes.
    order = np.random.default_rng(seed).random((-(-size // 10), 10))
    labels = order.argsort(axis=1).ravel()[:size].astype(np.int32)
    root = jax.random.key(seed)
    images = np.empty((size, SIZE, SIZE, 1), np.uint8)
    with progress.bar("drawing garments", size, unit="image") as bar:
        for label in range(len(CLASS_NAMES)):
            places = np.flatnonzero(labels == label)
            for start in range(0, len(places), _CHUNK):
                part = places[start : start + _CHUNK]
                padded = np.resize(part, _CHUNK)  # one shape, so one compilation
                images[part] = _draw_chunk(root, padded, label)[: len(part)]
                bar.update(len(part))
    return images, labels
