"""A run that is asked to end saves and says how to go on; asked twice, it ends."""

import re
import shlex
import signal
import sys

import pytest

from gan_jax.run import checkpoints
from gan_jax.run.metrics_log import read_metrics
from tests.processes.running import (
    Process,
    data_flags,
    digest,
    lines_in,
    listens,
    numbers,
    start,
    wait_until,
)

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="signals of POSIX"
)
# Nothing is saved until a signal asks.
FLAGS = ("--batch_size=16", "--log_every=50", "--sample_every=2000")
ENDLESS = (*FLAGS, "--checkpoint_every=2000000000", "--steps=2000000000")
STATUS = {"SIGTERM": 143, "SIGINT": 130}


@pytest.fixture(scope="module")
def sittings(tmp_path_factory):
    """One run, asked by SIGTERM and then by SIGINT; each with its result."""
    folder = tmp_path_factory.mktemp("signals") / "run"
    results = {}
    process = start(folder, *ENDLESS, "--overwrite")
    wait_until(lambda: lines_in(folder) >= 1, process)
    results["second starter"] = start(folder, *ENDLESS).end(), process.pid
    process.send_signal(signal.SIGTERM)
    results["SIGTERM"] = *process.end(), checkpoints.newest(folder)

    process = start(folder, *ENDLESS)
    before = lines_in(folder)
    wait_until(lambda: lines_in(folder) > before, process)
    process.send_signal(signal.SIGINT)
    results["SIGINT"] = *process.end(), checkpoints.newest(folder)
    return folder, results


@pytest.mark.parametrize("name", STATUS)
def test_a_run_that_is_asked_to_end_saves_and_says_so(sittings, name):
    status, _, stderr, newest = sittings[1][name]
    assert status == STATUS[name], stderr
    first, last = stderr.splitlines()
    assert first.startswith(f"train: {name}: finishing the steps in hand")
    assert last.startswith(f"train: {name}: saved at step {newest} of 2000000000; to")


def test_the_line_that_says_how_to_go_on_is_a_command_that_does(sittings):
    folder, results = sittings
    said = results["SIGTERM"][2].splitlines()[-1].partition("to go on: ")[2]
    python, *words = shlex.split(said)
    assert python in ("python", sys.executable)
    assert words == [
        *("-m", "experiments.train", f"--workdir={folder}"),
        *(*data_flags(), *ENDLESS),  # and no --overwrite
    ]
    assert f"up to step {results['SIGTERM'][3]}: going on" in results["SIGINT"][1]


@pytest.mark.slow
def test_after_all_that_the_run_ends_as_one_that_nobody_interrupted(sittings, tmp_path):
    folder, results = sittings
    assert numbers(folder).step == results["SIGINT"][3]
    steps = results["SIGINT"][3] + 30
    flags = (*FLAGS, "--checkpoint_every=2000000000", f"--steps={steps}")
    for place in (folder, tmp_path / "whole"):
        status, _, stderr = start(place, *flags).end()
        assert status == 0, stderr
    assert digest(folder) == digest(tmp_path / "whole")
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
    (status, _, stderr), pid = sittings[1]["second starter"]
    assert status == 2
    assert len(stderr.splitlines()) == 1
    assert re.search(
        rf"is being trained in by process {pid} on \S+ since \S+ \(.*train.*\): wait",
        stderr,
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("compiled", "SIGTERM"),
        ("swallowed", "SIGINT"),
        pytest.param("compiled", "SIGINT", marks=pytest.mark.slow),
        pytest.param("swallowed", "SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_with_nothing_to_save_a_signal_ends_any_program_wherever_it_is(place, name):
    """In a compiled program, and where an exception would be swallowed."""
    process = Process(["tests.processes.endless", place])
    wait_until(lambda: process.said("stdout"), process)
    process.send_signal(getattr(signal, name))
    status, _, stderr = process.end()
    assert status == STATUS[name]
    assert stderr == f"endless: {name}: ended; there was nothing new to save\n"


def test_a_second_signal_ends_a_program_that_does_not_come_to_its_end():
    process = Process(["tests.processes.endless", "compiled", "deferred"])
    wait_until(lambda: process.said("stdout"), process)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: process.said("stderr"), process)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    status, _, stderr = process.end()
    assert status == 130
    assert stderr.startswith("endless: SIGTERM: finishing the steps in hand and saving")
    assert len(stderr.splitlines()) == 1


def interrupt_in(folder, function):
    """A run that is asked to end while it is in a function: all that it said."""
    process = start(folder, *ENDLESS, hang=function)
    wait_until(lambda: process.said("stdout").endswith("hangs\n"), process)
    assert listens(process)
    process.send_signal(signal.SIGTERM)
    status, _, stderr = process.end()
    assert status == 143
    return stderr


def test_a_signal_before_the_first_step_ends_and_leaves_nothing(tmp_path):
    stderr = interrupt_in(tmp_path / "run", "gan_jax.data.npy.from_npy")
    assert stderr == "train: SIGTERM: ended; there was nothing new to save\n"
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_half_written_does_not_stay(tmp_path):
    stderr = interrupt_in(tmp_path / "run", "os.fsync")
    assert stderr == "train: SIGTERM: ended; there was nothing new to save\n"
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "function",
    [
        # Before the files are open; and while they are, and the loop is compiled.
        pytest.param(
            "gan_jax.devices.parallel.compile_train_steps", marks=pytest.mark.slow
        ),
        "gan_jax.run.loop._permutations",
    ],
)
def test_a_signal_while_programs_are_compiled_leaves_nothing_in_the_way(
    tmp_path, function
):
    stderr = interrupt_in(tmp_path / "run", function)
    assert stderr == "train: SIGTERM: ended; there was nothing new to save\n"
    assert lines_in(tmp_path / "run") == 0
    status, _, stderr = start(tmp_path / "run", *FLAGS, "--steps=2").end()
    assert (status, stderr) == (0, "")
