"""Compiled programs, kept for the next process on this machine."""

import os
import warnings

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
