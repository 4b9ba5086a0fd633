"""A disk that is full, or says no, in the middle of a run costs no checkpoint."""

import contextlib
import errno
import os
import shutil
import subprocess

import jax
import pytest

from gan_jax import recipes
from gan_jax.errors import UserError
from gan_jax.run import checkpoints
from gan_jax.system import files
from tests.processes.running import digest, start
from tests.run.test_resume import Death, dataset, everything, small_networks, train

__all__ = ["dataset", "small_networks"]  # fixtures

_ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.EDQUOT)


class Disk:
    """Refuses the write of a given number, and all that follow."""

    def __init__(self):
        self.writes, self.refuses, self.error = 0, None, None
        self.paths = []

    @contextlib.contextmanager
    def writing(self, path):
        self.writes += 1
        self.paths.append(path)
        if self.refuses is not None and self.writes >= self.refuses:
            with files.really_writing(path):
                raise OSError(self.error, os.strerror(self.error))
        with files.really_writing(path):
            yield


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(files, "really_writing", files.writing, raising=False)
    monkeypatch.setattr(files, "writing", disk.writing)
    monkeypatch.setattr("gan_jax.run.metrics_log.writing", disk.writing)
    return disk


@pytest.mark.slow  # of any one: the full disk, below
def test_a_run_survives_the_refusal_of_every_single_write(
    small_networks, disk, tmp_path, dataset
):
    """One sitting after another, each refused one write later than the one before."""
    recipe = recipes.recipe("hinge", batch_size=8)
    devices = jax.devices()[:1]
    whole = train(tmp_path / "whole", dataset, recipe, devices)
    kinds = {path.name.partition(".")[0].rstrip("0123456789_") for path in disk.paths}
    assert kinds >= {"config", "real", "samples", "metrics", "step", "curves"}
    for refuses in range(1, disk.writes + 1):
        disk.writes, disk.refuses = 0, refuses
        disk.error = _ERRORS[refuses % len(_ERRORS)]
        before = checkpoints.newest(tmp_path / "run") or 0
        state, error = None, None
        try:
            state = train(tmp_path / "run", dataset, recipe, devices)
            break
        except UserError as caught:
            error = str(caught)
        assert os.strerror(disk.error) in error
        assert "free the space, mend the permission" in error
        assert "\n" not in error
        assert (checkpoints.newest(tmp_path / "run") or 0) >= before
    assert refuses > 10
    assert everything(tmp_path / "run", state) == everything(tmp_path / "whole", whole)


def mount(place, *options):
    """Whether a disk of memory could be mounted, or mounted anew."""
    if not shutil.which("mount"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mount(place, "size=50m"):
        pytest.skip("this machine lets nobody mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_turns_read_only_is_told_at_once_with_the_last_good_checkpoint(
    small_networks, small_disk, tmp_path, dataset
):
    recipe = recipes.recipe("hinge", batch_size=8)
    devices = jax.devices()[:1]
    with pytest.raises(Death):
        train(tmp_path / "run", dataset, recipe, devices, dies_at=7)
    folder = tmp_path / "run" / "checkpoints"
    shutil.move(folder / "4", small_disk)
    folder.rmdir()
    folder.symlink_to(small_disk)
    assert mount(small_disk, "remount", "ro")
    with pytest.raises(UserError) as caught:
        train(tmp_path / "run", dataset, recipe, devices)
    assert "cannot save checkpoint 8" in str(caught.value)
    assert "Read-only file system" in str(caught.value)
    assert str(caught.value).endswith("the last good checkpoint is of step 4")
    assert os.listdir(small_disk) == ["4"]
    assert mount(small_disk, "remount", "rw")
    resumed = train(tmp_path / "run", dataset, recipe, devices)
    whole = train(tmp_path / "whole", dataset, recipe, devices)
    found, expected = (
        everything(tmp_path / name, state)
        for name, state in (("run", resumed), ("whole", whole))
    )
    assert found == expected


def size(folder):
    """Bytes that a folder takes on its disk."""
    return sum(512 * path.lstat().st_blocks for path in folder.rglob("*"))


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_space(
    small_disk, tmp_path
):
    folder, whole = small_disk / "run", tmp_path / "whole"
    flags = ("--batch_size=8", "--log_every=2", "--checkpoint_every=4", "--steps=14")
    status, _, stderr = start(whole, *flags).end()
    assert (status, stderr) == (0, "")
    saved = [size(path) for path in (whole / "checkpoints").iterdir()]
    fits = size(whole) - sum(saved) + 3 * saved[0] // 2  # one checkpoint, and no second
    assert mount(small_disk, "remount", f"size={fits}")
    status, _, stderr = start(folder, *flags).end()
    assert status == 2
    assert len(stderr.splitlines()) == 1, stderr
    assert "No space left on device" in stderr
    assert "the last good checkpoint is of step 4" in stderr
    assert os.listdir(folder / "checkpoints") == ["4"]
    assert mount(small_disk, "remount", "size=50m")
    status, stdout, stderr = start(folder, *flags).end()
    assert (status, stderr) == (0, "")
    assert "up to step 4: going on" in stdout
    assert digest(folder) == digest(whole)
