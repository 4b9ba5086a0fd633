"""The losses against float64 NumPy written from their formulas with log and exp."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses import LOSSES
from gan_jax.theory import optimal_discriminator

EXTREMES = (0.0, 1.0, -1.0, 1e4, -1e4)
PLAYERS = ("discriminator", "generator")
EVERY = list(itertools.product(LOSSES, PLAYERS))
# Real and fake logits, [2, 7], with ties, both sides of the hinge, and its margin.
LOGITS = np.array(
    [[0.3, -2.0, 4.0, 1.0, 0.5, -0.25, 6.0], [-1.5, 0.7, 4.0, -3.0, -1.0, 5.0, -6.0]]
)


def log_d(h):
    """log sigmoid(h); where D is below e^-40, log D = h to the last bit."""
    return np.where(h > -40, np.log(1 / (1 + np.exp(-np.maximum(h, -40)))), h)


def log_not_d(h):
    """log(1 - D) = log sigmoid(-h), because 1 - sigmoid(h) = sigmoid(-h)."""
    return log_d(-h)


def relu(t):
    return np.maximum(t, 0)


def cross_entropy(r, f):
    return -log_d(r) - log_not_d(f)


# Per example, (real, fake) -> what each player minimises: the table of the papers.
FORMULAS = {
    "minimax": (cross_entropy, lambda r, f: log_not_d(f)),
    "nonsaturating": (cross_entropy, lambda r, f: -log_d(f)),
    "kl": (cross_entropy, lambda r, f: log_not_d(f) - log_d(f)),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "wasserstein_gp": (lambda r, f: f - r, lambda r, f: -f),
    "hinge": (lambda r, f: relu(1 - r) + relu(1 + f), lambda r, f: -f),
    "least_squares": (
        lambda r, f: (r - 1) ** 2 / 2 + f**2 / 2,
        lambda r, f: (f - 1) ** 2 / 2,
    ),
    "relativistic": (lambda r, f: -log_d(r - f), lambda r, f: -log_d(f - r)),
}
# With every logit 0, so D = 1/2.
AT_ZERO = {
    "minimax": (2 * np.log(2), -np.log(2)),
    "nonsaturating": (2 * np.log(2), np.log(2)),
    "kl": (2 * np.log(2), 0),
    "wasserstein": (0, 0),
    "wasserstein_gp": (0, 0),
    "hinge": (2, 0),
    "least_squares": (1 / 2, 1 / 2),
    "relativistic": (np.log(2), np.log(2)),
}


def loss_of(name, player):
    return getattr(LOSSES[name], player)


def formula_of(name, player):
    return FORMULAS[name][PLAYERS.index(player)]


def mean_gradient(formula, r, f, step=1e-5):
    """Derivatives of the mean formula by both logits, central differences."""
    by_real = formula(r + step, f) - formula(r - step, f)
    by_fake = formula(r, f + step) - formula(r, f - step)
    return by_real / (2 * step * r.size), by_fake / (2 * step * f.size)


def one_sided_gradients(formula, r, f, step):
    """Like `mean_gradient`, from one side: that of ``step``'s sign."""
    here = formula(r, f)
    by_both = np.array([formula(r + step, f) - here, formula(r, f + step) - here])
    return by_both / (step * r.size)


def test_there_are_the_eight_losses_of_the_table():
    assert set(LOSSES) == set(FORMULAS)


@pytest.mark.parametrize(("name", "player"), EVERY)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_value_is_the_mean_of_the_formula_in_the_dtype_of_the_logits(
    name, player, dtype
):
    with jax.enable_x64(True):
        r, f = jnp.asarray(LOGITS, dtype)
        value = loss_of(name, player)(r, f)
        chex.assert_shape(value, ())
        assert value.dtype == dtype
        expected = formula_of(name, player)(np.float64(r), np.float64(f)).mean()
        # A term's few roundings are relative to what it is made of; squares to squares.
        made_of = (1 + np.abs(np.float64(r)) + np.abs(np.float64(f))) ** 2
        bound = 4 * float(jnp.finfo(dtype).eps) * made_of.mean()
        np.testing.assert_allclose(np.float64(value), expected, rtol=0, atol=bound)


@pytest.mark.parametrize(("name", "player"), EVERY)
def test_gradient_is_the_finite_difference_of_the_formula(name, player):
    # Off the kinks of the hinge, at +-1, where a difference means nothing.
    r, f = LOGITS + 0.01
    with jax.enable_x64(True):
        gradients = jax.grad(loss_of(name, player), argnums=(0, 1))(r, f)
    expected = mean_gradient(formula_of(name, player), r, f)
    np.testing.assert_allclose(gradients, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "player"), EVERY)
