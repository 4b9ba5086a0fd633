"""A run that begins with another one's weights, from the command line."""

import json

from tests.processes.running import Process

SMALL = ("--dataset=garments", "--num_examples=100", "--steps=3", "--track=")


def train(*flags):
    return Process(["experiments.train", *SMALL, *flags]).end()


def test_a_run_begins_with_another_one_s_weights_and_says_so(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert train("--loss=kl", f"--workdir={first}")[0] == 0
    flags = ("--loss=hinge", f"--init_from={first}", f"--workdir={second}")
    status, _, stderr = train(*flags)
    assert status == 0, stderr
    config = json.loads((second / "config.json").read_text())
    assert config["init_from"] == str(first)
    assert len(config["flags"]["init_from"]) == 64
    # It goes on, after the other one has, too.
    assert train("--loss=kl", f"--workdir={first}", "--steps=5")[0] == 0
    status, stdout, stderr = train(*flags, "--steps=6")
    assert status == 0, stderr
    assert "going on from there" in stdout
    status, _, stderr = train("--loss=hinge", f"--workdir={second}", "--steps=6")
    assert status == 2
    assert f"began with --init_from={first}: give that to go on" in stderr
    # And what does not fit leaves nothing.
    other = tmp_path / "other"
    flags = (f"--init_from={first}", f"--workdir={other}", "--conditional")
    status, _, stderr = train("--loss=hinge", *flags)
    assert status == 2
    assert "other networks, images or labels" in stderr
    assert not other.exists()
