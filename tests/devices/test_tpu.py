"""The training loop compiles for a TPU, on one device and on a slice."""

import json
import subprocess
import sys

import pytest

from experiments.common import described_devices

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        described_devices.missing("tpu") is not None, reason="needs libtpu"
    ),
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("topology", "kind"), [("v5e:2x2", "TPU v5 lite"), ("v6e:2x2", "TPU v6 lite")]
)
@pytest.mark.parametrize("number", [1, 4])
def test_it_compiles_and_averages_over_all_devices(topology, kind, number, precision):
    command = ["tests.devices.tpu_program", topology, f"{number}", precision]
    result = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=True
    )
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["kind"] == kind
    # Images, labels' place, order and state: no more than a tenth for their layout.
    images, state = 60_000 * 28 * 28, 12 * (1_654_121 + 1_640_033)
    assert found["argument_bytes"] < 1.1 * (images + 60_000 * 4 + state)
    # Patches of one channel would be mostly padding, and three times as many bytes.
    if number == 1:
        assert 100e6 < found["bytes"] < 800e6
        assert found["padding"] < found["bytes"] / 4
        return
    names = [reduction["name"] for reduction in found["reductions"]]
    assert {r["groups"] for r in found["reductions"]} <= {
        "mesh['devices'=4]",
        "{{0,1,2,3}}",
        "[1,4]<=[4]",
    }
    norms = [name for name in names if "BatchNorm" in name]
    backward = [name for name in norms if "transpose" in name]
    assert len(backward) >= 3  # statistics' gradients, of each layer
    assert len(norms) - len(backward) >= 3  # statistics, of each layer
    assert len(names) - len(norms) >= 2  # gradients of both networks
