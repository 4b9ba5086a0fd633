"""Distributions over GANs: statistics by hand, and what counts as collapsed."""

import fractions
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.evaluation import references
from gan_jax.run import sampling
from gan_jax.study import populations


def row(fcd, fcd_train=None, *, collapsed=False, steps=10):
    fcd_train = fcd if fcd_train is None else fcd_train
    measures = {"fcd": fcd, "fcd_train": fcd_train, "collapsed": collapsed}
    return measures | {"steps": steps, "flags": {"steps": 10}}


LOST = row(None, collapsed=True)


def test_the_expected_best_is_the_mean_over_all_choices():
    values = np.random.default_rng(0).gamma(2, size=7)
    found = populations.expected_best(values, range(1, 8))
    for k in range(1, 8):
        least = [min(chosen) for chosen in itertools.combinations(values, k)]
        np.testing.assert_allclose(found[k - 1], np.mean(least), rtol=1e-12)


def test_the_expected_best_of_many_is_that_of_exact_fractions():
    n = 200
    values = np.sort(np.random.default_rng(1).gamma(2, size=n))
    found = populations.expected_best(values, range(1, n + 1))
    for k in range(1, n + 1):
        exact = sum(
            fractions.Fraction(math.comb(n - 1 - i, k - 1), math.comb(n, k))
            * fractions.Fraction(float(value))
            for i, value in enumerate(values[: n - k + 1])
        )
        assert found[k - 1] == pytest.approx(float(exact), rel=1e-12)


def test_the_expected_best_of_thousands_is_taken_at_some_k():
    n = 10_000  # of equally spaced values the best of k is known: (n + 1) / (k + 1)
    k = populations.some_k(n)
    assert len(k) <= 200
    assert (k[0], k[-1]) == (1, n)
    assert (np.diff(k) > 0).all()
    found = populations.expected_best(np.arange(1.0, n + 1), k)
    np.testing.assert_allclose(found, (n + 1) / (k + 1), rtol=1e-11)
    np.testing.assert_array_equal(populations.some_k(5), [1, 2, 3, 4, 5])


def test_a_summary_has_the_numbers_that_are_taken_by_hand():
    rows = [row(30.0), row(10.0), row(20.0, collapsed=True), row(40.0), row(50.0)]
    found = populations.summarise(rows)
    assert found == {
        "gans": 5,
        "stopped": 0,
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


def test_what_was_stopped_is_counted_and_in_no_distribution():
    early = [row(1.0, steps=9), row(None, collapsed=True, steps=3)]
    done = [row(10.0), row(20.0), row(30.0, collapsed=True)]
    found = populations.summarise([*early, *done])
    expected = populations.summarise(done)
    assert found == expected | {"gans": 5, "stopped": 2}
    assert populations.best([*early, *done]) is done[0]


def test_of_none_that_was_trained_to_its_end_there_is_only_a_best():
    early = [row(2.0, steps=9), row(1.0, steps=9)]
    assert populations.best(early) is early[1]
    assert populations.summarise(early) == {
        "gans": 2,
        "stopped": 2,
        "mean": None,
        "std": None,
        "best": None,
        "quantiles": [None, None, None],
        "collapsed": None,
    }


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


def test_classes_are_drawn_in_the_shares_of_the_training_images(
    small_networks, reference, monkeypatch
):
    gan = recipes.make_gan(recipes.recipe("hinge", conditional=True))
    drawn, draw = [], sampling.draw

    def kept(*args, **how):
        drawn.append(draw(*args, **how))
        return drawn[-1]

    monkeypatch.setattr(sampling, "draw", kept)
    shares = [9, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    monkeypatch.setattr(references.Reference, "shares", lambda self, n: shares)
    populations.Judge(reference, 100)(gan, state_of(gan))
    assert np.bincount(drawn[0].labels).tolist() == [90, 10]


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
