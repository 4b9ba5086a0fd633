"""Counting what a GPU would launch."""

import json
import subprocess
import sys

import pytest

from experiments.common import described_devices
from gan_jax.errors import UserError

HERE = described_devices.missing("cuda") is None


@pytest.mark.skipif(HERE, reason="the packages are here")
def test_no_device_is_described_without_the_packages():
    with pytest.raises(UserError, match=r"for a cuda device here: pip install"):
        described_devices.prepare("cuda")


@pytest.mark.slow
def test_a_step_launches_no_more_kernels_than_the_documented(tmp_path):
    output = tmp_path / "counts.json"
    # In a process of its own: it must be asked for before JAX has looked for devices.
    program = "experiments.measure.count_kernels"
    command = [sys.executable, "-m", program, f"--output={output}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    if not HERE:
        assert result.stdout.startswith("skipped: ")
        assert result.stdout.count("\n") == 1
        assert "pip install 'jax[cuda13]'" in result.stdout
        return
    results = json.loads(output.read_text())["results"]
    found = {result["loss"]: result["launches"] for result in results}
    most = {"wasserstein_gp": 150, "nonsaturating": 120, "relativistic": 150}
    assert all(40 < found[loss] <= most[loss] for loss in most), found
