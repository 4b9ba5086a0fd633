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
    abandoned = tmp_path / f"out.{dead.pid}{files.PART}"
    abandoned.mkdir()
    (abandoned / "000000.png").write_bytes(b"")
    mine = tmp_path / f"out.{os.getpid()}{files.PART}"
    mine.mkdir()
    files.remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]
