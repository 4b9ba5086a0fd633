"""The gzipped IDX files in which the MNIST family is published.

An IDX file is a header and an array in C order. The header is two zero bytes, a byte
for the element type (8: unsigned byte), a byte for the rank, and each dimension as a
big-endian 32-bit integer.
"""

import hashlib
import math
import os
import zlib

import numpy as np

from gan_jax.errors import UserError

_KINDS = {1: "labels", 3: "images"}
_SLACK = 2**16  # a gzip stream of incompressible bytes is this much longer at most
_GZIP = 31  # zlib's word for: a gzip header and trailer, window of 2**15


def read(
    path: str | os.PathLike,
    shape: tuple[int, ...],
    remedy: str = "replace it by the published file",
) -> tuple[np.ndarray, str]:
    """Reads a gzipped IDX file whose shape is known beforehand.

    No more is read or unpacked than such a file can hold, so that a damaged or
    hostile one costs no memory.

    Args:
      path: the file.
      shape: the shape that it must have: [N] of labels, [N, rows, columns] of images.
      remedy: what to do about a bad file, the end of each error message.

    Returns:
      The array, uint8 of that shape and read-only, and the SHA-256 of the file, hex.

    Raises:
      UserError: the file cannot be read, is not gzip, is cut short, damaged or too
        long, is not IDX, or has another rank or shape.
    """
    size = 4 + 4 * len(shape) + math.prod(shape)
    limit = size + _SLACK
    try:
        with open(path, "rb") as file:
            packed = file.read(limit)
    except OSError as error:
        why = error.strerror or error
        raise UserError(
            f"{path} cannot be read ({why}); make it a readable file, or {remedy}"
        ) from error

    unpacker = zlib.decompressobj(_GZIP)
    try:
        # One byte more than belongs there tells a file that is too long.
        content = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        fault = "is damaged" if packed.startswith(b"\x1f\x8b") else "is not gzip"
        raise UserError(f"{path} {fault} ({error}); {remedy}") from error

    fault = _fault(content, shape, size, unpacker.eof)
    if fault is None and unpacker.unused_data:
        fault = "has bytes after its end"
    if fault:
        raise UserError(f"{path} {fault}; {remedy}")
    array = np.frombuffer(content, np.uint8, offset=size - math.prod(shape))
    return array.reshape(shape), hashlib.sha256(packed).hexdigest()


def _fault(
    content: bytes, shape: tuple[int, ...], size: int, whole: bool
) -> str | None:
    """Says what is wrong with an unpacked file, the most telling fault first.

    Args:
      content: its first bytes, at most size + 1.
      shape: the shape that it must have.
      size: the bytes of such a file.
      whole: whether the gzip stream is complete.
    """
    rank = len(shape)
    cut = f"is truncated: it unpacks to {len(content)} of {size} bytes"
    if len(content) < 4:
        return cut
    if content[:3] != b"\0\0\x08":
        return f"is not an IDX file of bytes (it starts with 0x{content[:4].hex()})"
    if content[3] != rank:
        holds = _KINDS.get(content[3], f"an array of rank {content[3]}")
        return f"holds {holds} where {_KINDS[rank]} belong (are two files swapped?)"
    if len(content) < 4 + 4 * rank:
        return cut
    found = tuple(int.from_bytes(content[i : i + 4]) for i in range(4, 4 + 4 * rank, 4))
    if found != shape:
        return (
            f"holds {_describe(found)} where {_describe(shape)} belong (is it of "
            "another split or data set?)"
        )
    if len(content) < size:
        return cut
    if len(content) > size:
        return "has bytes after its end"
    return None if whole else "is truncated: its gzip trailer is missing"


def _describe(shape: tuple[int, ...]) -> str:
    """(60000, 28, 28) -> '60000 images of 28 x 28'."""
    of = f" of {' x '.join(map(str, shape[1:]))}" if len(shape) > 1 else ""
    return f"{shape[0]} {_KINDS[len(shape)]}{of}"
