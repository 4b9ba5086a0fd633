"""What a start of `experiments.train` does without, and what it compiles."""

import json
import subprocess
import sys

from tests.experiments.test_circumstances import environment
from tests.processes.running import data_flags

START = """
import json, sys
import jax
from experiments import train
from experiments.common import cli
from gan_jax.run import recorder
from tests import small

programs, before = [], {}
after = recorder.Recorder.after

def listen(event, seconds, *, fun_name=None, **what):
    if event == "/jax/core/compile/backend_compile_duration":
        programs.append(fun_name)

def first(self, *arguments):
    before.setdefault("programs", len(programs))
    before.setdefault("modules", [*sys.modules])
    after(self, *arguments)

small.install(curves=True)
jax.monitoring.register_event_duration_secs_listener(listen)
recorder.Recorder.after = first
try:
    cli.run(train.main)
finally:
    print(json.dumps({"programs": programs, "before": before}))
"""
SLOW = ("matplotlib", "scipy", "tensorflow", "torch", "torchvision")


def test_a_start_compiles_few_programs_and_imports_no_more_than_it_needs(tmp_path):
    torch = tmp_path / "torch.py"  # as if it were installed
    torch.write_text("raise RuntimeError('torch was imported')")
    flags = (*data_flags(), "--steps=3", "--batch_size=8", f"--workdir={tmp_path}/run")
    there = environment({"JAX_NUM_CPU_DEVICES": "1"})
    there["PYTHONPATH"] += f":{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-c", START, *flags], env=there, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout.splitlines()[-1])
    # The key of the run, the initial state, latents of the pictures, the order of the
    # images, the loop of steps; then the report of a chunk, and the pictures.
    assert found["before"]["programs"] <= 6, found["programs"]
    assert len(found["programs"]) <= 8, found["programs"]
    assert not {*SLOW} & {*found["before"]["modules"]}
    assert [*(tmp_path / "run").glob("events.out.*")]
