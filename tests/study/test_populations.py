"""Distributions over GANs: statistics by hand, and what counts as collapsed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.study import populations


def row(fcd, fcd_train=None, *, collapsed=False):
    fcd_train = fcd if fcd_train is None else fcd_train
    return {"fcd": fcd, "fcd_train": fcd_train, "collapsed": collapsed}


LOST = {"fcd": None, "fcd_train": None, "collapsed": True}


def test_the_expected_best_is_the_mean_over_all_choices():
    values = np.random.default_rng(0).gamma(2, size=7)
    found = populations.expected_best(values)
    for k in range(1, 8):
        least = [min(chosen) for chosen in itertools.combinations(values, k)]
        np.testing.assert_allclose(found[k - 1], np.mean(least), rtol=1e-12)


def test_a_summary_has_the_numbers_that_are_taken_by_hand():
    rows = [row(30.0), row(10.0), row(20.0, collapsed=True), row(40.0), row(50.0)]
    found = populations.summarise(rows)
    assert found == {
        "gans": 5,
        "mean": 30.0,
        "std": pytest.approx(np.sqrt(250)),
        "best": 10.0,
        "quantiles": [20.0, 30.0, 40.0],
        "collapsed": 0.2,
    }


def test_the_best_is_chosen_by_training_images_and_judged_by_others():
    rows = [row(12.0, 9.0), row(10.0, 11.0)]
    assert populations.best(rows) is rows[0]
    assert populations.summarise(rows)["best"] == 12.0


def test_a_gan_without_a_distance_is_worse_than_all_others():
    rows = [row(10.0), LOST, row(20.0), LOST, row(30.0)]
    found = populations.summarise(rows)
    assert found["quantiles"] == [20.0, 30.0, None]
    assert found["mean"] == 20.0
    assert found["collapsed"] == 0.4
    assert populations.summarise([LOST])["mean"] is None
    assert populations.summarise([row(10.0)])["std"] is None


@pytest.mark.parametrize(
    ("covered", "variety", "collapsed"),
    [(10, 0.3, False), (5, 0.1, False), (4, 0.3, True), (10, 0.09, True)],
)
def test_few_classes_or_little_variety_are_a_collapse(covered, variety, collapsed):
    assert populations.is_collapsed(covered, variety) is collapsed


def state_of(gan):
    return training.init_state(gan, jax.random.key(0), (28, 28, 1))


def test_a_generator_that_draws_one_thing_has_collapsed(small_networks, reference):
    gan = recipes.make_gan(recipes.recipe("hinge"))
    state = state_of(gan)
    still = jax.tree.map(jnp.zeros_like, state.generator.params)
    state = state.replace(generator=state.generator.replace(params=still))
    measures, images = populations.Judge(reference, 100)(gan, state)
    assert (images == images[0]).all()
    assert measures["variety"] == pytest.approx(0, abs=1e-9)
    assert measures["classes"] == 1
    assert measures["collapsed"]


def test_a_generator_of_nan_has_collapsed_and_has_no_distance(
    small_networks, reference
):
    gan = recipes.make_gan(recipes.recipe("hinge"))
    state = state_of(gan)
    params = jax.tree.map(lambda p: p + jnp.nan, state.generator.params)
    state = state.replace(generator=state.generator.replace(params=params))
    measures, images = populations.Judge(reference, 100)(gan, state)
    assert images is None
    assert measures == {
        "fcd": None,
        "fcd_train": None,
        "classes": None,
        "variety": None,
        "collapsed": True,
    }
