"""Images on the host: the run has the bytes of the one with them on the devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import recipes
from gan_jax.data import npy, stream
from gan_jax.devices import parallel, placement
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, loop
from tests.run import making
from tests.run.test_resume import everything, small_networks

__all__ = ["small_networks"]  # a fixture

STEPS = 9
SCHEDULE = loop.Schedule(log_every=2, sample_every=3, checkpoint_every=4)


@pytest.fixture(scope="module")
def dataset():
    return making.noise(50)


def recipe_of(loss, *, conditional, critic_steps):
    return recipes.recipe(
        loss, conditional=conditional, batch_size=8, critic_steps=critic_steps
    )


def train(workdir, dataset, recipe, images_on, *, devices=1, steps=STEPS):
    config = configuration.Config(recipe, "garments", 3, steps)
    state = making.train(
        config,
        dataset,
        workdir,
        schedule=SCHEDULE,
        devices=jax.devices()[:devices],
        images_on=images_on,
    )
    return everything(workdir, state)


def differing(found, expected):
    assert found.keys() == expected.keys()
    assert any("metrics" in name for name in expected)
    assert any("optimiser" in name for name in expected)
    assert "step_000009.png" in expected
    return [name for name in found if found[name] != expected[name]]


def state_in(run):
    """Without what depends on where it stopped: lines of the log, pictures."""
    found = {name: value for name, value in run.items() if name.startswith(".")}
    assert any("optimiser" in name for name in found)
    return found


CASES = [
    # Six steps an epoch, and two images left over; or three, with two critic steps.
    pytest.param("nonsaturating", True, 1, 1, marks=pytest.mark.slow),
    ("wasserstein_gp", True, 2, 4),
    pytest.param("wasserstein", False, 2, 1, marks=pytest.mark.slow),
    pytest.param("hinge", False, 1, 4, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("loss", "conditional", "critic_steps", "devices"), CASES)
def test_a_run_with_images_on_the_host_has_the_bytes_of_one_with_them_on_the_devices(
    small_networks, tmp_path, dataset, loss, conditional, critic_steps, devices
):
    recipe = recipe_of(loss, conditional=conditional, critic_steps=critic_steps)
    there, here = (
        train(tmp_path / place, dataset, recipe, place, devices=devices)
        for place in loop.IMAGES_ON
    )
    assert differing(here, there) == []


@pytest.mark.slow
def test_a_run_may_go_on_with_its_images_elsewhere_in_the_middle_of_an_epoch(
    small_networks, tmp_path, dataset
):
    """And with images of which the host reads only those that are asked for."""
    recipe = recipe_of("hinge", conditional=True, critic_steps=1)
    np.save(tmp_path / "images.npy", dataset.images)
    rows = npy.Rows(tmp_path / "images.npy")
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    whole = train(tmp_path / "whole", dataset, recipe, "device")
    ways = [
        [("device", dataset.images, 4), ("host", rows, STEPS)],
        [("host", mapped, 2), ("host", rows, 5), ("device", rows, STEPS)],
    ]
    for i, way in enumerate(ways):
        for images_on, images, steps in way:
            some = dataclasses.replace(dataset, images=images)
            run = train(tmp_path / f"{i}", some, recipe, images_on, steps=steps)
        assert state_in(run) == state_in(whole)


def test_other_examples_would_show(small_networks, tmp_path, dataset, monkeypatch):
    """The comparison has teeth: one image in another place changes the bytes."""
    recipe = recipe_of("hinge", conditional=False, critic_steps=1)
    there = train(tmp_path / "there", dataset, recipe, "device")
    take = stream.Blocks.take

    def swap(self, count):
        images, labels = take(self, count)
        images[0, 0] = images[0, 1]
        return images, labels

    monkeypatch.setattr(stream.Blocks, "take", swap)
    here = train(tmp_path / "here", dataset, recipe, "host")
    assert any("params" in name for name in differing(here, there))


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 4])
def test_with_the_reference_networks_the_bytes_are_the_same_as_well(
    tmp_path, dataset, devices
):
    recipe = recipe_of("wasserstein_gp", conditional=True, critic_steps=2)
    there, here = (
        train(tmp_path / place, dataset, recipe, place, devices=devices)
        for place in loop.IMAGES_ON
    )
    assert differing(here, there) == []


def test_a_run_that_is_over_is_left_as_it_is(small_networks, tmp_path, dataset):
    recipe = recipe_of("hinge", conditional=False, critic_steps=1)
    once, again = (train(tmp_path, dataset, recipe, "host") for _ in range(2))
    assert again == once


def test_each_device_is_sent_its_own_part_of_a_block_and_no_more():
    devices = jax.devices()[:4]
    block = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
    placed = placement.scatter({"images": block}, devices)["images"]
    assert placed.shape == (4, 6, 5)
    shards = {
        shard.device: np.asarray(shard.data) for shard in placed.addressable_shards
    }
    assert len(shards) == 4
    for device, part in zip(devices, block, strict=True):
        np.testing.assert_array_equal(shards[device], part[None])


def test_no_array_on_a_device_is_as_large_as_the_images(
    small_networks, tmp_path, dataset, monkeypatch
):
    many = dataclasses.replace(
        dataset,
        images=np.tile(dataset.images, (40, 1, 1, 1)),
        labels=np.tile(dataset.labels, 40),
    )
    largest = {}
    compiled = parallel.compile_block_steps
    others = jax.live_arrays()  # of tests before this one
    known = {id(array) for array in others}

    def watch(*arguments, **sizes):
        advance = compiled(*arguments, **sizes)

        def watched(*arguments):
            mine = [a for a in jax.live_arrays() if id(a) not in known]
            largest["host"] = max(a.nbytes for a in mine if a.dtype == jnp.uint8)
            return advance(*arguments)

        return watched

    monkeypatch.setattr(parallel, "compile_block_steps", watch)
    recipe = recipe_of("hinge", conditional=False, critic_steps=1)
    train(tmp_path / "host", many, recipe, "host", steps=3)
    assert largest["host"] == 2 * 8 * 784  # two steps of eight
    assert many.images.nbytes > 50 * largest["host"]


def test_where_reading_fails_the_run_ends_in_one_line_with_its_last_checkpoint(
    small_networks, tmp_path, dataset
):
    images = np.tile(dataset.images, (4, 1, 1, 1))  # the first 100 make a picture
    path = tmp_path / "images.npy"
    np.save(path, images)
    labels = np.arange(200, dtype=np.int32) % 10
    many = dataclasses.replace(dataset, images=images, labels=labels)
    some = dataclasses.replace(many, images=npy.Rows(path))
    recipe = recipe_of("hinge", conditional=False, critic_steps=1)
    whole = train(tmp_path / "whole", many, recipe, "host")
    train(tmp_path / "run", some, recipe, "host", steps=4)
    with open(path, "r+b") as file:
        file.truncate(784 * 150)
    last = "the last good checkpoint is of step 4"
    with pytest.raises(UserError, match=rf"images.npy ends before row 1\d\d.*; {last}"):
        train(tmp_path / "run", some, recipe, "host")
    assert checkpoints.newest(tmp_path / "run") == 4
    np.save(path, images)
    some = dataclasses.replace(many, images=npy.Rows(path))
    run = train(tmp_path / "run", some, recipe, "host")
    assert state_in(run) == state_in(whole)
