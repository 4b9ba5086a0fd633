"""A trained generator as one file, for those who have no run folder, or no JAX.

.onnx            a program for onnxruntime and others, without JAX
.stablehlo       a program for JAX alone, without Flax or this project, on any device
.safetensors     the weights, named as Flax names them, in [-1, 1]
.npz             the same for NumPy

Weights are the moving averages where the run keeps them, and batch norm's running
statistics. Each file also holds `describe`: what it was made of.
"""

from gan_jax.export.about import describe
from gan_jax.export.files import (
    FORMATS,
    PIXELS,
    PROGRAMS,
    WEIGHTS,
    Written,
    load_exported,
    load_run,
    write,
)

__all__ = [
    "FORMATS",
    "PIXELS",
    "PROGRAMS",
    "WEIGHTS",
    "Written",
    "describe",
    "load_exported",
    "load_run",
    "write",
]
