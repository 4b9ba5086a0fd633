"""Studies on Ray as a user runs them: the same table, lost nodes, killed drivers."""

import csv
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from gan_jax.study import connection
from tests.processes.running import FAST, ROOT

pytestmark = pytest.mark.ray
pytest.importorskip("ray")

SMALL = ("--quick", "--num_samples=100", "--loss=nonsaturating")
GANS = "--sweep=network:mlp,width:8,batch_size:8,generator_lr:1e-4..1e-2:log,seed:0.."
LONG = ("--steps=1000000", "--checkpoint_every=50")  # it is killed, or asked to end


class Study:
    """A study in a process of its own; its output is in files."""

    def __init__(self, folder, cache, *flags):
        self.output = folder.with_suffix(f".{time.monotonic_ns()}.txt")
        command = [sys.executable, "-m", "experiments.study", f"--workdir={folder}"]
        env = {**os.environ, "XLA_FLAGS": FAST, "GAN_JAX_CACHE_DIR": str(cache)}
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [*command, *SMALL, *flags], cwd=ROOT, env=env, stdout=file, stderr=file
            )

    def end(self):
        return self.process.wait(timeout=500), self.output.read_text()

    def wait_until(self, condition):
        while not condition():
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.1)


@pytest.fixture
def begin(evaluation_cache):
    there = []

    def begin(folder, *flags):
        there.append(Study(pathlib.Path(folder), evaluation_cache, *flags))
        return there[-1]

    yield begin
    for study in there:
        study.process.kill()


@pytest.fixture(scope="module")
def nodes(evaluation_cache):
    """A head without cores, and two nodes with one each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", FAST)
        patch.setenv("GAN_JAX_CACHE_DIR", str(evaluation_cache))
        patch.setenv("PYTHONPATH", str(ROOT))
        with connection.local_nodes(2) as there:
            yield there


def rows_of(folder):
    """The table without seconds."""
    rows = csv.DictReader((folder / "runs.csv").open())
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def saved(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("wave/*.npz")}


def test_the_table_is_the_one_that_one_machine_gives(begin, tmp_path):
    """Of a Ray of this machine alone; with rungs, and with Optuna's choice."""
    chosen = ("--sampler=random", "--trials=4", "--halving=2", "--rungs=2")
    for name, flags in {"local": "--num_devices=1", "ray": "--engine=ray"}.items():
        status, output = begin(
            tmp_path / name, f"{GANS}0", "--steps=6", *chosen, flags
        ).end()
        assert status == 0, output
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")
    assert sorted(row["stopped"] for row in rows_of(tmp_path / "ray")) == [
        *("False", "False", "True", "True")
    ]
    assert re.search(r"\(nonsaturating network=mlp .*pid=\d+.*\) compiled", output)
    results = json.loads((tmp_path / "ray" / "results.json").read_text())
    assert results["device"] == "cpu"
    assert not (tmp_path / "ray" / "rung").exists()


def test_a_wave_that_raises_on_a_node_ends_in_one_line(begin, nodes, tmp_path):
    """A file is where the folder of what is under way should be."""
    folder = tmp_path / "study"
    flags = (f"{GANS}1", "--steps=200", "--checkpoint_every=50", "--engine=ray")
    study = begin(folder, *flags, f"--ray_address={nodes.address}")
    study.wait_until((folder / "config.json").exists)
    (folder / "wave").write_text("in the way")
    status, output = study.end()
    assert status == 2, output
    last = output.splitlines()[-1]
    assert last.startswith("study: 2 of the waves failed, first nonsaturating network=")
    assert "cannot write" in last
    assert "start again" in last


def test_a_lost_node_and_a_killed_driver_cost_what_was_not_saved(
    begin, nodes, tmp_path
):
    folder = tmp_path / "study"
    flags = (f"{GANS}1", *LONG, "--engine=ray", f"--ray_address={nodes.address}")
    study = begin(folder, *flags)
    study.wait_until(lambda: len(saved(folder)) == 2)
    other = begin(folder, *flags)  # a second driver
    status, output = other.end()
    assert status == 2
    assert f"--workdir={folder} is being trained in by process" in output

    nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
    nodes.add_node(num_cpus=1)  # the other one is taken
    study.wait_until(lambda: "going on with a wave at step" in study.output.read_text())
    study.process.kill()
    study.process.wait()

    study = begin(folder, *flags)
    study.wait_until(lambda: "going on with a wave at step" in study.output.read_text())
    before = saved(folder)
    study.wait_until(lambda: saved(folder) != before)
    study.process.send_signal(signal.SIGTERM)
    status, output = study.end()
    assert status == 143, output
    last = output.splitlines()[-1]
    assert "SIGTERM" in last
    assert "of 2 GANs are done; to go on: " in last
