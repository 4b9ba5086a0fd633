"""Files in a store: whole or not there, and one line for what goes wrong."""

import pathlib
import tempfile

import fsspec
import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.run import run_folder
from gan_jax.system import files, remote
from tests import memory_store


def test_a_folder_is_local_or_in_a_store(study, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("runs/study", "~/study", "/a://b", "1://b"):
        path = remote.folder(text)
        assert path == pathlib.Path(text).expanduser()
        assert not remote.is_remote(path)
    assert remote.is_remote(study / "config.json")
    assert str(study / "samples" / "a.png") == "s3://bucket/study/samples/a.png"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://host/study", "local folder, or s3://bucket/name or gs://"),
        ("S3://bucket/study", "local folder, or s3://bucket/name or gs://"),
        ("s3://", "names no bucket"),
        ("s3:///study", "names no bucket"),
        ("s3://Bucket/study", "names no bucket"),
    ],
)
def test_an_address_that_names_nothing_is_refused(objects, text, words):
    with pytest.raises(UserError, match=words):
        remote.folder(text)


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gcs")])
def test_what_a_store_needs_is_named_where_it_is_not_installed(
    monkeypatch, scheme, extra
):
    def missing(scheme):
        raise ImportError(f"install something to access {scheme}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(UserError, match=rf"pip install 'gan_jax\[{extra}\]'"):
        remote.folder(f"{scheme}://bucket/study")


def test_the_address_of_a_store_is_no_local_folder(tmp_path):
    with pytest.raises(UserError, match="--runs=s3://bucket/a/b is no local folder"):
        remote.refuse(pathlib.Path("s3://bucket/a/b"), "runs")
    for text in ("", ".", "runs/s3:/a", "C:/runs", str(tmp_path / "s3:")):
        remote.refuse(pathlib.Path(text))


def test_an_object_is_not_there_until_it_is_whole(
    study, objects, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = study / "results.json"
    with files.whole_file(path) as file:
        file.write(b"{")
        assert objects.names() == []
        assert len(list(tmp_path.iterdir())) == 1
        file.write(b"}")
    assert objects["bucket/study/results.json"] == b"{}"

    def fail():
        with files.whole_file(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert objects["bucket/study/results.json"] == b"{}"
    assert list(tmp_path.iterdir()) == []


def test_text_and_arrays_are_read_as_they_were_written(study):
    files.write_text(study / "a.txt", "größer")
    assert (study / "a.txt").read_text() == "größer"
    arrays = {"a": np.arange(5, dtype=np.float16), "b": np.zeros((2, 0, 3), np.uint8)}
    with files.whole_file(study / "a.npz") as file:
        np.savez(file, **arrays)
    read = files.read_npz(study / "a.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)
    with pytest.raises(UserError, match=r"b\.npz cannot be read as an \.npz"):
        files.read_npz(study / "b.npz")


def test_an_object_or_all_below_a_name_is_removed(study, objects):
    for name in ("wave/a", "wave/b/c", "wave.png", "wavelet/a"):
        files.write_text(study / name, "")
    files.remove(study / "wave")
    files.remove(study / "wave.png")
    files.remove(study / "nothing")
    assert objects.names() == ["bucket/study/wavelet/a"]


def test_a_folder_in_a_store_needs_not_be_made(study, objects):
    files.make_folder(study / "samples")
    assert objects.names() == []


def test_a_folder_in_a_store_may_be_new_or_a_study_and_not_of_others(study, objects):
    run_folder.check_folder(study)
    objects["bucket/study/.lock"] = b""
    run_folder.check_folder(study)
    objects["bucket/study/thesis.tex"] = b"years of work"
    with pytest.raises(UserError, match=r"files and no run \(thesis.tex"):
        run_folder.check_folder(study)
    objects["bucket/study/config.json"] = b"{}"
    run_folder.check_folder(study)


class NoCredentialsError(Exception):
    """As botocore's, which is no OSError."""


NoCredentialsError.__module__ = "botocore.exceptions"
NOT_ALLOWED = PermissionError("Access\n  Denied")


@pytest.mark.parametrize("error", [NOT_ALLOWED, NoCredentialsError("no credentials")])
def test_what_a_store_refuses_is_one_line_and_leaves_what_there_was(
    study, objects, monkeypatch, error
):
    objects["bucket/study/config.json"] = b"old"

    def refuse(*args, **kwargs):
        raise error

    for name in ("put_file", "pipe_file", "ls", "listdir"):
        monkeypatch.setattr(memory_store.Store, name, refuse)
    said = "[Aa]ccess Denied" if error is NOT_ALLOWED else "no credentials"
    for act, verb in (
        (lambda: files.write_text(study / "config.json", "new"), "write"),
        (lambda: run_folder.check_folder(study), "read"),
    ):
        with pytest.raises(
            UserError, match=rf"cannot {verb} s3://.*\({said}\)"
        ) as found:
            act()
        assert "\n" not in str(found.value)
        assert files.is_passing(found.value)
    assert objects["bucket/study/config.json"] == b"old"


def test_an_object_that_is_not_there_will_not_come_back(study):
    with pytest.raises(UserError) as found, files.reading(study / "a"):
        (study / "a").read_bytes()
    assert not files.is_passing(found.value)


def test_what_is_no_matter_of_the_store_is_told_as_it_is(study, tmp_path):
    with pytest.raises(ZeroDivisionError), files.reading(study):
        1 / 0  # noqa: B018
    with pytest.raises(FileNotFoundError), files.reading(study):
        (tmp_path / "nothing").read_bytes()