def test_extreme_logits_have_the_exact_value_and_gradients(name, player, dtype):
    r, f = jnp.asarray(list(itertools.product(EXTREMES, EXTREMES)), dtype).T
    loss, formula = loss_of(name, player), formula_of(name, player)
    # One at a time: in a mean, the large terms would hide the small ones.
    values = jax.vmap(lambda r, f: loss(r[None], f[None]))(r, f)
    tolerance = 8 * float(jnp.finfo(dtype).eps)  # each operation adds half of one
    expected = formula(np.float64(r), np.float64(f))
    np.testing.assert_allclose(np.float64(values), expected, rtol=tolerance, atol=1e-30)
    gradients = jax.grad(loss, argnums=(0, 1))(r, f)
    chex.assert_type(gradients, jnp.dtype(dtype))
    # At the kink of the hinge, anything between both one-sided derivatives is right.
    sides = [
        one_sided_gradients(formula, *np.float64([r, f]), s) for s in (1e-3, -1e-3)
    ]
    slack = tolerance * np.abs(sides[0]) + 2e-3 / r.size
    assert (np.float64(gradients) >= np.minimum(*sides) - slack).all()
    assert (np.float64(gradients) <= np.maximum(*sides) + slack).all()


@pytest.mark.parametrize("name", [n for n in LOSSES if n != "least_squares"])
def test_no_logit_is_pulled_by_more_than_its_share_of_the_batch(name):
    r, f = jnp.asarray(list(itertools.product(EXTREMES, EXTREMES))).T
    for player in PLAYERS:
        gradients = jax.grad(loss_of(name, player), argnums=(0, 1))(r, f)
        for gradient in gradients:
            assert jnp.abs(gradient).max() <= 1 / r.size * (1 + 1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_value_at_zero_logits(name):
    zeros = jnp.zeros(3)
    values = [loss_of(name, player)(zeros, zeros) for player in PLAYERS]
    np.testing.assert_allclose(values, AT_ZERO[name], rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in LOSSES if n != "relativistic"])
def test_generator_of_an_unpaired_loss_does_not_look_at_real_logits(name):
    r, f = jnp.asarray(LOGITS)
    alone = loss_of(name, "generator")(jnp.full_like(r, jnp.nan), f)
    chex.assert_trees_all_equal(alone, loss_of(name, "generator")(r, f))


def test_kl_is_minimax_plus_nonsaturating():
    with jax.enable_x64(True):
        r, f = jnp.asarray(LOGITS)
        parts = [loss_of(n, "generator")(r, f) for n in ("minimax", "nonsaturating")]
        np.testing.assert_allclose(sum(parts), loss_of("kl", "generator")(r, f), 1e-14)


# A tiny generator G(z) = theta z before a fixed critic h(x) = slope x + offset, so
# dh/dtheta = slope z.
SLOPE, Z = 1.7, np.array([-1.2, 0.4, 2.0, -0.3])


def gradient_by_theta(name, theta, offset):
    def loss(theta):
        fake_logits = SLOPE * (theta * jnp.asarray(Z)) + offset
        return loss_of(name, "generator")(jnp.zeros(4), fake_logits)

    return jax.grad(loss)(theta)


@pytest.mark.parametrize("name", optimal_discriminator.GENERATOR_SLOPES)
def test_gradient_through_a_generator_is_the_closed_form(name):
    with jax.enable_x64(True):
        gradient = gradient_by_theta(name, 0.6, 0.2)
        slopes = optimal_discriminator.GENERATOR_SLOPES[name](
            jnp.asarray(SLOPE * 0.6 * Z + 0.2)
        )
        slopes = np.asarray(slopes)
    np.testing.assert_allclose(gradient, np.mean(slopes * SLOPE * Z), rtol=1e-13)


def test_the_slope_of_minimax_is_minus_d():
    # One published solution drops the minus sign.
    h = np.array([-3.0, 0.0, 2.0])
    slope = optimal_discriminator.GENERATOR_SLOPES["minimax"](jnp.asarray(h))
    np.testing.assert_allclose(slope, -1 / (1 + np.exp(-h)), rtol=1e-6)


def test_where_fakes_are_found_out_minimax_vanishes_and_nonsaturating_does_not():
    offset = -40.0  # D(G(z)) = e^-40
    assert abs(gradient_by_theta("minimax", 0.6, offset)) < 1e-15
    for name in ("nonsaturating", "kl"):
        np.testing.assert_allclose(
            gradient_by_theta(name, 0.6, offset), -np.mean(SLOPE * Z), rtol=1e-6
        )


