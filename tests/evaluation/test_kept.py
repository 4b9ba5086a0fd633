"""What is kept of a reference data set, and when it is made again."""

import dataclasses
import math
import os

import chex
import numpy as np
import pytest

from gan_jax import data
from gan_jax.evaluation import features, frechet, kept


@pytest.fixture
def split():
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    return data.Dataset("some", images, None, (), "here")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def measured_in(split, calls, tmp_path, monkeypatch):
    """Features that count how often they are taken, and a cache of their own."""
    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path / "cache"))
    usual = features.of_untrained_network(split)

    def extract(images):
        calls.append(len(images))
        return usual.extract(images)

    return dataclasses.replace(usual, extract=extract)


def files(tmp_path):
    return sorted((tmp_path / "cache" / "references").iterdir())


def test_features_are_taken_once_and_are_the_same(measured_in, split, calls, tmp_path):
    first, again = (kept.features_of(measured_in, split) for _ in range(2))
    assert calls == [30]
    assert first.dtype == again.dtype == np.float64
    np.testing.assert_array_equal(first, again)
    assert [path.suffix for path in files(tmp_path)] == [".npz"]


def test_moments_are_computed_once_and_are_the_same(measured_in, split, calls):
    first, again = (kept.moments_of(measured_in, split) for _ in range(2))
    assert calls == [30]
    expected = frechet.moments(measured_in.extract(split.images)[0])
    chex.assert_trees_all_equal(first, again, expected)
    assert again.mean.dtype == again.covariance.dtype == np.float64
    assert (again.count, type(again.count)) == (30, int)


@pytest.mark.parametrize("get", [kept.features_of, kept.moments_of])
@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_is_made_again(
    measured_in, split, calls, tmp_path, get, content
):
    first = get(measured_in, split)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] if content is None else content)
    chex.assert_trees_all_equal(get(measured_in, split), first)
    assert calls == [30, 30]
    assert path.read_bytes() == whole


def test_other_images_other_weights_or_another_source_are_other_features(
    measured_in, split, calls, monkeypatch
):
    kept.features_of(measured_in, split)
    kept.features_of(measured_in, dataclasses.replace(split, images=255 - split.images))
    about = {"seed": 1, "sha256": "0"}
    kept.features_of(dataclasses.replace(measured_in, about=about), split)
    monkeypatch.setattr(kept, "_sources", lambda package: "of another version")
    kept.features_of(measured_in, split)
    assert calls == [30] * 4


def test_the_source_of_a_package_is_all_of_its_files(tmp_path):
    def source(text, name="room/file.py"):
        kept._sources.cache_clear()
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return kept._sources(tmp_path)

    first, other = source("a = 1"), source("a = 2")
    assert first != other
    assert source("a = 1") == first
    assert source("b = 1", "another.py") != first


def test_one_image_in_memory_that_differs_is_told(split):
    other = split.images.copy()
    other[17, 0, 0, 0] ^= 1
    assert kept._sum(split) != kept._sum(dataclasses.replace(split, images=other))


def test_scores_are_made_once_for_each_number_of_samples(measured_in, split):
    made = []

    def scores(what):
        def make():
            made.append(what)
            return {"fcd": 1 / 3, "fcd_interval": [0.1, 0.5]}

        return kept.scores(what, measured_in, [split], make)

    assert scores("floor of 10") == scores("floor of 10") == scores("floor of 20")
    assert made == ["floor of 10", "floor of 20"]


@pytest.mark.parametrize("content", [b'{"fcd": 1.', b"[1.5]", b"\xff\x00", b""])
def test_damaged_scores_are_made_again(measured_in, split, tmp_path, content):
    made = []

    def make():
        made.append(1)
        return {"fcd": 1.5}

    kept.scores("floor", measured_in, [split], make)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(content)
    assert kept.scores("floor", measured_in, [split], make) == {"fcd": 1.5}
    assert path.read_bytes() == whole
    kept.scores("floor", measured_in, [split], make)
    assert len(made) == 2


def test_scores_that_are_no_numbers_are_returned_and_not_kept(
    measured_in, split, tmp_path
):
    for value in (math.nan, 1.5):
        found = kept.scores("floor", measured_in, [split], lambda v=value: {"fcd": v})
        np.testing.assert_equal(found, {"fcd": value})
    assert len(files(tmp_path)) == 1


def test_without_a_folder_to_write_to_it_takes_the_time_again(
    measured_in, split, calls, tmp_path
):
    (tmp_path / "cache").write_text("a file")
    first, again = (kept.features_of(measured_in, split) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert kept.scores("floor", measured_in, [split], dict) == {}
    assert calls == [30, 30]
    assert os.listdir(tmp_path) == ["cache"]
