"""Reading what is launched, from the text of a program and from a trace."""

import jax
import jax.numpy as jnp
import pytest

from experiments.common import launches
from gan_jax.errors import UserError

TEXT = """HloModule made_up, is_scheduled=true

%fused (p: f32[8,16]) -> f32[16] {
  %p = f32[8,16]{1,0} parameter(0)
  ROOT %r = f32[16]{0} reduce(%p), dimensions={0}
}

%inner_body.3 (s: (s32[], f32[8,16])) -> (s32[], f32[8,16]) {
  %s = (s32[], f32[8,16]) parameter(0)
  %a = f32[8,16]{1,0} get-tuple-element(%s), index=1
  %f.1 = f32[8,16]{1,0} fusion(%a), kind=kLoop, metadata={op_name="f/body/tanh"}
  ROOT %t = (s32[], f32[8,16]) tuple(%a, %f.1)
}

%body.7 (s: (s32[], f32[8,16])) -> (s32[], f32[8,16]) {
  %s.1 = (s32[], f32[8,16]) parameter(0)
  %x = f32[8,16]{1,0} get-tuple-element(%s.1), index=1
  %f.2 = f32[16]{0} fusion(%x), kind=kInput, metadata={op_name="a/body/closed_call/sum"}
  %w = (s32[]) while(%s.1), body=%inner_body.3, config={"known_trip_count":{"n":"5"}}
  %conv = (bf16[4,4], u8[64]) custom-call(%x, %f.2), custom_call_target="__cudnn$conv"
  %d = f32[8,16] custom-call(%x, %x), custom_call_target="__cublas$gemm"
  ROOT %t.1 = (s32[], f32[8,16]) tuple(%x, %d)
}

ENTRY %main.9 (a: f32[8,16]) -> f32[8,16] {
  %a.1 = f32[8,16]{1,0} parameter(0)
  %outside = f32[8,16]{1,0} copy(%a.1)
  ROOT %w.1 = (s32[], f32[8,16]) while(%outside), condition=%c, body=%body.7
}
"""


def test_one_turn_is_counted_with_the_turns_of_inner_loops():
    found = launches.of_loop(TEXT)
    assert launches.count(found) == 1 + 5 + 1 + 1
    assert launches.kinds(found) == {
        "reduction or transposition": 1,
        "elementwise": 5,
        "convolution (cuDNN)": 1,
        "cublas$gemm": 1,
    }
    assert [launch.name for launch in found[:2]] == ["sum", "tanh"]


def test_bytes_are_of_what_goes_in_and_comes_out():
    array = 8 * 16 * 4
    reduction, inner, convolution, product = launches.of_loop(TEXT)
    assert reduction.bytes == array + 16 * 4
    assert (inner.bytes, inner.times) == (2 * array, 5)
    assert convolution.bytes == array + 16 * 4 + 4 * 4 * 2 + 64
    assert product.bytes == 3 * array


def test_the_padding_of_a_tpus_tiles_is_counted():
    images = "bf16[64,28,28,1]{0,2,1,3:T(8,128)(2,1)}"  # tiles of columns and images
    vector = "f32[130]{0:T(1024)}"
    text = TEXT.replace("(bf16[4,4], u8[64])", f"({images}, {vector})")
    *_, convolution, product = launches.of_loop(text)
    given = 8 * 16 * 4 + 16 * 4
    assert convolution.bytes == 2 * 28 * 32 * 128 + 4 * 1024 + given
    assert convolution.padding == convolution.bytes - given - 2 * 28 * 28 * 64 - 4 * 130
    assert product.padding == 0


def test_a_program_of_this_machine_is_read_as_well():
    def loop(x):
        return jax.lax.fori_loop(0, x[0, 0].astype(int), lambda i, y: jnp.sin(y @ y), x)

    text = jax.jit(loop).lower(jnp.eye(100)).compile().as_text()
    found = launches.of_loop(text)
    assert launches.count(found) >= 1
    assert max(launch.bytes for launch in found) >= 2 * 100 * 100 * 4


def test_events_of_a_trace_are_counted_and_added_up(tmp_path):
    square = jax.jit(lambda x: x @ x)
    x = jnp.ones((300, 300))
    jax.block_until_ready(square(x))
    with jax.profiler.trace(str(tmp_path)):
        for _ in range(3):
            with jax.profiler.TraceAnnotation("marked"):
                jax.block_until_ready(square(x))
    found = launches.of_trace(tmp_path, "/host:CPU", "")
    count, milliseconds = found["marked"]
    assert count == 3
    assert 0 < milliseconds < 60_000
    with pytest.raises(UserError, match="run it on a GPU"):
        launches.of_trace(tmp_path, "/device:GPU", "Stream")
