"""Data sets of any size in .npy files, of which only what is asked for is read."""

import copy
import os
import pathlib
import weakref
from typing import Any

import numpy as np

from gan_jax.data.dataset import (
    LOOKED_AT,
    Dataset,
    Indexed,
    Part,
    check_count,
    hold_out,
    name_of,
)
from gan_jax.errors import UserError
from gan_jax.system import files
from gan_jax.system.paths import expand

_MOST_CLASSES = 2**16


class Rows(Indexed):
    """The rows of a .npy file, each read when it is asked for.

    Unlike a memory map, which ends the process where the file cannot be read, it raises
    an error. It is indexed like an array: by a number, a slice, or an array of numbers.

    Attributes:
      shape: of all rows together.
      dtype: of the numbers.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens a file.

        Args:
          path: of a file that ``numpy.save`` wrote.

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
        self.shape = mapped.shape

    def viewed(self, row: tuple[int, ...]) -> "Rows":
        """The same rows, each in another shape of as many numbers."""
        other = copy.copy(self)
        other._owner = self  # who closes the file
        other.shape = (len(self), *row)
        return other

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


def from_npy(
    place: str | os.PathLike, split: str = "train", num_examples: int | None = None
) -> Dataset:
    """A data set of one's own in NumPy's files.

    A file: ``.npy``, beside which ``labels.npy`` may lie; or ``.npz`` with ``images``,
    ``arr_0`` or ``x_train``, and perhaps ``labels``, ``arr_1`` or ``y_train``. Or its
    folder. The images of a ``.npy`` are read when they are asked for.

    Args:
      place: the file or its folder: uint8 ``[N, height, width]`` or ``[N, height,
        width, 1 or 3]``, and integers from 0 on, ``[N]``, without which no conditional
        GAN can be trained.
      split: 'train' or 'test': ``x_test`` and ``y_test`` of a ``.npz`` that has them,
        else what `hold_out` says.
      num_examples: how many to use, the first of the split; all by default.

    Returns:
      The data set; its name tells it from others, by a thousand of its images, and is
      the same for both splits. It has as many classes as the largest label of both
      says.

    Raises:
      UserError: a file cannot be read or has other contents.
    """
    path = _file(expand(place))
    arrays: dict[str, np.ndarray] = {}
    if path.suffix == ".npz":
        arrays = files.read_npz(path)
        whole = _array(path, arrays, "images", "arr_0", "x_train")
        labels = _array(path, arrays, "labels", "arr_1", "y_train", optional=True)
        labels_path = path
    else:
        whole = Rows(path)
        labels_path, labels = path.with_name("labels.npy"), None
        if labels_path.exists():
            Rows(labels_path)  # refuses what is none
            labels = np.load(labels_path, allow_pickle=False)
    whole, labels = _checked(path, labels_path, whole, labels)
    classes = 0 if labels is None else int(labels.max()) + 1
    held_out = "x_test" not in arrays
    name = name_of("npy", whole, labels, held_out=held_out)
    source, positions = f"read from {path}", np.arange(len(whole))
    if held_out:
        positions = hold_out(len(whole), split, path)
        source += f", one in ten of {len(whole):,} images held out"
    its = None if held_out or labels is None else arrays.get("y_test")
    if its is not None and its.size:
        classes = max(classes, int(_labels(path, its, its.size).max()) + 1)
    every = [some for some in (labels, its) if some is not None and some.size]
    if every and (least := min(int(some.min()) for some in every)) > 0:
        raise UserError(
            f"{labels_path} holds labels from {least} on, and classes are numbered from"
            f" 0: write labels - {least}"
        )
    if not held_out and split == "test":
        shape, had = whole.shape[1:], labels is not None
        whole, labels = _checked(path, path, arrays["x_test"], its)
        if whole.shape[1:] != shape or (labels is not None) != had:
            raise UserError(
                f"{path} has x_test of another shape than its images, or without"
                " y_test: write both splits alike, or leave x_test out"
            )
        positions = np.arange(len(whole))
    check_count(positions, num_examples, path)
    positions = positions[:num_examples]
    images = Part(whole, positions) if isinstance(whole, Rows) else whole[positions]
    if labels is not None:
        labels = labels[positions]
    names = tuple(map(str, range(classes)))
    return Dataset(name, images, labels, names, source)


def _checked(
    path: pathlib.Path, labels_path: pathlib.Path, images: Any, labels: Any
) -> tuple[Any, np.ndarray | None]:
    """Images ``[N, height, width, channels]`` and labels int32 ``[N]``, or None."""
    if images.dtype != np.uint8 or not _is_image_shape(images.shape):
        raise UserError(_other_images(path, images))
    if labels is not None:
        labels = _labels(labels_path, labels, len(images))
    row = (*images.shape[1:], 1)[:3]
    if isinstance(images, Rows):
        return images.viewed(row), labels
    return images.reshape(-1, *row), labels


def _file(place: pathlib.Path) -> pathlib.Path:
    """The file that was named, or the one in the folder that was."""
    if place.suffix in (".npy", ".npz") and not place.is_dir():
        return place
    archives = sorted(place.glob("*.npz"))
    if len(archives) == 1 and not (place / "images.npy").exists():
        return archives[0]
    return place / "images.npy"


def _array(
    path: pathlib.Path,
    arrays: dict[str, np.ndarray],
    *names: str,
    optional: bool = False,
) -> np.ndarray | None:
    for name in names:
        if name in arrays:
            return arrays[name]
    if optional:
        return None
    raise UserError(
        f"{path} holds {', '.join(arrays) or 'nothing'}, and no {' or '.join(names)}:"
        " write the images under one of these names"
    )


def _is_image_shape(shape: tuple[int, ...]) -> bool:
    return min(shape, default=0) > 0 and (
        len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    )


def _other_images(path: pathlib.Path, images: Any) -> str:
    """What there is, and the line of NumPy that makes it right where there is one."""
    shape, dtype = images.shape, images.dtype
    said = (
        f"{path} holds {dtype} {list(shape)}, and images are uint8 [N, height, width, 1"
        " or 3]"
    )
    if min(shape, default=0) == 0 or len(shape) not in (3, 4):
        return f"{said}: write one such array"
    if len(shape) == 4 and shape[3] not in (1, 3):
        if shape[1] in (1, 3):
            return f"{said}: write images.transpose(0, 2, 3, 1)"
        if shape[3] in (2, 4):
            return f"{said}: leave out the last channel, images[..., :{shape[3] - 1}]"
        return f"{said}: write images of one or three channels"
    if np.issubdtype(dtype, np.floating):
        some = _some(images)
        least, most = np.nanmin(some), np.nanmax(some)
        scaled = "images"
        if most <= 1:
            scaled = "images * 255" if least >= 0 else "(images + 1) * 127.5"
        return f"{said}: write numpy.rint({scaled}).clip(0, 255).astype(numpy.uint8)"
    if dtype == np.bool_:
        return f"{said}: write images.astype(numpy.uint8) * 255"
    if _some(images).max() > 255:
        if dtype == np.uint16:
            return f"{said}: write (images // 257).astype(numpy.uint8)"
        return f"{said}: scale them to 0 ... 255, and write them as uint8"
    return f"{said}: write images.clip(0, 255).astype(numpy.uint8)"


def _some(images: Any) -> np.ndarray:
    return np.asarray(images[np.arange(min(len(images), LOOKED_AT))])


def _labels(path: pathlib.Path, labels: np.ndarray, images: int) -> np.ndarray:
    """Labels int32 ``[images]``; Keras has them as ``[images, 1]``."""
    if labels.shape == (images, 1):
        labels = labels[:, 0]
    if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path} holds labels {labels.dtype} {list(labels.shape)}: it should have"
            f" an integer for each of the {images} images"
        )
    if labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        raise UserError(
            f"{path} holds labels from {labels.min()} to {labels.max()}: classes are"
            f" numbered from 0, at most to {_MOST_CLASSES - 1}"
        )
    return labels.astype(np.int32)
