"""Data sets of any size in .npy files, of which only what is asked for is read."""

import os
import pathlib
import weakref
import zlib
from typing import Any

import numpy as np

from gan_jax.data import Dataset
from gan_jax.errors import UserError

_SHAPE = (28, 28, 1)
_CLASSES = 10
_LOOKED_AT = 1000  # images that tell one data set from another


class Rows:
    """The rows of a .npy file, each read when it is asked for.

    Unlike a memory map, which ends the process where the file cannot be read, it raises
    an error. It is indexed like an array: by a number, a slice, or an array of numbers.

    Attributes:
      shape: of all rows together.
      dtype: of the numbers.
    """

    def __init__(self, path: pathlib.Path, num_rows: int | None = None) -> None:
        """Opens a file.

        Args:
          path: of a file that ``numpy.save`` wrote.
          num_rows: at most so many, the first; all by default.

        Raises:
          UserError: the file cannot be read, or is none that can be read row by row.
        """
        try:
            # For the header, and to see that the file is as long as that says.
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self._file)
        except OSError as error:
            raise UserError(
                f"cannot read {path} ({error.strerror or error}): name a folder that"
                " holds it"
            ) from error
        except (ValueError, EOFError) as error:
            raise UserError(
                f"{path} is damaged, or no file of numpy.save"
                f" ({' '.join(str(error).split())[:200]}): write it again"
            ) from error
        if not isinstance(mapped, np.memmap) or not mapped.flags.c_contiguous:
            raise UserError(
                f"{path} is not one array in C order: write it with"
                " numpy.save(path, numpy.ascontiguousarray(array))"
            )
        self._path = path
        self._offset = mapped.offset
        self.dtype = mapped.dtype
        self.shape = (len(mapped[:num_rows]), *mapped.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """The rows, as an array of their own.

        Raises:
          IndexError: there are fewer.
          UserError: the file cannot be read, or has become shorter.
        """
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        index = np.asarray(index)
        found = np.empty((index.size, *self.shape[1:]), self.dtype)
        size = found[:1].nbytes
        for row, i in zip(found, index.ravel().tolist(), strict=True):
            if not -len(self) <= i < len(self):
                raise IndexError(f"row {i} of {len(self)}")
            place = self._offset + i % len(self) * size
            try:
                read = os.pread(self._file, size, place)
            except OSError as error:
                raise UserError(
                    f"cannot read {self._path} ({error.strerror or error}): make it"
                    " readable and start again"
                ) from error
            if len(read) < size:
                raise UserError(
                    f"{self._path} ends before row {i}, and did not when it was opened:"
                    " restore it and start again"
                )
            row[...] = np.frombuffer(read, self.dtype).reshape(row.shape)
        return found.reshape(*index.shape, *self.shape[1:])

    def __array__(
        self, dtype: np.dtype | None = None, copy: bool | None = None
    ) -> np.ndarray:
        if copy is False:
            raise ValueError("the rows of a file are always copied")
        return self[:].astype(dtype or self.dtype, copy=False)


def from_npy(folder: str | os.PathLike, num_examples: int | None = None) -> Dataset:
    """A data set of any size: ``images.npy`` and, if there, ``labels.npy``.

    Images are read when they are asked for; labels are kept in memory.

    Args:
      folder: holds the files: uint8 ``[N, 28, 28, 1]``, and integers from 0 to 9,
        ``[N]``, without which no conditional GAN can be trained.
      num_examples: how many to use, the first; all by default.

    Returns:
      The data set; its name tells it from others, by a thousand of its images.

    Raises:
      UserError: a file cannot be read or has other contents.
    """
    path = pathlib.Path(folder).expanduser() / "images.npy"
    images = Rows(path, num_examples)
    if images.dtype != np.uint8 or images.shape[1:] != _SHAPE or not len(images):
        raise UserError(
            f"{path} holds {images.dtype} {list(images.shape)}: the networks here are"
            " for uint8 [N, 28, 28, 1]"
        )
    if num_examples is not None and len(images) < num_examples:
        raise UserError(
            f"--num_examples={num_examples} is more than {path} has: {len(images)}"
        )
    labels_path = path.with_name("labels.npy")
    labels = None
    if labels_path.exists():
        found = Rows(labels_path, num_examples)
        integers = np.issubdtype(found.dtype, np.integer)
        if found.shape != images.shape[:1] or not integers:
            raise UserError(
                f"{labels_path} holds {found.dtype} {list(found.shape)}: it should have"
                f" an integer for each of the {len(images)} images"
            )
        labels = np.load(labels_path, allow_pickle=False)[:num_examples]
        if labels.min() < 0 or labels.max() >= _CLASSES:
            raise UserError(
                f"{labels_path} holds labels from {labels.min()} to {labels.max()}:"
                " 0 to 9 belong there"
            )
        labels = labels.astype(np.int32)
    name = f"npy-{zlib.crc32(fingerprint(images, labels)):08x}"
    names = tuple(str(label) for label in range(_CLASSES))
    return Dataset(name, images, labels, names, f"read from {path.parent}")


def fingerprint(images: Any, labels: Any) -> bytes:
    """What tells one data set from another, without reading it all.

    Args:
      images: ``[N, ...]``, indexed like an array.
      labels: ``[N]`` or None.

    Returns:
      The shape, and a thousand examples that are spread evenly, in short.
    """
    size = len(images)
    some = np.linspace(0, size - 1, min(size, _LOOKED_AT)).astype(np.int64)
    parts = [images[some]] if labels is None else [images[some], labels[some]]
    sums = [zlib.crc32(np.ascontiguousarray(part)) for part in parts]
    return f"{images.shape} {sums}".encode()
