"""Files that appear whole or not at all."""

import os
import subprocess
import sys

import pytest

from gan_jax.system import files


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "config.json"
    files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")
    assert path.read_text() == "old"


def test_a_folder_that_a_killed_process_left_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    abandoned = files.part_of(tmp_path / "out", dead.pid)
    abandoned.mkdir()
    (abandoned / "000000.png").write_bytes(b"")
    mine = files.part_of(tmp_path / "out", os.getpid())
    mine.mkdir()
    other = tmp_path / f"out.0123456789abcdef.{dead.pid}.part"  # of another host
    other.mkdir()
    files.remove_abandoned(tmp_path)
    assert {*tmp_path.iterdir()} == {mine, other}


def test_two_writers_of_one_file_are_not_in_each_others_way(tmp_path):
    """As in two containers, whose processes have one number."""
    path = tmp_path / "classifier"
    with files.whole_file(path) as first, files.whole_file(path) as second:
        first.write(b"first")
        second.write(b"the second")
    assert path.read_bytes() == b"first"  # who ends last
    assert [*tmp_path.iterdir()] == [path]
