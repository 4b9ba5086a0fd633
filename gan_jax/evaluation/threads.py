"""Work on arrays, cut into blocks, on every core.

NumPy computes a matrix product on all cores, and everything else on one. Here it is the
other way round: each block has one core from beginning to end. And no core waits for
another: OpenBLAS's threads do so by spinning, which on a busy machine takes several
times as long as the work.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What a function of NumPy's makes of each item, in their order.

    Args:
      function: of one item; it must not call `each`, and writes to nothing that
        another item's reads.
      items: such as slices.

    Yields:
      The results, each as soon as it and those before it are there.
    """
    items = list(items)
    if len(items) == 1:
        yield function(items[0])
        return
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        yield from pool.map(function, items)


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
