"""A network applied to many images, a batch at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_SIZE = 1000  # of images up to 64 x 64 x 3; of larger ones fewer, of as many pixels
_PIXELS = 64 * 64 * 3


def in_batches(
    network: Callable[..., Sequence[Any]],
    images: Any,
    size: int | None = None,
    *beside: np.ndarray,
) -> list[np.ndarray]:
    """What a network makes of images, in batches of one shape: compiled once.

    Args:
      network: of uint8 ``[size, height, width, channels]`` arrays ``[size, ...]``.
      images: uint8, ``[N, height, width, channels]``, indexed like an array.
      size: of a batch, by default what fits into memory; the last one is filled up
        with zeros.
      *beside: other arrays of each image, ``[N, ...]``, that the network takes as well.

    Returns:
      Each of the network's arrays, ``[N, ...]``.
    """
    if size is None:
        pixels = math.prod(images.shape[1:])
        size = max(1, min(_SIZE, _SIZE * _PIXELS // pixels))
    outputs = []
    for start in range(0, max(len(images), 1), size):
        parts = [array[start : start + size] for array in (images, *beside)]
        padded = [np.zeros((size, *part.shape[1:]), part.dtype) for part in parts]
        for whole, part in zip(padded, parts, strict=True):
            whole[: len(part)] = part
        kept = len(parts[0])
        outputs.append([np.asarray(out)[:kept] for out in network(*padded)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
