"""A program that a signal finds in a place from which an exception would not come back.

python -m tests.processes.endless compiled|swallowed [deferred]
"""

import sys
import time

import jax
import jax.numpy as jnp

from experiments.common import cli


def main():
    """Works for ever: in a compiled loop, or in code that swallows every exception."""
    _, place, *deferred = sys.argv
    if deferred:  # as a run that has something to save
        cli.signals.should_stop()
    print("begun", flush=True)
    if place == "compiled":
        for_ever = jax.jit(lambda x: jax.lax.while_loop(lambda x: x >= 0, jnp.abs, x))
        for_ever(0.0).block_until_ready()
    while True:
        try:
            time.sleep(1)
        except BaseException:  # as in a callback of JAX, or in a destructor
            continue


if __name__ == "__main__":
    cli.guarded(main, [])
