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
    """ "cpu", "gpu" or "tpu"."""
    return _kind.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for(kind: str) -> Iterator[None]:
    """Inside of it, programs are traced for a kind of device; call no older `jit`."""
    token = _kind.set(kind)
    try:
        yield
    finally:
        _kind.reset(token)
