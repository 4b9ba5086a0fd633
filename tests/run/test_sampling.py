"""Samples: drawn from a state, written to a file and read again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.errors import UserError
from gan_jax.run import labels, sampling

pytestmark = pytest.mark.usefixtures("small_networks_of_module")


@pytest.fixture(scope="module")
def conditional():
    gan = recipes.make_gan(recipes.recipe("hinge", conditional=True))
    return gan, training.init_state(gan, jax.random.key(0), (28, 28, 1))


@pytest.fixture(scope="module")
def unconditional():
    gan = recipes.make_gan(recipes.recipe("hinge"))
    return gan, training.init_state(gan, jax.random.key(0), (28, 28, 1))


def test_a_conditional_gan_takes_its_classes_in_turns_or_the_one_that_is_asked_for(
    conditional,
):
    turns = sampling.draw(*conditional, 25)
    np.testing.assert_array_equal(turns.labels, np.arange(25) % 10)
    assert turns.labels.dtype == np.int32
    fours = sampling.draw(*conditional, 25, label=4)
    assert set(fours.labels) == {4}
    same = turns.labels == 4  # the latents are the same, so only the class differs
    np.testing.assert_array_equal(fours.images[same], turns.images[same])
    assert (fours.images[~same] != turns.images[~same]).any(axis=(1, 2, 3)).all()


def test_the_first_samples_do_not_depend_on_how_many_there_are(conditional):
    few, many = (sampling.draw(*conditional, n, seed=3) for n in (3, 501))
    np.testing.assert_array_equal(few.images, many.images[:3])
    np.testing.assert_array_equal(few.labels, many.labels[:3])
    assert many.images.shape == (501, 28, 28, 1)
    assert len({image.tobytes() for image in many.images}) == 501


def test_classes_have_the_shares_that_are_asked_for(conditional):
    shares = [6, 2, 0, 1, 1, 0, 0, 0, 0, 10]
    found = sampling.draw(*conditional, 40, shares=shares)
    np.testing.assert_array_equal(np.bincount(found.labels), np.array(shares) * 2)
    few = sampling.draw(*conditional, 7, shares=shares)
    np.testing.assert_array_equal(few.labels, found.labels[:7])
    turns = sampling.draw(*conditional, 25, shares=[6000] * 10)
    np.testing.assert_array_equal(turns.labels, np.arange(25) % 10)


@pytest.mark.parametrize("count", [10, 999])
def test_any_first_part_of_the_labels_has_the_shares(count):
    shares = np.array([85, 386, 100, 1, 0])
    for n in range(1, count):
        found = np.bincount(labels.in_shares(count, shares)[:n], minlength=5)
        assert abs(found - n * shares / shares.sum()).max() < 1.5
        if n > 30:
            break


@pytest.mark.parametrize(
    "wrong", [[99, -1, 2], [-1, 0, 0], [0, 0, 10], [0.9, 1.7, 2.2], [1], [[1, 2, 3]]]
)
def test_labels_that_do_not_exist_are_refused(conditional, wrong):
    sampler = sampling.sampler(*conditional)
    z = np.zeros((3, sampler.latent_size), np.float32)
    assert len(sampler(z, [0, 9, 3])) == 3
    with pytest.raises(UserError, match="3 integers from 0 to 9"):
        sampler(z, wrong)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_class_that_does_not_exist_is_refused(conditional, label):
    with pytest.raises(UserError, match=f"--label={label} must be in 0 ... 9"):
        sampling.draw(*conditional, 1, label=label)


def test_an_unconditional_gan_has_no_classes(unconditional):
    assert sampling.draw(*unconditional, 2).labels is None
    with pytest.raises(UserError, match="unconditional GAN for a class"):
        sampling.draw(*unconditional, 1, label=0)


def test_an_interpolation_begins_and_ends_at_its_latents(conditional):
    gan, state = conditional
    images = sampling.interpolate(gan, state, 12, steps=5, seed=2)
    assert images.shape == (12, 5, 28, 28, 1)
    assert images.dtype == np.uint8
    ends = jax.random.normal(jax.random.key(2), (2, 12, gan.latent_size))
    for z, column in ((ends[0], 0), (ends[1], -1)):
        drawn = training.generate(gan, state, z, jnp.arange(12) % 10)
        expected = np.asarray(training.to_uint8(drawn), int)
        assert np.abs(images[:, column].astype(int) - expected).max() <= 1


def test_a_great_circle_turns_at_a_constant_rate_and_keeps_the_length():
    """From 0 to 90 degrees in three equal turns, by hand."""
    a, b = jnp.asarray([2.0, 0.0]), jnp.asarray([0.0, 4.0])
    path = sampling.slerp(a, b, jnp.linspace(0, 1, 4))
    angles = np.degrees(np.arctan2(path[:, 1], path[:, 0]))
    np.testing.assert_allclose(angles, [0, 30, 60, 90], atol=1e-4)
    lengths = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(lengths, [2, 8 / 3, 10 / 3, 4], rtol=1e-5)


def test_a_great_circle_between_equal_points_stays_there():
    a = jnp.asarray([1.0, 2.0, -3.0])
    path = sampling.slerp(a, a, jnp.linspace(0, 1, 3))
    np.testing.assert_allclose(path, np.tile(a, (3, 1)), rtol=1e-6)
