"""The products and directions of games against matrices in NumPy and loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import networks
from gan_jax.losses import LOSSES
from gan_jax.theory.dynamics import games

# Of the quadratic game below.
P, Q, R, S, B, C = np.random.default_rng(0).normal(size=(6, 3, 3))
P, Q, R, S = P + P.T, Q + Q.T, R + R.T, S + S.T
# d first_loss / d x = P x + B y + x^3, d second_loss / d y = Q y + C^T x.


def quadratic_game():
    """A game on pytrees whose field is matrices times vectors, and a cube."""

    def vector(tree):
        return jnp.concatenate([tree["a"], tree["b"][0]])

    def first_loss(first, second):
        x, y = vector(first), vector(second)
        return x @ (P @ x) / 2 + x @ (B @ y) + y @ (R @ y) + jnp.sum(x**4) / 4

    def second_loss(first, second):
        x, y = vector(first), vector(second)
        return y @ (Q @ y) / 2 + x @ (C @ y) + x @ (S @ x)

    return games.gradient_field(first_loss, second_loss)


def tree(x):
    """``[6]`` as two players, each with leaves ``[2]`` and ``[1, 1]``."""
    player = lambda v: {"a": jnp.asarray(v[:2]), "b": jnp.asarray(v[2:])[None]}  # noqa: E731
    return player(x[:3]), player(x[3:])


def flat(players):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(players)])


def dense(x):
    """The field and its Jacobian, by hand."""
    cube = np.concatenate([x[:3] ** 3, np.zeros(3)])
    slope = np.diag(np.concatenate([3 * x[:3] ** 2, np.zeros(3)]))
    jacobian = np.block([[P, B], [C.T, Q]])
    return jacobian @ x + cube, jacobian + slope


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def point():
    return np.random.default_rng(1).normal(size=6)


@pytest.mark.usefixtures("x64")
def test_the_field_and_its_product_are_those_of_the_dense_jacobian(point):
    field, u = quadratic_game(), np.random.default_rng(2).normal(size=6)
    value, jacobian = dense(point)
    close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
    close(flat(field(tree(point))), value)
    close(flat(games.product(field, tree(point), tree(u))), jacobian @ u)


@pytest.mark.usefixtures("x64")
def test_directions_are_their_definitions_with_dense_matrices(point):
    field = quadratic_game()
    value, jacobian = dense(point)
    rotation = (jacobian - jacobian.T) / 2
    consensus = games.consensus(field, tree(point), 0.7)
    symplectic = games.symplectic(field, tree(point), 0.7)
    close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
    close(flat(consensus), value + 0.7 * jacobian.T @ value)
    close(flat(symplectic), value + 0.7 * rotation.T @ value)
    assert jax.tree.structure(consensus) == jax.tree.structure(tree(point))


@pytest.mark.usefixtures("x64")
def test_consensus_adds_the_slope_of_half_the_squared_field(point):
    field, small = quadratic_game(), 1e-6

    def energy(x):
        return np.sum(flat(field(tree(x))) ** 2) / 2

    pull = flat(games.consensus(field, tree(point), 1.0)) - flat(field(tree(point)))
    differences = [
        (energy(point + small * e) - energy(point - small * e)) / (2 * small)
        for e in np.eye(6)
    ]
    np.testing.assert_allclose(pull, differences, rtol=1e-6, atol=1e-6)


def test_where_players_share_a_loss_symplectic_is_descent_and_consensus_finds_saddles():
    def loss(x, y):  # 0 is a saddle: descent leaves it along y
        return (x**2 - y**2) / 2

    field = games.gradient_field(loss, loss)
    players, optimiser = (jnp.array(0.5), jnp.array(0.1)), optax.sgd(0.1)
    assert games.symplectic(field, players, 3.0) == field(players)
    step = partial(games.simultaneous, optimiser, partial(games.consensus, weight=3.0))
    end = play(step, field, players, optimiser, 200)
    assert np.abs(flat(end)).max() < 1e-6
    step = partial(games.simultaneous, optimiser, partial(games.symplectic, weight=3.0))
    end = play(step, field, players, optimiser, 200)
    assert abs(end[0]) < 1e-6 < 1e6 < end[1]


def bilinear(matrix):
    loss = lambda x, y: x @ (matrix @ y)  # noqa: E731
    return games.gradient_field(loss, lambda x, y: -loss(x, y))


def play(step, field, players, optimiser, steps):
    states = tuple(optimiser.init(player) for player in players)
    keys = jax.random.split(jax.random.key(0), steps)
    return games.play(step, lambda key: field, players, states, keys)[0]


@pytest.mark.parametrize("kind", ["consensus", "symplectic"])
def test_a_bilinear_game_converges_and_gradient_steps_do_not(kind):
    matrix = jnp.array([[1.0, 0.3], [-0.2, 0.8]])
    field, start = bilinear(matrix), (jnp.array([1.0, 0.5]), jnp.array([-0.3, 1.0]))
    optimiser = optax.sgd(0.1)
    direction = partial(getattr(games, kind), weight=1.0)
    step = partial(games.simultaneous, optimiser, direction)
    assert np.abs(flat(play(step, field, start, optimiser, 400))).max() < 1e-6
    step = partial(games.simultaneous, optimiser, lambda field, players: field(players))
    end = play(step, field, start, optimiser, 400)
    assert np.linalg.norm(flat(end)) > 2 * np.linalg.norm(flat(start))
    end = play(partial(games.alternating, optimiser), field, start, optimiser, 400)
    assert 0.3 < np.linalg.norm(flat(end)) / np.linalg.norm(flat(start)) < 3


def test_alternating_the_first_player_sees_the_second_ones_step():
    field, optimiser = bilinear(jnp.eye(1)), optax.sgd(0.5)
    players = (jnp.array([1.0]), jnp.array([2.0]))
    first, second = play(
        partial(games.alternating, optimiser), field, players, optimiser, 1
    )
    assert second == 2.0 + 0.5 * 1.0
    assert first == 1.0 - 0.5 * 2.5


def test_each_players_optimiser_has_its_own_state():
    field, optimiser = bilinear(jnp.eye(1)), optax.sgd(0.5, momentum=0.5)
    step = partial(games.simultaneous, optimiser, lambda field, players: field(players))
    x, y, u, v = 1.0, 2.0, 0.0, 0.0
    for _ in range(3):
        u, v = y + 0.5 * u, -x + 0.5 * v
        x, y = x - 0.5 * u, y - 0.5 * v
    players = play(step, field, (jnp.array([1.0]), jnp.array([2.0])), optimiser, 3)
    np.testing.assert_allclose(flat(players), [x, y], rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_the_field_of_a_gan_is_the_slope_of_each_players_own_loss():
    generator = networks.MLPGenerator(2, (3,))
    discriminator = networks.MLPDiscriminator((3,), activation=jnp.tanh)
    keys = jax.random.split(jax.random.key(0), 4)
    z, real = jax.random.normal(keys[0], (5, 2)), jax.random.normal(keys[1], (5, 2))
    players = (generator.init(keys[2], z), discriminator.init(keys[3], real))
    players = jax.tree.map(lambda x: x.astype(jnp.float64), players)
    loss = LOSSES["nonsaturating"]
    field = games.gan_field(loss, generator, discriminator, real, z)

    def values(generator_params, discriminator_params):
        fake = generator.apply(generator_params, z)
        logits = [discriminator.apply(discriminator_params, x) for x in (real, fake)]
        return loss.generator(*logits), loss.discriminator(*logits)

    slopes, small = field(players), 1e-6
    for number in (0, 1):
        along = jax.tree.map(jnp.cos, players[number])

        def moved(size, number=number, along=along):
            both = list(players)
            both[number] = jax.tree.map(lambda x, a: x + size * a, both[number], along)
            return values(*both)[number]

        difference = (moved(small) - moved(-small)) / (2 * small)
        slope = flat(slopes[number]) @ flat(along)
        np.testing.assert_allclose(slope, difference, rtol=1e-6)
