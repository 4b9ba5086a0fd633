"""Samples in files and folders, of this project and of others."""

import re

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Pictures
from gan_jax.data.picture import read_picture
from gan_jax.errors import UserError
from gan_jax.run import sample_files, sampling


def test_a_file_of_samples_is_read_as_it_was_written(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1), dtype=np.uint8)
    for labels in (None, np.arange(7, dtype=np.int32)):
        path = tmp_path / "samples.npz"
        sample_files.write_npz(path, sampling.Samples(images, labels))
        again = sample_files.read_npz(path)
        np.testing.assert_array_equal(again.images, images)
        if labels is None:
            assert again.labels is None
        else:
            np.testing.assert_array_equal(again.labels, labels)
        assert [p.name for p in tmp_path.iterdir()] == ["samples.npz"]


@pytest.mark.parametrize(
    "pixels",
    [
        np.array([[0, 300, 65535]], np.uint16),  # gray, of 16 bits
        np.array([[[9, 9, 9, 0], [9, 99, 200, 255], [9, 9, 9, 128]]], np.uint8),
    ],
)
def test_pictures_are_read_as_a_data_set_reads_them(tmp_path, pixels):
    square = np.repeat(pixels, 3, axis=0)
    Image.fromarray(square).save(tmp_path / "a.png")
    [found] = sample_files.read_folder(tmp_path).images
    expected = read_picture(tmp_path / "a.png", Pictures(size=3))
    np.testing.assert_array_equal(np.broadcast_to(found, (3, 3, 3)), expected)


def test_hidden_pictures_are_left_out(tmp_path):
    for name in ("a.png", ".b.png", ".thumbs/c.png", "more/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), 7).save(tmp_path / name)
    assert len(sample_files.read_folder(tmp_path).images) == 2


GOOD = np.zeros((3, 28, 28, 1), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"samples": GOOD}, "no array called images or arr_0 (but samples)"),
        ({}, "no array called images or arr_0 (but nothing)"),
        ({"images": GOOD[..., 0]}, "are uint8 [3, 28, 28]: they must"),
        ({"images": np.zeros((3, 32, 32, 2), np.uint8)}, "uint8 [3, 32, 32, 2]"),
        ({"images": GOOD / 255}, "are float64 [3, 28, 28, 1]"),
        ({"images": GOOD, "labels": np.arange(2)}, "are int64 [2]: they must be"),
        ({"images": GOOD, "labels": np.zeros(3)}, "labels of"),
        ({"images": GOOD, "labels": np.arange(-1, 2)}, "go from -1 to 1"),
        ({"images": np.array([{}], object)}, "cannot be read as an .npz file"),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path, arrays, words):
    path = tmp_path / "samples.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        sample_files.read_npz(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def read_or_refusal(path):
    try:
        return sample_files.read_npz(path)
    except UserError as error:
        return str(error)


def test_a_file_with_one_byte_turned_over_is_refused_or_read_as_it_was(tmp_path):
    path = tmp_path / "samples.npz"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, GOOD.shape, dtype=np.uint8)
    sample_files.write_npz(path, sampling.Samples(images))
    whole = path.read_bytes()
    refused = 0
    for place in rng.integers(0, len(whole), 300):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        got = read_or_refusal(path)
        if isinstance(got, str):
            assert "\n" not in got
            refused += 1
        else:  # a date, say, which nobody reads
            np.testing.assert_array_equal(got.images, images)
    assert refused > 250


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "samples.npy"
    with pytest.raises(UserError, match="No such file"):
        sample_files.read_npz(path)
    np.save(path, GOOD)
    with pytest.raises(UserError, match=r"cannot be read as an \.npz file"):
        sample_files.read_npz(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "samples.npz"
    sample_files.write_npz(path, sampling.Samples(GOOD))
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot be read as an \.npz file"):
            sample_files.read_npz(path)


# Names and folders of others


def test_an_archive_has_the_names_that_others_read_and_theirs_are_read(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    labels = np.arange(4, dtype=np.int32)
    sample_files.write_npz(tmp_path / "a.npz", sampling.Samples(images, labels))
    with np.load(tmp_path / "a.npz") as arrays:
        assert sorted(arrays) == ["arr_0", "arr_1", "images", "labels"]
        np.testing.assert_array_equal(arrays["arr_0"], images)
        np.testing.assert_array_equal(arrays["arr_1"], labels)
    np.savez(tmp_path / "theirs.npz", images, labels)
    found = sample_files.read(tmp_path / "theirs.npz")
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_pictures_is_read_as_it_was_written(channels, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 12, channels), np.uint8)
    sample_files.write_folder(tmp_path / "out", sampling.Samples(images))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{i:06d}.png" for i in range(12)]
    np.testing.assert_array_equal(sample_files.read(tmp_path / "out").images, images)
    few = sample_files.read(tmp_path / "out", 5)
    np.testing.assert_array_equal(few.images, images[:5])
    assert few.labels is None


def test_labels_are_in_the_names_of_pictures(tmp_path):
    samples = sampling.Samples(np.zeros((3, 4, 4, 1), np.uint8), np.array([2, 0, 1]))
    sample_files.write_folder(tmp_path / "out", samples)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["000000_2.png", "000001_0.png", "000002_1.png"]


def test_pictures_of_others_are_gray_where_all_are(tmp_path):
    Image.new("L", (8, 8), 90).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8), (70, 70, 70)).save(tmp_path / "aa.png")
    (tmp_path / ".a.png").write_bytes(b"of another system")
    assert sample_files.read(tmp_path).images.shape == (2, 8, 8, 1)
    (tmp_path / "aa.png").unlink()
    (tmp_path / "more").mkdir()
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(tmp_path / "more" / "b.PNG")
    found = sample_files.read(tmp_path).images
    assert found[:, 0, 0].tolist() == [[90, 90, 90], [1, 2, 3]]


def test_a_folder_that_cannot_be_compared_is_refused_in_one_line(tmp_path):
    def fails(words):
        with pytest.raises(UserError, match=words) as caught:
            sample_files.read(tmp_path)
        assert "\n" not in str(caught.value)

    fails("holds no pictures: write PNG files into it")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    Image.new("L", (8, 9)).save(tmp_path / "b.png")
    fails(r"differ in size \(\(8, 8\) and \(9, 8\)\)")
    (tmp_path / "b.png").write_bytes(b"none")
    fails(r"b.png cannot be read")


def test_a_folder_appears_with_all_pictures_or_not_at_all(tmp_path, monkeypatch):
    samples = sampling.Samples(np.zeros((9, 4, 4, 1), np.uint8))
    save = Image.Image.save

    def fail(self, path):
        if "000005" in str(path):
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(UserError, match=r"cannot write .*out \(No space left"):
        sample_files.write_folder(tmp_path / "out", samples)
    assert list(tmp_path.iterdir()) == []
