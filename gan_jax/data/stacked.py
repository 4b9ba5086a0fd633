"""Stacked images: three of a gray data set are the channels of one, 1,000 modes.

The test of mode collapse of Metz et al. 2017 (https://arxiv.org/abs/1611.02163,
appendix D), of MNIST there.
"""

import itertools

import numpy as np

from gan_jax.data.dataset import SPLITS, Dataset

PREFIX = "stacked_"
DEPTH = 3  # images on top of one another


def stack(dataset: Dataset, split: str, size: int | None = None) -> Dataset:
    """Triples of a split's images, drawn independently with a fixed seed.

    Args:
      dataset: gray images [N, height, width, 1] with labels of K classes.
      split: 'train' or 'test', which says the seed.
      size: how many triples; as many as there are images by default.

    Returns:
      Images [size, height, width, 3] and labels ``(a K + b) K + c`` of the classes a,
      b and c of the channels.
    """
    count = len(dataset.images)
    rng = np.random.default_rng(SPLITS.index(split))
    chosen = rng.integers(count, size=(size or count, DEPTH))
    images = np.stack([dataset.images[i][..., 0] for i in chosen.T], axis=-1)
    names = itertools.product(dataset.class_names, repeat=DEPTH)
    return Dataset(
        f"{PREFIX}{dataset.name}",
        images,
        join(dataset.labels[chosen], dataset.num_classes),
        tuple("/".join(parts) for parts in names),
        f"triples of images {dataset.source}",
        dataset.warning,
    )


def join(classes: np.ndarray, num_classes: int) -> np.ndarray:
    """The class of each stacked image: its channels' classes as digits.

    Args:
      classes: integers [N, 3] of 0 to ``num_classes - 1``.
      num_classes: of a channel.

    Returns:
      int32 [N], 0 to ``num_classes ** 3 - 1``.
    """
    places = num_classes ** np.arange(DEPTH)[::-1]
    return (classes @ places).astype(np.int32)
