"""The kind of device that a program is traced for, where its best form depends on it.

It is the one that JAX computes on by default. What is compiled for another, to look at
the program, is traced in `tracing_for`.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_kind: contextvars.ContextVar[str | None] = contextvars.ContextVar("kind", default=None)


def kind() -> str:
    """ "cpu", "gpu" or "tpu"; "onnx" where a program is exported (`gan_jax.export`)."""
    return _kind.get() or jax.default_backend()


def products(precision: str | None) -> contextlib.AbstractContextManager[None]:
    """Inside of it, matrix products and convolutions are traced in a precision.

    A CPU computes all of them in the type of their operands: nothing is changed there.

    Args:
      precision: JAX's name of it, "default", "high" or "highest"; None for JAX's own
        choice, TF32 on an NVIDIA GPU and one pass of bfloat16 on a TPU.
    """
    if precision is None or kind() == "cpu":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(precision)


@contextlib.contextmanager
def tracing_for(kind: str) -> Iterator[None]:
    """Inside of it, programs are traced for a kind of device; call no older `jit`."""
    token = _kind.set(kind)
    try:
        yield
    finally:
        _kind.reset(token)
