"""Counting what a GPU would launch."""

import json
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments.common import described_devices
from experiments.measure import count_kernels
from gan_jax.errors import UserError

HERE = described_devices.missing("cuda") is None


@pytest.fixture(autouse=True)
def parsed_flags():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS([sys.argv[0]])
    with flagsaver.flagsaver():
        yield


@pytest.mark.skipif(HERE, reason="the packages are here")
def test_without_the_packages_one_line_says_what_to_install(capsys):
    count_kernels.main()
    out = capsys.readouterr().out
    assert out.startswith("skipped: ")
    assert out.count("\n") == 1
    assert "pip install 'jax[cuda13]'" in out


@pytest.mark.skipif(HERE, reason="the packages are here")
def test_no_device_is_described_without_the_packages():
    with pytest.raises(UserError, match=r"for a cuda device here: pip install"):
        described_devices.prepare("cuda")


@pytest.mark.skipif(not HERE, reason="needs jax[cuda13]")
@pytest.mark.slow
def test_a_step_launches_no_more_kernels_than_the_documented(tmp_path, monkeypatch):
    output = tmp_path / "counts.json"
    with flagsaver.flagsaver(output=str(output)):
        count_kernels.main()
    found = {
        r["loss"]: r["launches"] for r in json.loads(output.read_text())["results"]
    }
    most = {"wasserstein_gp": 150, "nonsaturating": 120, "relativistic": 150}
    assert all(40 < found[loss] <= most[loss] for loss in most), found
