"""Compiled programs: kept for the next process, and compiled beside Python."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import jax

from gan_jax.system.files import cache_folder


def keep_programs() -> None:
    """Keeps compiled programs for the next run, unless JAX's own settings say where.

    All of them: of a hundred small ones, none takes long and together they do. Where
    the folder cannot be read or written, they are compiled again, and nothing is said.
    """
    warnings.filterwarnings("ignore", "Error (read|writ)ing persistent compilation")
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # A program need not know which lines of Python its instructions come from.
    if not os.environ.get("JAX_TRACEBACK_IN_LOCATIONS_LIMIT"):
        jax.config.update("jax_traceback_in_locations_limit", 0)


_Made = TypeVar("_Made")


def in_background(make: Callable[[], _Made]) -> Future[_Made]:
    """Calls what compiles in another thread, and does not wait.

    XLA lets Python go on meanwhile. Tracing and lowering are Python themselves, and
    belong before it.

    Returns:
      A future of what ``make`` returns, or raises.
    """
    thread = ThreadPoolExecutor(1, "compile")
    try:
        return thread.submit(make)
    finally:
        thread.shutdown(wait=False)
