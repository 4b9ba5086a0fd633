"""What a measurement says of the machine, and programs that may not use all of it."""

import os
import subprocess
import sys

from experiments.measure.peers import this_machine

AVX2 = "processor : 0\nmodel name\t: Abacus 3\nflags\t\t: fpu sse4_2 avx avx2 fma\n"


def installed(monkeypatch, tmp_path, text):
    place = tmp_path / "cpuinfo"
    place.write_text(text)
    monkeypatch.setattr(this_machine, "_CPUINFO", place)


def test_the_highest_instruction_set_is_named(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, AVX2)
    assert (this_machine.processor(), this_machine.highest()) == ("Abacus 3", "AVX2")
    installed(monkeypatch, tmp_path, AVX2.replace("fma", "fma avx512f avx512vl"))
    assert this_machine.title(this_machine.highest()) == "AVX-512"
    installed(monkeypatch, tmp_path, "CPU part : 0xd0c\n")  # no x86
    assert this_machine.highest() is None
    assert this_machine.processor()


def test_a_limit_is_added_to_the_flags_that_are_there(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")
    flags = this_machine.limited_to("AVX2")["XLA_FLAGS"]
    assert flags == "--xla_dump_to=/nowhere --xla_cpu_max_isa=AVX2"


def test_xla_compiles_for_the_limit(tmp_path):
    limited = this_machine.limited_to("AVX2")
    limited["XLA_FLAGS"] += f" --xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    code = "import jax, jax.numpy as jnp; jax.jit(jnp.tanh)(jnp.ones(3))"
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=os.environ | limited, check=True, capture_output=True)
    (options,) = tmp_path.glob("*jit_tanh.debug_options")
    assert 'xla_cpu_max_isa: "AVX2"' in options.read_text()
