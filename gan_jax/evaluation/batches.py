"""A network applied to many images, a batch at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan_jax import backend

# Of 28 x 28 gray images a hundred, of larger ones as many pixels: what a convolution
# makes of them stays in a processor's cache. A thousand take three times as long there,
# and on an accelerator less than ten times a hundred.
_IN_CACHE = 100 * 28 * 28
_MOST, _MOST_PIXELS = 1000, 1000 * 64 * 64 * 3


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
      size: of a batch, by default what fits into the cache, or into memory; the last
        one is filled up with zeros.
      *beside: other arrays of each image, ``[N, ...]``, that the network takes as well.

    Returns:
      Each of the network's arrays, ``[N, ...]``.
    """
    if size is None:
        on_cpu = backend.kind() == "cpu"
        pixels = math.prod(images.shape[1:])
        most = _IN_CACHE if on_cpu else _MOST_PIXELS
        size = max(1, min(_MOST, most // pixels))
    outputs = []
    for start in range(0, max(len(images), 1), size):
        parts = [array[start : start + size] for array in (images, *beside)]
        padded = [np.zeros((size, *part.shape[1:]), part.dtype) for part in parts]
        for whole, part in zip(padded, parts, strict=True):
            whole[: len(part)] = part
        kept = len(parts[0])
        outputs.append([np.asarray(out)[:kept] for out in network(*padded)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
