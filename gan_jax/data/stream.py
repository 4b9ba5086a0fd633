"""Images that stay on the host, or on disk, and reach the devices a block at a time.

Grain (https://google-grain.readthedocs.io) reads the examples of the coming steps in
threads while the devices compute. Which examples a step takes is decided elsewhere
(`training.epoch_permutation`), as a function of its number: there is no position to
save, and a run may stop and go on, here or with all images on the device.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from gan_jax.errors import UserError

_THREADS = 4


class Column:
    """One feature of a source of dictionaries, such as TFDS's data sources.

    It is indexed like an array: by a number, a slice, or an array of numbers.

    Attributes:
      shape: of all its values together.
    """

    def __init__(self, source: Any, feature: str) -> None:
        """Looks at the first element.

        Args:
          source: random access: ``len(source)``, and ``source[i]`` a mapping from names
            to values; several threads may ask at once.
          feature: its name, "image" or "label".
        """
        self._source, self._feature = source, feature
        self.shape = (len(source), *np.shape(source[0][feature]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """The values, as an array."""
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        index = np.asarray(index)
        found = [self._source[i][self._feature] for i in index.ravel().tolist()]
        return np.reshape(found, (*index.shape, *self.shape[1:]))


class Blocks:
    """The examples of steps that follow each other, read ahead by threads.

    A context manager: at its end the threads end, too.
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        order: Callable[[int], Any],
        *,
        batch: tuple[int, int, int],
        mine: Sequence[int],
        steps: tuple[int, int],
        capacity: int,
    ) -> None:
        """Begins to read.

        Args:
          images: uint8 ``[N, ...]``; anything that an array of numbers may index, by
            several threads at once: a NumPy array, a memory map, `npy.Rows`, `Column`.
          labels: ``[N]``, likewise, or None for none.
          order: the examples' order in an epoch, ``epoch -> [N]``.
          batch: how a step's examples are shared: critic steps, devices, and each
            device's batch.
          mine: the numbers of this process's devices; no other's examples are read.
          steps: the first, and the one after the last.
          capacity: for how many steps a block has room.
        """
        import grain  # late: it takes as long as all other imports together

        self._images, self._labels = images, labels
        self._batch, self._mine, self._capacity = batch, list(mine), capacity
        self._order = functools.lru_cache(2)(lambda epoch: np.asarray(order(epoch)))
        self._ordering = threading.Lock()  # else each thread would draw a new epoch's
        options = grain.ReadOptions(
            num_threads=_THREADS, prefetch_buffer_size=2 * capacity
        )
        numbers = grain.MapDataset.range(*steps)
        self._steps = iter(numbers.map(self._read).to_iter_dataset(options))
        self._steps.start_prefetch()

    def __enter__(self) -> Self:
        """It has begun already."""
        return self

    def __exit__(self, *error: Any) -> None:
        """What is not yet read is not read any more."""
        self._steps.close()

    def _read(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A step's examples: ``[local devices, critic_steps * batch, ...]``."""
        size = int(np.prod(self._batch))
        epoch, place = divmod(int(step), len(self._images) // size)
        with self._ordering:
            order = self._order(epoch)
        index = order[place * size : (place + 1) * size]
        index = index.reshape(self._batch)[:, self._mine].swapaxes(0, 1)
        index = index.reshape(len(self._mine), -1)
        try:
            labels = None if self._labels is None else self._labels[index]
            return self._images[index], labels
        except OSError as error:
            raise UserError(
                f"the images of step {step} cannot be read ({error.strerror or error}):"
                " mend that, and start again"
            ) from error

    def empty(self) -> tuple[np.ndarray, np.ndarray | None]:
        """A block with room for steps, as `take` returns it."""
        critic_steps, _, batch = self._batch
        shape = (len(self._mine), self._capacity * critic_steps * batch)
        images = np.empty((*shape, *self._images.shape[1:]), np.uint8)
        return images, None if self._labels is None else np.empty(shape, np.int32)

    def take(self, num_steps: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The next steps' examples, in a block.

        Args:
          num_steps: at most the capacity; the rest of the block is arbitrary.

        Returns:
          Images ``[local devices, capacity * critic_steps * batch, ...]``, and labels
          likewise, or None.

        Raises:
          UserError: they cannot be read.
          TypeError: images are not uint8, or labels no integers.
        """
        block = self.empty()
        size = self._batch[0] * self._batch[2]
        for i in range(num_steps):
            for whole, part in zip(block, next(self._steps), strict=True):
                if whole is not None:
                    room = whole[:, i * size : (i + 1) * size]
                    np.copyto(room, part, casting="same_kind")
        return block
