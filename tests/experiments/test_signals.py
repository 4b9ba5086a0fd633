"""A run that is asked to end saves and says how to go on; asked twice, it ends."""

import re
import shlex
import signal
import sys
import time

import jax
import pytest

from gan_jax import checkpoints, sampling
from gan_jax.metrics_log import read_metrics
from tests.experiments.running import DATASET, end, lines_in, listens, start, wait_until

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="signals of POSIX"
)
# A chunk of some seconds; nothing is saved until a signal asks.
FLAGS = ("--batch_size=16", "--log_every=50", "--sample_every=100")
ENDLESS = (*FLAGS, "--checkpoint_every=100000", "--steps=100000")


def numbers(folder):
    state = sampling.restore(folder)[1]
    return jax.device_get(state.replace(key=jax.random.key_data(state.key)))


@pytest.fixture(scope="module")
def sittings(tmp_path_factory):
    """One run: asked by SIGTERM, then SIGINT, then insisted; each with its result."""
    folder = tmp_path_factory.mktemp("signals") / "run"
    results = {}
    process = start(folder, *ENDLESS, "--overwrite")
    wait_until(lambda: lines_in(folder) >= 1, process)
    second = start(folder, *ENDLESS)
    results["second starter"] = end(second), process.pid
    process.send_signal(signal.SIGTERM)
    results["SIGTERM"] = *end(process), checkpoints.newest(folder)

    process = start(folder, *ENDLESS)
    before = lines_in(folder)
    wait_until(lambda: lines_in(folder) > before, process)
    process.send_signal(signal.SIGINT)
    results["SIGINT"] = *end(process), checkpoints.newest(folder)

    process = start(folder, *ENDLESS)
    before = lines_in(folder)
    wait_until(lambda: lines_in(folder) > before, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    results["twice"] = *end(process), checkpoints.newest(folder)
    return folder, results


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_run_that_is_asked_to_end_saves_within_ten_seconds(sittings, name, status):
    returned, seconds, _, stderr, newest = sittings[1][name]
    assert returned == status, stderr
    assert seconds < 10
    first, last = stderr.splitlines()
    assert first.startswith(f"train: {name}: finishing the steps in hand")
    assert last.startswith(f"train: {name}: saved at step {newest} of 100000; to go on")


def test_the_line_that_says_how_to_go_on_is_a_command_that_does(sittings):
    folder, results = sittings
    said = results["SIGTERM"][3].splitlines()[-1].partition("to go on: ")[2]
    python, *words = shlex.split(said)
    assert python in ("python", sys.executable)
    assert words == [
        *("-m", "experiments.train", f"--workdir={folder}"),
        *(f"--dataset={DATASET}", *ENDLESS),  # and no --overwrite
    ]
    assert f"up to step {results['SIGTERM'][4]}: going on" in results["SIGINT"][2]


def test_a_second_signal_ends_at_once_and_the_last_checkpoint_is_whole(sittings):
    folder, results = sittings
    returned, seconds, _, stderr, newest = results["twice"]
    assert returned == 143
    assert seconds < 1
    assert "saved at" not in stderr
    assert newest == results["SIGINT"][4]
    assert numbers(folder).step == newest


def test_after_all_that_the_run_ends_as_one_that_nobody_interrupted(sittings, tmp_path):
    folder, results = sittings
    flags = (*FLAGS, "--checkpoint_every=100000", f"--steps={results['twice'][4] + 30}")
    for place in (folder, tmp_path / "whole"):
        status, _, _, stderr = end(start(place, *flags))
        assert status == 0, stderr
    digests = [checkpoints.digest(numbers(f)) for f in (folder, tmp_path / "whole")]
    assert digests[0] == digests[1]
    logs = [
        [
            {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
            for line in read_metrics(place)
        ]
        for place in (folder, tmp_path / "whole")
    ]
    assert logs[0] == logs[1]
    for path in (tmp_path / "whole" / "samples").iterdir():
        assert (folder / "samples" / path.name).read_bytes() == path.read_bytes()


def test_a_second_starter_is_told_who_has_the_folder(sittings):
    (status, _, _, stderr), pid = sittings[1]["second starter"]
    assert status == 2
    assert len(stderr.splitlines()) == 1
    assert re.search(
        rf"is being trained in by process {pid} on \S+ since \S+ \(.*train.*\): wait",
        stderr,
    )


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_before_the_first_step_ends_and_leaves_nothing(tmp_path, name, status):
    folder = tmp_path / "run"
    process = start(folder, *ENDLESS)
    wait_until(lambda: listens(process), process)
    process.send_signal(getattr(signal, name))
    returned, seconds, _, stderr = end(process)
    assert returned == status, stderr
    assert seconds < 10
    assert stderr == f"train: {name}: ended; there was nothing new to save\n"
    assert not folder.exists()


def test_a_signal_while_programs_are_compiled_ends_within_ten_seconds(tmp_path):
    folder = tmp_path / "run"
    process = start(folder, *ENDLESS)
    wait_until((folder / "config.json").exists, process)
    process.send_signal(signal.SIGTERM)
    returned, seconds, _, stderr = end(process)
    assert returned == 143, stderr
    assert seconds < 10
    assert stderr == "train: SIGTERM: ended; there was nothing new to save\n"
    assert lines_in(folder) == 0
    flags = (*FLAGS, "--steps=2")
    status, _, _, stderr = end(start(folder, *flags))  # and nothing is in its way
    assert (status, stderr) == (0, "")
