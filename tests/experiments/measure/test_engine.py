"""The cost of Ray itself, as a user measures it."""

import json

import pytest

from tests.processes.running import call

pytestmark = pytest.mark.ray
pytest.importorskip("ray")


def test_waves_are_timed_without_a_device(tmp_path):
    output = tmp_path / "engine.json"
    name = "experiments.measure.engine"
    flags = ["--nodes=1", "--waves=3", f"--output={output}"]
    # Where a GPU is it would do, and is not asked for either.
    [called] = call({name: [flags]}, JAX_PLATFORMS="cuda")[name]
    assert called["status"] == 0, called["stderr"]
    assert "1 nodes: 3 waves in " in called["stdout"]
    document = json.loads(output.read_text())
    assert document["command"].startswith(f"python -m {name} --nodes=1")
    assert (document["device"], document["waves"]) == ("cpu", 3)
    [row] = document["rows"]
    assert row["nodes"] == 1
    assert row["waves_a_minute"] > 0
