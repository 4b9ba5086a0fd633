"""Two processes of two devices each: one run, of which the first has the folder."""

import shutil
import signal
import time

import jax
import numpy as np
import pytest

from gan_jax.run import checkpoints
from gan_jax.run.metrics_log import read_metrics
from tests.processes import process_worker
from tests.processes.running import (
    Process,
    digest,
    free_address,
    lines_in,
    listens,
    numbers,
    start,
    wait_until,
)

STEPS = 40
FLAGS = ("--batch_size=8", "--log_every=2", "--checkpoint_every=4")


def start_two(folder, *flags, others=None):
    """Two processes; the second is given another folder, which does not exist."""
    address = free_address()
    return [
        start(
            place,
            *(*FLAGS, *flags, "--distributed", f"--coordinator={address}"),
            *("--num_processes=2", f"--process_id={number}"),
            devices=2,
        )
        for number, place in enumerate((folder, others or f"{folder}_not_here"))
    ]


def succeed(processes):
    for process in processes:
        status, _, stderr = process.end()
        assert status == 0, stderr


def test_two_processes_agree_with_one_of_four_devices_in_float64(tmp_path):
    address = free_address()
    path = tmp_path / "two.npz"
    module = "tests.processes.process_worker"
    succeed(
        [
            Process([module, address, number, path], JAX_NUM_CPU_DEVICES="2")
            for number in range(2)
        ]
    )
    with np.load(path) as found:
        for loss in process_worker.LOSSES:
            one = _on_four_devices(loss)
            assert len(one) > 8
            for i, expected in enumerate(one):
                assert found[f"{loss}_{i}"].dtype == np.float64
                np.testing.assert_allclose(
                    found[f"{loss}_{i}"], expected, rtol=0, atol=1e-9
                )


def _on_four_devices(loss):
    with pytest.MonkeyPatch.context() as patch:
        four = jax.devices()[:4]
        patch.setattr(jax, "devices", lambda: four)
        return process_worker.train(loss)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A run that ended by a signal to the second process."""
    folder = tmp_path_factory.mktemp("asked") / "run"
    two = start_two(folder, "--steps=2000000000")
    wait_until(lambda: lines_in(folder) >= 3, two[0])
    two[1].send_signal(signal.SIGTERM)
    return folder, [process.end() for process in two]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run whose second process was killed, and how the first ended."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    first, second = start_two(folder, "--steps=2000000000")
    wait_until(lambda: checkpoints.newest(folder), first)
    second.send_signal(signal.SIGKILL)
    return folder, first.end()


def test_a_signal_to_one_of_them_ends_both_at_the_same_step(asked):
    folder, results = asked
    newest = checkpoints.newest(folder)
    for status, _, stderr in results:
        assert status == 143, stderr
        last = [line for line in stderr.splitlines() if line.startswith("train:")][-1]
        assert f"SIGTERM: saved at step {newest} of 2000000000" in last


def test_the_first_alone_writes(asked):
    folder = asked[0]
    assert [p.name for p in folder.parent.iterdir()] == ["run"]
    steps = [line["step"] for line in read_metrics(folder)]
    assert steps == list(range(2, steps[-1] + 1, 2))
    assert numbers(folder).step == checkpoints.newest(folder) == steps[-1]


@pytest.mark.slow  # it takes as long as heartbeats may be late
def test_when_one_dies_the_other_says_so_and_ends(killed):
    _, (status, _, stderr) = killed
    assert status != 0
    assert stderr.splitlines()[-1] == (
        "process 0 of this run has ended early: it was killed, or another was killed or"
        " never came; start all of them again to go on from the last checkpoint"
    )


@pytest.mark.slow
def test_two_processes_go_on_to_the_bytes_of_a_run_of_which_none_was_killed(
    killed, asked, tmp_path
):
    folders = [tmp_path / "killed", tmp_path / "asked"]
    for folder, (place, _) in zip(folders, (killed, asked), strict=True):
        shutil.copytree(place, folder)
    end_step = max(checkpoints.newest(folder) for folder in folders) + 4
    for folder in folders:
        succeed(start_two(folder, f"--steps={end_step}"))
    assert digest(folders[0]) == digest(folders[1])
    logs = [read_metrics(folder) for folder in folders]
    for mine, other in zip(*logs, strict=True):
        assert mine["d_loss"] == other["d_loss"]
        assert mine["step"] == other["step"]


@pytest.mark.slow
def test_one_process_of_four_devices_goes_on_as_well(killed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(killed[0], folder)
    succeed([start(folder, *FLAGS, f"--steps={STEPS}", devices=4)])
    steps = [line["step"] for line in read_metrics(folder)]
    assert steps == list(range(2, STEPS + 1, 2))
    assert numbers(folder).step == STEPS


def test_what_the_first_sends_keeps_its_bits_and_no_error_leaves_the_other_waiting():
    address = free_address()
    two = [Process(["tests.processes.talking", address, n]) for n in range(2)]
    results = [process.end() for process in two]
    for status, stdout, stderr in results:
        assert status != 0
        assert stderr.splitlines()[-1].startswith("process "), stderr
        lines = [line for line in stdout.splitlines() if "Gloo" not in line]
        odd = np.array([-0.0, 1e-40, 1.5], np.float32)
        assert lines == [f"{odd.tobytes().hex()} True", "True [0 7] 3", "(False, 0.0)"]
    assert "nobody expects this" in results[0][2]


def test_a_process_that_waits_for_the_others_can_be_ended(tmp_path):
    process = start(
        tmp_path / "run",
        *("--distributed", f"--coordinator={free_address()}"),
        *("--num_processes=2", "--process_id=1"),
    )
    wait_until(lambda: listens(process), process)
    time.sleep(1)  # to be inside of JAX
    process.send_signal(signal.SIGTERM)
    status, _, stderr = process.end()
    assert status == 143
    assert "train: SIGTERM: ended; there was nothing new to save" in stderr


@pytest.mark.slow
def test_when_the_first_dies_the_other_says_so_too(killed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(killed[0], folder)
    first, second = start_two(folder, "--steps=2000000000")
    before = checkpoints.newest(folder)
    wait_until(lambda: checkpoints.newest(folder) > before, first)
    first.send_signal(signal.SIGKILL)
    status, _, stderr = second.end()
    assert status != 0
    assert stderr.splitlines()[-1].startswith("process 1 of this run has ended early")


def test_processes_with_other_flags_are_refused(tmp_path):
    address = free_address()
    two = [
        start(
            tmp_path / str(number),
            *(*FLAGS, "--steps=4", "--distributed", f"--coordinator={address}"),
            *("--num_processes=2", f"--process_id={number}", f"--seed={number}"),
            devices=2,
        )
        for number in range(2)
    ]
    results = [process.end() for process in two]
    assert results[1][0] == 2
    assert "train: process 1 has other flags than process 0" in results[1][2]
    assert results[0][0] != 0
