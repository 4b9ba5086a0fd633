"""A network applied to many images, a batch at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SIZE = 1000


def in_batches(
    network: Callable[[np.ndarray], Sequence[Any]], images: Any, size: int = SIZE
) -> list[np.ndarray]:
    """What a network makes of images, in batches of one shape: compiled once.

    Args:
      network: of uint8 ``[size, height, width, channels]`` arrays ``[size, ...]``.
      images: uint8, ``[N, height, width, channels]``, indexed like an array.
      size: of a batch; the last one is filled up with zeros.

    Returns:
      Each of the network's arrays, ``[N, ...]``.
    """
    outputs = []
    for start in range(0, max(len(images), 1), size):
        part = images[start : start + size]
        padded = np.zeros((size, *images.shape[1:]), np.uint8)
        padded[: len(part)] = part
        outputs.append([np.asarray(out)[: len(part)] for out in network(padded)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
