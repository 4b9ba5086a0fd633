"""Reading a profiler's trace."""

import jax
import jax.numpy as jnp
import pytest

from experiments.measure import trace_kernels
from gan_jax.errors import UserError


def test_events_of_a_trace_are_counted_and_added_up(tmp_path):
    square = jax.jit(lambda x: x @ x)
    x = jnp.ones((300, 300))
    jax.block_until_ready(square(x))
    with jax.profiler.trace(str(tmp_path)):
        for _ in range(3):
            with jax.profiler.TraceAnnotation("marked"):
                jax.block_until_ready(square(x))
    found = trace_kernels.totals(tmp_path, "/host:CPU", "")
    count, milliseconds = found["marked"]
    assert count == 3
    assert 0 < milliseconds < 60_000
    with pytest.raises(UserError, match="run it on a GPU"):
        trace_kernels.totals(tmp_path, "/device:GPU", "Stream")
