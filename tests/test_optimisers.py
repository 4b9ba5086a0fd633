"""Optimisers and schedules by name are those of optax, with the numbers asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import optimisers, recipes
from gan_jax.errors import UserError

PARAMS = {"kernel": jnp.full((2, 3), 0.5), "bias": jnp.ones(3)}
REFUSED = {"lbfgs": "gradients alone", "noisy_sgd": "state that cannot be saved"}
WITH_BETAS = ("adam", "adamw", "lion", "nadam", "radam", "adabelief", "lamb")
NUMBERS = {"beta1": 0.25, "beta2": 0.75}


def steps(optimiser, count=3):
    """Updates for gradients that change their sign."""
    state, found = optimiser.init(PARAMS), []
    for i in range(count):
        gradients = jax.tree.map(lambda p, i=i: p * (-1) ** i, PARAMS)
        updates, state = optimiser.update(gradients, state, PARAMS)
        found.append(updates)
    return found


def assert_same(found, expected):
    for one, other in zip(steps(found), steps(expected), strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), one, other
        )


@pytest.mark.parametrize("name", ["sgd", "adagrad", "fromage", "sm3", "sign_sgd"])
def test_an_alias_is_the_function_of_optax(name):
    found = optimisers.make(name, 0.1, **NUMBERS)
    assert_same(found, getattr(optax, name)(0.1))


@pytest.mark.parametrize("name", [n for n in WITH_BETAS if n in optimisers.aliases()])
def test_those_with_betas_are_given_them(name):
    assert optimisers.takes(name) >= {"b1", "b2"}
    found = optimisers.make(name, 0.1, **NUMBERS)
    assert_same(found, getattr(optax, name)(0.1, b1=0.25, b2=0.75))


def test_rmsprop_has_the_numbers_that_wgan_was_published_with():
    expected = optax.rmsprop(0.1, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    assert_same(optimisers.make("rmsprop", 0.1, **NUMBERS), expected)
    assert not optimisers.takes("rmsprop") & {"b1", "b2"}


def test_every_alias_makes_an_optimiser_or_says_why_not():
    assert {"adam", "adamw", "rmsprop", "sgd", "lion", *REFUSED} <= {
        *optimisers.aliases()
    }
    for name in optimisers.aliases():
        if name in REFUSED:
            with pytest.raises(UserError, match=REFUSED[name]):
                optimisers.make(name, 0.1, **NUMBERS)
        else:
            state = jax.eval_shape(optimisers.make(name, 0.1, **NUMBERS).init, PARAMS)
            assert all(
                np.dtype(leaf.dtype).kind in "fiub" for leaf in jax.tree.leaves(state)
            )


@pytest.mark.parametrize("name", ["scale_by_adam", "Adam", "chain", "adm"])
def test_what_is_no_alias_is_refused(name):
    with pytest.raises(UserError, match=f"unknown optimiser '{name}'"):
        recipes.recipe("hinge", optimiser=name)


def test_betas_are_refused_where_there_are_none():
    with pytest.raises(UserError, match="trains with sgd"):
        recipes.recipe("hinge", optimiser="sgd", beta1=0.5)
    assert recipes.recipe("hinge", optimiser="lion", beta1=0.5).beta1 == 0.5


# Schedules


def rates(schedule, updates, peak=0.5):
    """The learning rate at each update: plain SGD on a gradient of -1."""
    optimiser = optimisers.make(
        "sgd", peak, **NUMBERS, schedule=schedule, updates=updates
    )
    state, found = optimiser.init(jnp.zeros(())), []
    for _ in range(updates + 1):
        update, state = optimiser.update(jnp.array(-1.0), state)
        found.append(float(update))
    return np.array(found)


def test_schedules_are_their_formulas():
    place = np.arange(41) / 40
    np.testing.assert_allclose(rates("constant", 40), 0.5)
    np.testing.assert_allclose(rates("linear", 40), 0.5 * (1 - place), atol=1e-6)
    cosine = 0.25 * (1 + np.cos(np.pi * place))
    np.testing.assert_allclose(rates("cosine", 40), cosine, atol=1e-6)
    warm = rates("warmup_cosine", 40)
    np.testing.assert_allclose(warm[:3], [0.25, 0.375, 0.5], atol=1e-6)
    after = 0.25 * (1 + np.cos(np.pi * np.arange(39) / 38))
    np.testing.assert_allclose(warm[2:], after, atol=1e-6)


@pytest.mark.parametrize("schedule", optimisers.SCHEDULES)
@pytest.mark.parametrize("updates", [1, 2])
def test_a_schedule_of_hardly_any_updates_is_finite(schedule, updates):
    assert np.isfinite(rates(schedule, updates)).all()


@pytest.mark.parametrize("schedule", optimisers.SCHEDULES)
@pytest.mark.parametrize("updates", [1, 2, 40])
def test_every_update_has_a_learning_rate_and_what_is_after_the_last_has_none(
    schedule, updates
):
    *during, after = rates(schedule, updates)
    assert min(during) > 0
    assert after == pytest.approx(0.5 if schedule == "constant" else 0, abs=1e-7)


def test_each_player_is_scheduled_over_its_own_updates():
    recipe = recipes.recipe(
        "hinge", optimiser="sgd", schedule="linear", critic_steps=5, generator_lr=1.0
    )
    gan = recipes.make_gan(recipe, steps=4)

    def rate(optimiser, taken):
        state = optimiser.init(jnp.zeros(()))
        for _ in range(taken + 1):
            update, state = optimiser.update(jnp.array(-1.0), state)
        return float(update)

    assert rate(gan.generator_optimiser, 2) == pytest.approx(0.5)
    half = rate(gan.discriminator_optimiser, 10)
    assert half == pytest.approx(recipe.discriminator_lr / 2)


def test_a_schedule_needs_to_know_its_length():
    with pytest.raises(ValueError, match="how many updates"):
        recipes.make_gan(recipes.recipe("hinge", schedule="cosine"))


def test_an_optimiser_without_schedules_says_so():
    recipe = recipes.recipe("hinge", optimiser="sm3", schedule="cosine")
    with pytest.raises(UserError, match="sm3 takes no --schedule=cosine: leave it out"):
        recipes.make_gan(recipe, steps=4)


def test_a_learning_rate_may_be_a_tracer_with_a_schedule():
    def rate(peak):
        recipe = recipes.recipe("hinge", optimiser="sgd", schedule="warmup_cosine")
        gan = recipes.make_gan(dataclasses.replace(recipe, generator_lr=peak), steps=40)
        state = gan.generator_optimiser.init(jnp.zeros(()))
        for _ in range(2):
            update, state = gan.generator_optimiser.update(jnp.array(-1.0), state)
        return update

    found = jax.vmap(rate)(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(found, [0.75, 2.25], rtol=1e-6)
