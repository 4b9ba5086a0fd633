"""Generative adversarial networks as pure functions in JAX and Flax.

Importing the package is cheap: its modules are imported where they are used
(``from gan_jax import losses``).
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_jax.run.sampling import Sampler

__version__ = "0.1.0"


def load(workdir: str | os.PathLike) -> "Sampler":
    """The trained generator of a run: ``gan_jax.load("runs/x").draw(16).images``.

    Args:
      workdir: run folder of `experiments.train`; nothing in it is changed.

    Raises:
      UserError: there is no run, or no checkpoint in it that can be read.
    """
    from gan_jax import export

    return export.load_run(workdir)


def load_exported(path: str | os.PathLike, *, own_code: bool = False) -> "Sampler":
    """The generator of a file that `experiments.export` wrote.

    Args:
      path: ends in .onnx, .stablehlo, .safetensors or .npz.
      own_code: whether a network of one's own that the file names, as mine.py:NAME, is
        run. Look at it first: a file may be anybody's.

    Raises:
      UserError: there is no such file, it is damaged or of another version, or the
        library that reads it is not installed.
    """
    from gan_jax import export

    return export.load_exported(path, own_code=own_code)
