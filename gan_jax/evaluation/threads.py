"""Work on arrays, cut into blocks, on every core.

NumPy computes a matrix product on all cores, and everything else on one. Here it is the
other way round: each block has one core from beginning to end. And no core waits for
another: OpenBLAS's threads do so by spinning, which on a busy machine takes several
times as long as the work.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from gan_jax.system import cores

_MOST = 8  # blocks at a time: each takes memory

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_users = 0
_limits: threadpool_limits | None = None


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
    workers = min(cores.available(), _MOST)
    with _products_on_one_core(), ThreadPoolExecutor(workers) as pool:
        yield from pool.map(function, items)


@contextlib.contextmanager
def _products_on_one_core() -> Iterator[None]:
    """Inside of it a matrix product of NumPy's takes one core.

    That is a setting of the process: the last to leave puts it back.
    """
    global _users, _limits
    with _lock:
        if _users == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limits is not None:
                _limits.restore_original_limits()
