"""Modes covered: by hand, by closed form, and of generators that collapsed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import mixtures
from gan_jax.errors import UserError
from gan_jax.evaluation.modes import measure_each, modes

RING = mixtures.ring()


def test_of_perfect_samples_all_modes_and_989_in_a_thousand():
    samples = RING.sample(jax.random.key(0), 40_000)
    found = modes(samples, RING)
    assert found.covered == 8
    np.testing.assert_allclose(found.high_quality, 1 - np.exp(-4.5), atol=0.002)
    np.testing.assert_allclose(found.counts / 40_000, 0.989 / 8, rtol=0.1)


def test_in_one_dimension_three_deviations_hold_997_in_a_thousand():
    line = mixtures.on_a_line([-1, 1], 0.1)
    found = modes(line.sample(jax.random.key(0), 40_000), line)
    assert found.covered == 2
    np.testing.assert_allclose(found.high_quality, 0.9973, atol=0.001)


def test_a_collapsed_generator_covers_what_it_draws():
    one = jnp.tile(RING.means[3], (100, 1))
    found = modes(one, RING)
    assert found.covered == 1
    assert found.high_quality == 1
    assert found.counts.tolist() == [0, 0, 0, 100, 0, 0, 0, 0]


def test_the_border_is_three_deviations_of_the_nearest_mode():
    mixture = mixtures.Mixture(
        jnp.array([0.5, 0.5]), jnp.array([[0.0, 0.0], [10.0, 0.0]]), jnp.array([1, 0.1])
    )
    samples = jnp.array([[2.9, 0.0], [3.1, 0.0], [10.29, 0.0], [10.31, 0.0]])
    found = modes(samples, mixture)
    assert found.counts.tolist() == [1, 1]
    assert found.high_quality == 0.5
    assert modes(samples, mixture, deviations=3.2).counts.tolist() == [2, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_generator_that_ran_away_covers_nothing(bad):
    found = modes(jnp.full((5, 2), bad), RING)
    assert found.covered == 0
    assert found.high_quality == 0


def test_many_generators_at_once_are_each_of_them_alone():
    keys = jax.random.split(jax.random.key(0), 3)
    samples = jnp.stack([RING.sample(key, 5) for key in keys])
    together = jax.vmap(lambda s: modes(s, RING))(samples)
    for i, alone in enumerate(modes(s, RING) for s in samples):
        assert together.covered[i] == alone.covered
        assert together.counts[i].tolist() == alone.counts.tolist()


def test_each_generator_is_measured_as_if_it_were_alone():
    keys = jax.random.split(jax.random.key(1), 3)
    real = np.asarray(RING.sample(keys[0], 60))
    perfect = np.asarray(RING.sample(keys[1], 70))
    moved = np.concatenate([real + np.array([[0.5, 0.0]]), perfect[:10]])
    ran_away = np.where(np.arange(140).reshape(70, 2) == 99, np.nan, perfect)
    found = measure_each([perfect, moved, ran_away], RING, real, paired=50)
    for i, samples in enumerate((perfect, moved, ran_away)):
        alone = modes(jnp.asarray(samples), RING)
        assert found["modes"][i] == alone.covered
        assert found["high_quality"][i] == alone.high_quality
    # No pairing is cheaper than to move the mean; and here there is one as cheap.
    np.testing.assert_allclose(found["wasserstein"][1], 0.5, rtol=1e-5)
    pairs = real[:50, None] - perfect[None, :50]
    least = np.linalg.norm(pairs, axis=-1).min(0).mean()
    identity = np.linalg.norm(real[:50] - perfect[:50], axis=-1).mean()
    assert least <= found["wasserstein"][0] <= identity
    assert found["wasserstein"][2] == np.inf


def test_too_few_samples_to_pair_are_refused():
    samples = np.zeros((1, 40, 2), np.float32)
    with pytest.raises(UserError, match="cannot pair"):
        measure_each(samples, RING, np.zeros((60, 2)), paired=50)
