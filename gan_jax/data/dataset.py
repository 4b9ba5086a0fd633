"""What a data set is, and which of its images are held out."""

import dataclasses
import zlib
from typing import Any, NamedTuple

import numpy as np

from gan_jax.errors import UserError

SPLITS = ("train", "test")
HELD_OUT = 10  # of so many images one is held out
MOST_HELD_OUT = 10_000
LOOKED_AT = 1000  # images that tell one data set from another


class Description(NamedTuple):
    """A split of a data set without its images.

    Attributes:
      name: as that of the data set.
      shape: of an image, ``(height, width, channels)``.
      num_classes: of its labels; 0 where it has none.
      size: how many images.
      source: as that of the data set.
      warning: as that of the data set.
    """

    name: str
    shape: tuple[int, int, int]
    num_classes: int
    size: int
    source: str = ""
    warning: str | None = None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A split of a data set.

    Attributes:
      name: the data set that is really there, never 'auto'.
      images: uint8 [N, height, width, channels]; an array, or what is indexed like one
        and reads what is asked for (`Part`).
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

    def describe(self) -> Description:
        """What there is to say about it without its images."""
        size, classes = len(self.images), self.num_classes
        about = (self.name, self.shape, classes, size, self.source, self.warning)
        return Description(*about)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What is made of each picture of a folder.

    Attributes:
      size: height and width, in pixels.
      channels: "1", gray; "3", in colour; or "auto", gray where all of them are.
      background: what is behind a transparent one: a name or ``#rrggbb``.
      skip_damaged: leave out what cannot be read.
    """

    size: int = 32
    channels: str = "auto"
    background: str = "white"
    skip_damaged: bool = False


class Indexed:
    """What is indexed like an array and reads what is asked for.

    By a number, a slice, or an array of numbers.

    Attributes:
      shape: of all of it together.
      dtype: of the numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """What is asked for, as an array of its own."""
        raise NotImplementedError

    def __array__(
        self, dtype: np.dtype | None = None, copy: bool | None = None
    ) -> np.ndarray:
        if copy is False:
            raise ValueError("what is read from a file is always copied")
        return self[:].astype(dtype or self.dtype, copy=False)


class Part(Indexed):
    """Some of the images of a file or a source, each read when it is asked for."""

    def __init__(self, images: Any, positions: np.ndarray) -> None:
        """Reads nothing yet.

        Args:
          images: [N, ...], anything that an array of numbers may index.
          positions: which of them, [n].
        """
        self._images, self._positions = images, positions
        self.shape = (len(positions), *images.shape[1:])
        self.dtype = np.dtype(np.uint8)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """The images, as an array of their own.

        Raises:
          IndexError: there are fewer.
          UserError: the file cannot be read.
        """
        return self._images[self._positions[index]]


def hold_out(count: int, split: str, place: object) -> np.ndarray:
    """Which images are of a split, where nobody has made one.

    One of each ten is held out, at most 10,000, at the ten places in an order that a
    fixed seed has drawn: some of every class, where images are sorted by class and
    where classes take turns. They do not change when images are added at the end.

    Args:
      count: how many images there are.
      split: 'train' or 'test'.
      place: where they come from, for the error.

    Returns:
      Positions, ascending.

    Raises:
      UserError: they are too few for any to be held out.
    """
    places = np.tile(np.arange(HELD_OUT), (MOST_HELD_OUT // HELD_OUT, 1))
    places = np.random.default_rng(0).permuted(places, axis=1).ravel()
    held = (HELD_OUT * np.arange(MOST_HELD_OUT) + places)[: count // HELD_OUT]
    if split == "test":
        if not len(held):
            raise UserError(
                f"{place} has {count} images, and one of {HELD_OUT} is held out to"
                f" measure with: there must be {HELD_OUT} or more"
            )
        return held
    return np.delete(np.arange(count), held)


def check_count(images: Any, num_examples: int | None, place: object) -> None:
    """Refuses more examples than there are.

    Args:
      images: ``[N, ...]``.
      num_examples: how many are asked for; None for all.
      place: where they come from.

    Raises:
      UserError: there are fewer.
    """
    if num_examples is not None and len(images) < num_examples:
        raise UserError(
            f"--num_examples={num_examples} is more than {place} has: {len(images)}"
        )


def name_of(
    kind: str, images: Any, labels: Any, *, held_out: bool, told: str = ""
) -> str:
    """A name that tells a data set of one's own from others, by its `fingerprint`.

    Of one of which images are held out, it is another than of one that is used whole.

    Args:
      kind: begins the name.
      images: ``[N, ...]``, indexed like an array.
      labels: ``[N]`` or None.
      held_out: whether some are.
      told: what else tells it from others, such as a checksum of all its images.
    """
    sums = fingerprint(images, labels) + b" one of ten held out" * held_out
    return f"{kind}-{zlib.crc32(sums + told.encode()):08x}"


def fingerprint(images: Any, labels: Any) -> bytes:
    """What tells one data set from another, without reading it all.

    Args:
      images: ``[N, ...]``, indexed like an array.
      labels: ``[N]`` or None.

    Returns:
      The shape, and a thousand examples that are spread evenly, in short.
    """
    size = len(images)
    some = np.linspace(0, size - 1, min(size, LOOKED_AT)).astype(np.int64)
    parts = [images[some]] if labels is None else [images[some], labels[some]]
    sums = [zlib.crc32(np.ascontiguousarray(part)) for part in parts]
    return f"{images.shape} {sums}".encode()
