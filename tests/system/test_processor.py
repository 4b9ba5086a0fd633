"""The processor's name, and programs that may not use all of it."""

import os
import subprocess
import sys

import pytest

from gan_jax.system import processor

AVX2 = "processor : 0\nmodel name\t: Abacus 3\nflags\t\t: fpu sse4_2 avx avx2 fma\n"


def installed(monkeypatch, tmp_path, text):
    place = tmp_path / "cpuinfo"
    place.write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", place)


def test_the_highest_instruction_set_is_named(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, AVX2)
    assert (processor.name(), processor.highest()) == ("Abacus 3", "AVX2")
    installed(monkeypatch, tmp_path, AVX2.replace("fma", "fma avx512f avx512vl"))
    assert processor.title(processor.highest()) == "AVX-512"
    installed(monkeypatch, tmp_path, "CPU part : 0xd0c\n")  # no x86
    assert processor.highest() is None
    assert processor.name()


def test_a_limit_is_added_to_the_flags_that_are_there(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")
    flags = processor.limited_to("AVX2")["XLA_FLAGS"]
    assert flags == "--xla_dump_to=/nowhere --xla_cpu_max_isa=AVX2"


def test_no_more_is_used_than_there_is(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, AVX2)
    for limit, expected in (("AVX512", "AVX2"), ("SSE4_2", "SSE4_2")):
        monkeypatch.setenv("XLA_FLAGS", f"--a=b --xla_cpu_max_isa={limit}")
        assert processor.used() == expected
    monkeypatch.delenv("XLA_FLAGS")
    assert processor.used() == "AVX2"
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AMX_FP16")  # no name of ours
    assert processor.used() == "AVX2"


@pytest.mark.parametrize(
    ("limit", "expected"), [("SSE4_2", "DEFAULT"), ("AVX", "DEFAULT"), ("AVX2", "AVX2")]
)
def test_pytorch_takes_the_limit(limit, expected):
    pytest.importorskip("torch")
    sets = [*processor.INSTRUCTION_SETS]
    if sets.index(processor.highest() or sets[0]) < sets.index(limit):
        pytest.skip("this processor has less")
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | processor.limited_to(limit),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected


def test_xla_takes_the_limit(tmp_path):
    limited = processor.limited_to("AVX2")
    limited["XLA_FLAGS"] += f" --xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    code = "import jax, jax.numpy as jnp; jax.jit(jnp.tanh)(jnp.ones(3))"
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=os.environ | limited, check=True, capture_output=True)
    (options,) = tmp_path.glob("*jit_tanh.debug_options")
    assert 'xla_cpu_max_isa: "AVX2"' in options.read_text()
