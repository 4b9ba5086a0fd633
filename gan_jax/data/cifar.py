"""CIFAR-10 and CIFAR-100: 32 x 32 in colour.

The published archives hold an example a record: its label, of CIFAR-100 the coarse one
and then the fine one, and 3,072 bytes, a channel after another.

Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images"
"""

import os
import re
import tarfile
from typing import NamedTuple

import numpy as np

from gan_jax.data import published


class _Archive(NamedTuple):
    file: str  # as it is published
    splits: dict[str, str]  # patterns of the members
    names: str  # member with the names of the classes, a line each
    labels: int  # bytes of labels before the pixels; the last one counts


_ARCHIVES = {
    "cifar10": _Archive(
        "cifar-10-binary.tar.gz",
        {"train": r"data_batch_\d\.bin", "test": r"test_batch\.bin"},
        "batches.meta.txt",
        1,
    ),
    "cifar100": _Archive(
        "cifar-100-binary.tar.gz",
        {"train": r"train\.bin", "test": r"test\.bin"},
        "fine_label_names.txt",
        2,
    ),
}


def read(
    name: str, split: str, data_dir: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], str]:
    """Reads a split, downloading the data set where it is not on this machine.

    Args:
      name: 'cifar10' or 'cifar100'.
      split: 'train' (50,000 images) or 'test' (10,000).
      data_dir: as in `published.find`.

    Returns:
      Images uint8 [N, 32, 32, 3], labels int32 [N], the names of the classes, and
      where they came from.

    Raises:
      UserError: as `published.find` and `published.require_published`.
    """
    about = _ARCHIVES[name]
    found = published.find(name, (about.file,), data_dir)
    published.require_published(name, about.file, found)
    parts, names = {}, ()
    with tarfile.open(found.paths[about.file], "r|gz") as archive:
        for member in archive:
            base = member.name.rpartition("/")[2]
            if re.fullmatch(about.splits[split], base):
                parts[base] = archive.extractfile(member).read()
            elif base == about.names:
                names = tuple(archive.extractfile(member).read().decode().split())
    # By name: the archive has them in any order.
    content = b"".join(parts[base] for base in sorted(parts))
    records = np.frombuffer(content, np.uint8).reshape(-1, about.labels + 3072)
    labels = records[:, about.labels - 1].astype(np.int32)
    pixels = records[:, about.labels :].reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    return images, labels, names, found.source
