"""Data sets: the MNIST family, drawn garments that need no download, and one's own."""

import dataclasses
import os

import numpy as np

from gan_jax.data import mnist_family
from gan_jax.errors import check_name

DATASETS = ("auto", *mnist_family.TITLES, "garments")
SIZES = mnist_family.SIZES  # images of each split, drawn or real
SPLITS = tuple(SIZES)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A split of a data set.

    Attributes:
      name: the data set that is really there, never 'auto'.
      images: uint8 [N, height, width, channels]; an array, or what is indexed like one
        and reads what is asked for (`npy.from_npy`).
      labels: int32 [N], from 0; None where one's own images have none.
      class_names: the name of each label.
      source: a phrase that says where it came from.
      warning: set when drawn garments stand in for Fashion-MNIST; a line that says
        so, and how to get the real ones.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    source: str
    warning: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: ``(height, width, channels)``."""
        return tuple(self.images.shape[1:])

    @property
    def num_classes(self) -> int:
        """Of its labels; 0 where it has none."""
        return 0 if self.labels is None else len(self.class_names)


def load(
    name: str = "auto",
    split: str = "train",
    *,
    data_dir: str | os.PathLike | None = None,
    garments_size: int | None = None,
    num_examples: int | None = None,
) -> Dataset:
    """Loads a split of a data set into memory.

    'auto' is Fashion-MNIST where it is in `data_dir`, cached, or can be downloaded,
    and drawn garments with a warning elsewhere. A named data set never falls back.

    Args:
      name: one of `DATASETS`.
      split: 'train' (60,000 images) or 'test' (10,000).
      data_dir: a folder that holds the published .gz files, itself or in a folder
        called `name`, or a TFDS folder. By default $GAN_JAX_DATA_DIR, then TFDS's
        own. Drawn garments do not look at it.
      garments_size: how many garments to draw, if they are what is drawn.
      num_examples: how many images, the first of the split; all by default.

    Returns:
      The split.

    Raises:
      UserError: an unknown name or split; a `data_dir` that does not exist or holds
        a damaged or wrong file (under 'auto', too: a slip must not train on another
        data set); a named data set that is neither here nor can be downloaded.
    """
    check_name("data set", name, DATASETS)
    check_name("split", split, SPLITS)
    garments_size = num_examples or garments_size
    if name == "garments":
        return _draw(split, garments_size)
    real = "fashion_mnist" if name == "auto" else name
    try:
        images, labels, source = mnist_family.read(real, split, data_dir)
    except mnist_family.Unavailable as error:
        if name != "auto":
            raise
        warning = f"drawn garments stand in for the real ones: {error}"
        return dataclasses.replace(_draw(split, garments_size), warning=warning)
    images, labels = images[:num_examples], labels[:num_examples]
    return Dataset(real, images, labels, mnist_family.CLASS_NAMES[real], source)


def _draw(split: str, size: int | None) -> Dataset:
    from gan_jax.data import garments  # late: it compiles programs

    seed = SPLITS.index(split)  # train is drawn from seed 0, test from seed 1
    images, labels = garments.make(seed, size or mnist_family.SIZES[split])
    source = f"drawn, seed {seed}"
    return Dataset("garments", images, labels, garments.CLASS_NAMES, source)
