"""A network applied to many images, a batch at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_SIZE = 1000  # of images up to 64 x 64 x 3; of larger ones fewer, of as many pixels
_PIXELS = 64 * 64 * 3


def in_batches(
    network: Callable[[np.ndarray], Sequence[Any]],
    images: Any,
    size: int | None = None,
) -> list[np.ndarray]:
    """What a network makes of images, in batches of one shape: compiled once.

    Args:
      network: of uint8 ``[size, height, width, channels]`` arrays ``[size, ...]``.
      images: uint8, ``[N, height, width, channels]``, indexed like an array.
      size: of a batch, by default what fits into memory; the last one is filled up
        with zeros.

    Returns:
      Each of the network's arrays, ``[N, ...]``.
    """
    if size is None:
        pixels = math.prod(images.shape[1:])
        size = max(1, min(_SIZE, _SIZE * _PIXELS // pixels))
    outputs = []
    for start in range(0, max(len(images), 1), size):
        part = images[start : start + size]
        padded = np.zeros((size, *images.shape[1:]), np.uint8)
        padded[: len(part)] = part
        outputs.append([np.asarray(out)[: len(part)] for out in network(padded)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
