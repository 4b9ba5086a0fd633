"""Counting what a GPU would launch."""

import json
import re
import subprocess
import sys

import pytest

from experiments.common import described_devices
from gan_jax.errors import UserError
from tests.processes.running import call

HERE = described_devices.missing("cuda") is None


PROGRAM = "experiments.measure.count_kernels"


@pytest.mark.skipif(HERE, reason="the packages are here")
def test_no_device_is_described_without_the_packages(tmp_path):
    with pytest.raises(UserError, match=r"for a cuda device here: pip install"):
        described_devices.prepare("cuda")
    output = tmp_path / "counts.json"
    [answer] = call({PROGRAM: [[f"--output={output}"]]})[PROGRAM]
    assert (answer["status"], answer["stderr"]) == (0, "")
    assert answer["stdout"].startswith("skipped: ")
    assert answer["stdout"].count("\n") == 1
    assert "pip install 'jax[cuda13]'" in answer["stdout"]
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.skipif(not HERE, reason="no compiler for CUDA: see .ci/run")
def test_a_step_launches_no_more_kernels_than_the_documented(tmp_path):
    output = tmp_path / "counts.json"
    # In a process of its own: it must be asked for before JAX has looked for devices.
    command = [sys.executable, "-m", PROGRAM, f"--output={output}", "--worst=3"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    results = json.loads(output.read_text())["results"]
    found = {result["loss"]: result["launches"] for result in results}
    most = {"wasserstein_gp": 150, "nonsaturating": 120, "relativistic": 150}
    assert all(40 < found[loss] <= most[loss] for loss in most), found
    tables = re.findall(r"\nMB +padding .*\n-+.*\n((?: *[\d.]+ .*\n)*)", result.stdout)
    assert [table.count("\n") for table in tables] == [3, 3, 3]