# Two densities on a grid of four points, as counts out of sixteen examples.
P, Q = np.array([8, 4, 3, 1]), np.array([2, 2, 4, 8])


def at_grid(h):
    """Logits of all pairs of a real example from P and a fake from Q, [2, 256]."""
    real, fake = np.repeat(np.arange(4), P), np.repeat(np.arange(4), Q)
    return h[np.repeat(real, 16)], h[np.tile(fake, 16)]


@pytest.mark.parametrize("name", optimal_discriminator.OPTIMAL_LOGITS)
def test_each_discriminator_is_minimised_by_its_optimal_logit(name):
    loss = loss_of(name, "discriminator")
    with jax.enable_x64(True):
        best = optimal_discriminator.OPTIMAL_LOGITS[name](
            jnp.log(P / 16), jnp.log(Q / 16)
        )
        if name != "hinge":  # which has a corner there
            gradient = jax.grad(lambda h: loss(*at_grid(h)))(best)
            np.testing.assert_allclose(gradient, np.zeros(4), atol=1e-15)
        steps = np.random.default_rng(0).normal(size=(20, 4))
        if name == "relativistic":  # a constant changes nothing
            steps -= steps.mean(1, keepdims=True)
        for step in steps:
            assert loss(*at_grid(best + 0.1 * step)) > loss(*at_grid(best)) + 1e-5


def test_minimax_at_the_optimum_is_two_log_2_minus_twice_jensen_shannon():
    p, q = P / 16, Q / 16
    middle = (p + q) / 2
    divergence = (p * np.log(p / middle) + q * np.log(q / middle)).sum() / 2
    value = loss_of("minimax", "discriminator")(*at_grid(jnp.log(P / Q)))
    np.testing.assert_allclose(value, 2 * np.log(2) - 2 * divergence, rtol=1e-6)


def test_kl_loss_at_the_optimum_is_the_kl_divergence_of_model_from_data():
    value = loss_of("kl", "generator")(*at_grid(jnp.log(P / Q)))
    np.testing.assert_allclose(value, (Q / 16 * np.log(Q / P)).sum(), rtol=1e-6)


def test_hinge_is_zero_with_zero_gradient_beyond_the_margin():
    r, f = jnp.array([1.5, 20.0]), jnp.array([-1.5, -20.0])
    loss = loss_of("hinge", "discriminator")
    assert loss(r, f) == 0
    chex.assert_trees_all_equal(jax.grad(loss, (0, 1))(r, f), (0 * r, 0 * f))
    # One logit within the margin costs the distance to it, over the batch.
    assert loss(r.at[0].set(0.5), f) == 0.25
    assert loss(r, f.at[1].set(-0.5)) == 0.25


def test_least_squares_is_zero_at_its_targets_and_nowhere_near():
    ones, zeros = jnp.ones(3), jnp.zeros(3)
    d, g = LOSSES["least_squares"]
    assert d(ones, zeros) == 0
    assert g(zeros, ones) == 0
    assert d(zeros, ones) == 1
    assert g(ones, zeros) == 0.5


def test_relativistic_players_swap_real_and_fake():
    r, f = jnp.asarray(LOGITS)
    d, g = LOSSES["relativistic"]
    chex.assert_trees_all_equal(g(r, f), d(f, r))
    with jax.enable_x64(True):  # softplus(-t) - softplus(t) = -t
        r, f = LOGITS
        np.testing.assert_allclose(d(r, f) - g(r, f), np.mean(f - r), rtol=1e-13)


def test_relativistic_loss_sees_only_differences():
    r, f = jnp.asarray(LOGITS)
    for loss in LOSSES["relativistic"]:
        chex.assert_trees_all_close(loss(r + 3, f + 3), loss(r, f), rtol=1e-5)


@pytest.mark.parametrize(("name", "player"), EVERY)
@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (1,))])
def test_logits_of_another_shape_are_refused(name, player, shapes):
    with pytest.raises(AssertionError):
        loss_of(name, player)(*map(jnp.zeros, shapes))


@pytest.mark.parametrize(("name", "player"), EVERY)
def test_integer_logits_are_refused(name, player):
    with pytest.raises(AssertionError):
        loss_of(name, player)(jnp.zeros(4, jnp.int32), jnp.zeros(4, jnp.int32))


@pytest.mark.parametrize(("name", "player"), EVERY)
def test_vmap_under_jit_is_an_eager_loop(name, player):
    loss = loss_of(name, player)
    r, f = jnp.asarray(LOGITS)
    seeds = jnp.arange(3.0)[:, None]
    together = jax.jit(jax.vmap(loss))(r[None] + seeds, f[None] * seeds)
    alone = [loss(r + seed, f * seed) for seed in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
