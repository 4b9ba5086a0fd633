"""Fashion-MNIST, MNIST and KMNIST, and EMNIST, which has letters as well."""

import gzip
import os
import zipfile

import numpy as np

from gan_jax.data import idx, published
from gan_jax.errors import UserError

NAMES = ("fashion_mnist", "mnist", "kmnist")
CLASS_NAMES = {
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "mnist": tuple("0123456789"),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "emnist": tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
}
SIZES = {"train": 60_000, "test": 10_000}
_PREFIXES = {"train": "train", "test": "t10k"}
_ARCHIVE = "gzip.zip"  # of all that EMNIST consists of
_HEADERS = {"images": 16, "labels": 8}  # bytes of an IDX file before its array


def read(
    name: str, split: str, data_dir: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Reads a split, downloading the data set where it is not on this machine.

    Args:
      name: of `NAMES`.
      split: 'train' or 'test'.
      data_dir: as in `published.find`.

    Returns:
      Images uint8 [N, 28, 28, 1], labels int32 [N], and where they came from.

    Raises:
      UserError: as `published.find`; or a file is damaged, or another than the
        published one.
    """
    prefix, size = _PREFIXES[split], SIZES[split]
    needed = (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
    found = published.find(name, needed, data_dir)
    arrays, checksums = [], []
    for file, shape in zip(needed, ((size, 28, 28), (size,)), strict=True):
        array, checksum = idx.read(found.paths[file], shape, found.remedies[file])
        arrays.append(array)
        checksums.append(checksum)
    images, labels = arrays
    if labels.max() > 9:
        raise UserError(
            f"{found.paths[needed[1]]} holds the label {labels.max()} where 0 to 9 "
            f"belong; {found.remedies[needed[1]]}"
        )
    for file, checksum in zip(needed, checksums, strict=True):
        published.require_published(name, file, found, checksum)
    return images[..., None], labels.astype(np.int32), found.source


def read_emnist(
    split: str, data_dir: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Reads EMNIST's balanced split of 47 digits and letters, upright.

    Args and raises as in `read`.

    Returns:
      Images uint8 [N, 28, 28, 1], 112,800 to train and 18,800 to test; labels int32
      [N]; and where they came from.

    Source: Cohen et al. 2017, https://arxiv.org/abs/1702.05373
    """
    found = published.find("emnist", (_ARCHIVE,), data_dir)
    published.require_published("emnist", _ARCHIVE, found)
    arrays = []
    with zipfile.ZipFile(found.paths[_ARCHIVE]) as archive:
        for kind, header in _HEADERS.items():
            rank = {"images": 3, "labels": 1}[kind]
            member = f"gzip/emnist-balanced-{split}-{kind}-idx{rank}-ubyte.gz"
            content = gzip.decompress(archive.read(member))
            arrays.append(np.frombuffer(content, np.uint8, offset=header))
    # They are published with rows and columns exchanged.
    images = arrays[0].reshape(-1, 28, 28, 1).swapaxes(1, 2)
    return np.ascontiguousarray(images), arrays[1].astype(np.int32), found.source
