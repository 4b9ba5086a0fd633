"""Whatever surrounds a program, it works, or says in one line why it does not."""

import os
import subprocess
import sys

import jax
import pytest

from tests.processes.running import ROOT, data_flags

# Environments, arguments of Python, and streams that are closed, with which a run has
# nothing to complain of: several of each in one, so that few runs show them all.
RIGHT = {
    "no HOME, an ASCII terminal, no input": (
        {"HOME": None, "PYTHONIOENCODING": "ascii"},
        [],
        '"$@" <&-',
    ),
    "no home, no asserts and docstrings, no output": (
        {"HOME": "/dev/null", "XDG_CACHE_HOME": None, "PYTHONOPTIMIZE": "2"},
        [],
        '"$@" >&-',
    ),
    "a cache that is a file": ({"GAN_JAX_CACHE_DIR": "/dev/null"}, [], '"$@"'),
    "warnings are errors, nowhere to say so": ({}, ["-W", "error"], '"$@" 2>&-'),
}


def environment(changes):
    """Of this process, with changes; None removes a variable."""
    there = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    there.setdefault("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
    if "GAN_JAX_CACHE_DIR" in changes or "HOME" in changes:  # JAX's is to be ours
        there["JAX_COMPILATION_CACHE_DIR"] = None
    return {name: value for name, value in there.items() if value is not None}


def train(workdir, changes, *python, shell='exec "$@"', more=(), cwd=None):
    """A run of two steps: status, stdout, stderr."""
    flags = (*data_flags(), "--steps=2", "--batch_size=8", f"--workdir={workdir}")
    argv = [sys.executable, *python, "-m", "tests.processes.small_train", *flags]
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *argv, *more],
        env=environment(changes),
        capture_output=True,
        cwd=cwd,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_run_has_nothing_to_complain_of(name, tmp_path):
    changes, python, shell = RIGHT[name]
    folder = tmp_path / "Läufe eins"
    status, _, stderr = train(folder, changes, *python, shell=shell)
    assert (status, stderr) == (0, "")
    assert (folder / "checkpoints" / "2").exists()


def assert_one_line(result, words):
    status, _, stderr = result
    assert status == 2, stderr
    assert len(stderr.splitlines()) == 1, stderr
    assert words in stderr


def test_an_output_that_is_full_is_one_line(tmp_path):
    result = train(tmp_path / "run", {}, shell='"$@" >/dev/full')
    assert_one_line(result, "No space left on device")


def test_a_name_that_the_locale_does_not_know_is_refused_before_training(tmp_path):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = train(tmp_path / "Läufe", plain)
    assert_one_line(result, "has letters that are not in this locale: set PYTHONUTF8=1")
    assert list(tmp_path.iterdir()) == []


def test_a_current_folder_that_is_gone_is_one_line(tmp_path):
    (tmp_path / "here").mkdir()
    shell = 'rmdir ../here && "$@"'
    result = train("run", {}, shell=shell, cwd=tmp_path / "here")
    assert_one_line(result, "the current folder was deleted: go to another one")


@pytest.mark.parametrize(
    ("program", "reader", "status"),
    [
        ("experiments.train --help", "head -n 1", 0),
        ("tests.processes.one_row --seed=1", "true", 1),  # its results are not read
    ],
)
def test_whoever_reads_no_more_ends_a_program_in_silence(
    program, reader, status, tmp_path
):
    argv = f"{sys.executable} -m {program}"
    done = subprocess.run(
        ["bash", "-c", f"{argv} | {reader}; exit ${{PIPESTATUS[0]}}"],
        env=environment({}),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.slow
def test_a_run_that_was_moved_goes_on_where_it_is(tmp_path):
    assert train(tmp_path / "one", {})[0] == 0
    (tmp_path / "one").rename(tmp_path / "other")
    status, stdout, stderr = train(tmp_path / "other", {}, more=["--steps=3"])
    assert (status, stderr) == (0, "")
    assert "up to step 2: going on" in stdout
