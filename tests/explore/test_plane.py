"""GANs in the plane: what is trained, and what is seen of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import training
from gan_jax.errors import UserError
from gan_jax.explore import plane, plane_picture
from gan_jax.losses import LOSSES
from gan_jax.theory import fitting

SETTING = plane.Setting(learning_rate=1e-3)


@pytest.fixture(scope="module")
def started():
    return plane.start(SETTING)


def assert_equal_states(a, b):
    leaves = [jax.tree.leaves((s.generator, s.discriminator)) for s in (a, b)]
    for x, y in zip(*leaves, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_steps_at_once_are_steps_one_by_one_and_those_of_the_library(started):
    at_once, metrics = plane.advance(SETTING, started, 3)
    state = started
    for _ in range(3):
        state, last = plane.advance(SETTING, state, 1)
    assert int(at_once.step) == int(state.step) == 3
    assert_equal_states(at_once, state)
    assert metrics == pytest.approx(last, rel=1e-3)
    gan = plane._make(SETTING._program, SETTING._numbers)
    data = plane.mixtures.repeat(plane.mixture("ring"), 1000)
    by_hand, _ = fitting.train(
        gan, started, data.sample, num_steps=3, batch_size=plane.BATCH
    )
    assert_equal_states(at_once, by_hand)


def test_numbers_and_data_change_without_another_program(started):
    plane.advance(SETTING, started, 1)
    programs = plane._advance._cache_size()
    for change in (
        {"learning_rate": 3e-3},
        {"penalty_weight": 2.0},
        {"data": "swiss_roll"},
        {"data": "grid"},
    ):
        other = dataclasses.replace(SETTING, **change)
        state, _ = plane.advance(other, started, 1)
        same, _ = plane.advance(SETTING, started, 1)
        kernels = [jax.tree.leaves(s.discriminator.params)[1] for s in (state, same)]
        assert np.abs(kernels[0] - kernels[1]).max() > 1e-7, change
    assert plane._advance._cache_size() == programs


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.slow
def test_every_loss_takes_steps_with_its_usual_penalty(loss):
    setting = plane.Setting(loss=loss, **plane.usual(loss))
    state, metrics = plane.advance(setting, plane.start(setting), 5)
    assert int(state.step) == 5
    assert ("penalty" in metrics) == (setting.penalty != "none")


@pytest.mark.slow
def test_the_usual_gan_finds_the_ring():
    setting = plane.Setting()
    state, _ = plane.advance(setting, plane.start(setting), 3000)
    look = plane.look(setting, state)
    assert look.covered == 8
    assert look.good > 0.4


BAD = (
    {"data": "circle"},
    {"loss": "gan"},
    {"penalty": "r3"},
    {"penalty_weight": -1.0},
    {"learning_rate": 0.0},
    {"learning_rate": float("nan")},
    {"critic_steps": 11},
    {"seed": -1},
)


@pytest.mark.parametrize("change", BAD)
def test_what_cannot_be_trained_is_refused(change):
    with pytest.raises(UserError):
        plane.start(dataclasses.replace(SETTING, **change))


def test_a_gan_that_diverges_is_said_to(started):
    wild = dataclasses.replace(SETTING, learning_rate=1e30)
    with pytest.raises(UserError, match="no longer finite: reset"):
        plane.advance(wild, started, 5)


def test_the_surface_is_the_discriminator_on_the_square(started):
    look = plane.look(SETTING, started)
    gan = plane._make(SETTING._program, SETTING._numbers)
    line = np.linspace(-plane.EXTENT, plane.EXTENT, plane.SIDE)
    for row, column in ((0, 0), (0, 63), (40, 7)):
        point = jnp.array([[line[column], line[row]]], jnp.float32)
        logit = training.score(gan, started, point)[0]
        assert look.surface[row, column] == pytest.approx(float(logit), abs=1e-4)


def test_the_pull_goes_down_the_loss_of_the_generator(started):
    look = plane.look(SETTING, started)
    gan = plane._make(SETTING._program, SETTING._numbers)

    def loss(points):  # softplus(-logit) of each point by itself
        return np.logaddexp(0, -np.asarray(training.score(gan, started, points)))

    step = 5e-3
    sizes = np.linalg.norm(look.pull, axis=1)
    ahead = look.samples + step * look.pull / sizes[:, None]
    behind = look.samples - step * look.pull / sizes[:, None]
    slopes = (loss(jnp.asarray(ahead)) - loss(jnp.asarray(behind))) / (2 * step)
    # The networks have kinks, and some of the differences go over one.
    assert np.isclose(slopes, -sizes, rtol=0.01, atol=1e-4).mean() > 0.6
    assert (slopes < 0).mean() > 0.97
    assert np.median(sizes) > 0.05


def test_what_is_seen_of_the_data_is_the_data(started):
    for name, number in plane.MODES.items():
        setting = dataclasses.replace(SETTING, data=name)
        look = plane.look(setting, started)
        assert look.real.shape == look.samples.shape == look.pull.shape == (400, 2)
        assert np.abs(look.real).max() < plane.EXTENT
        assert 0 <= look.covered <= number
        means = np.asarray(plane.mixture(name).means)
        near = np.linalg.norm(look.real[:, None] - means[None], axis=-1).min(axis=1)
        assert near.max() < 0.4


def test_the_picture_has_the_points_where_they_are():
    empty = np.full((400, 2), 9.0)  # outside of the square
    points = empty.copy()
    points[0] = (1.5, 2.0)
    surface = np.tile(np.linspace(-1, 1, plane.SIDE), (plane.SIDE, 1))
    still = np.zeros((400, 2))
    look = plane.Look(empty, points, still, surface, 0, 0.0)
    picture = plane_picture.draw(look)
    assert picture.shape == (560, 560, 3)
    row, column = round(560 * (1 - 5 / 6)), round(560 * 4.5 / 6)
    assert picture[row, column].tolist() == [*plane_picture.SAMPLES]
    orange = (picture == plane_picture.SAMPLES).all(axis=-1)
    assert orange.sum() < 60  # and nowhere else
    left, right = picture[300, 0].astype(int), picture[300, -1].astype(int)
    assert left[0] > left[2]  # red, where the score is low
    assert right[2] > right[0]


def test_a_surface_that_is_flat_or_not_finite_has_colours():
    for value in (0.0, np.nan, np.inf):
        picture = plane_picture.colours(np.full((2, 2), value))
        assert picture.shape == (2, 2, 3)
