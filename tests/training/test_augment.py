"""Augmentation: its law, its derivative, and where a step applies it."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import recipes, training
from gan_jax.networks import MLPDiscriminator, MLPGenerator
from gan_jax.run import sample_grids
from gan_jax.training import augment

SHAPE = (16, 24, 3)
KEYS = jax.random.split(jax.random.key(0), 4000)


def image(seed=0):
    return jax.random.uniform(jax.random.key(seed), SHAPE, minval=-1)


def each(change, x):
    return np.asarray(jax.jit(jax.vmap(change, (0, None)))(KEYS, x))


def test_half_of_the_images_are_mirrored_and_none_is_anything_else():
    x = image()
    found = each(augment.mirror, x)
    mirrored = (found == np.asarray(x)[:, ::-1]).all(axis=(1, 2, 3))
    same = (found == np.asarray(x)).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(KEYS))


def test_translation_moves_by_up_to_an_eighth_and_fills_with_gray():
    x = np.asarray(image())
    found = each(augment.translate, x)
    seen = set()
    for down in range(-2, 3):
        for across in range(-3, 4):
            moved = np.zeros_like(x)
            to = (slice(max(down, 0), 16 + down), slice(max(across, 0), 24 + across))
            of = (slice(max(-down, 0), 16 - down), slice(max(-across, 0), 24 - across))
            moved[to] = x[of]
            same = np.isclose(found, moved, atol=1e-6).all(axis=(1, 2, 3))
            seen.add((down, across)) if same.any() else None
            found = found[~same]
    assert len(found) == 0
    assert len(seen) == 5 * 7


def test_cutout_takes_a_square_of_half_the_sides_away():
    found = each(augment.cutout, jnp.ones(SHAPE))
    assert set(np.unique(found)) == {0.0, 1.0}
    assert (found == found[..., :1]).all()  # of all channels
    gone = found[..., 0] == 0
    rows, columns = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(gone.sum(axis=(1, 2)), rows * columns)
    assert (rows.max(), columns.max()) == (8, 12)
    assert (rows.min(), columns.min()) == (4, 6)  # its centre is at an edge
    assert gone.any(axis=0).all()


def test_colour_keeps_its_three_laws():
    x = np.asarray(image())
    found = each(augment.colour, x)
    brightness = found.mean(axis=(1, 2, 3)) - x.mean()
    assert brightness.min() == pytest.approx(-0.5, abs=0.01)
    assert brightness.max() == pytest.approx(0.5, abs=0.01)
    gray = x.mean(axis=-1)
    grays = found.mean(axis=-1)
    contrast = grays.std(axis=(1, 2)) / gray.std()
    assert contrast.min() == pytest.approx(0.5, abs=0.01)
    assert contrast.max() == pytest.approx(1.5, abs=0.01)
    spread = (found - grays[..., None]).std(axis=(1, 2, 3))
    saturation = spread / contrast / (x - gray[..., None]).std()
    assert saturation.min() == pytest.approx(0, abs=0.01)
    assert saturation.max() == pytest.approx(2, abs=0.01)
    draws = np.stack([brightness, contrast, saturation])
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 5 / np.sqrt(len(KEYS))


def test_diffaugment_is_its_parts_in_their_order_each_with_a_key_of_its_own():
    def by_hand(key, x):
        first, second, third = jax.random.split(key, 3)
        moved = augment.translate(second, augment.colour(first, x))
        return augment.cutout(third, moved)

    found, expected = each(augment.diffaugment, image()), each(by_hand, image())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_it_is_differentiable_in_the_image():
    x, direction = image(), image(1)
    change = jax.jit(partial(augment.diffaugment, KEYS[3]))
    _, along = jax.jvp(change, (x,), (direction,))
    np.testing.assert_allclose(  # it is an affine map
        along, change(x + direction) - change(x), rtol=1e-4, atol=1e-4
    )
    assert float(jnp.abs(jax.grad(lambda x: jnp.sum(change(x)))(x)).sum()) > 0


# In a step


def small_gan(**changes):
    recipe = recipes.recipe("relativistic", latent_size=3, critic_steps=2)
    gan = recipes.make_gan(
        recipe,
        generator=MLPGenerator((8, 8, 3), hidden=(4,)),
        discriminator=MLPDiscriminator((4,), axes=3),
    )
    return dataclasses.replace(gan, **changes)


def stepped(gan, real):
    state = training.init_state(gan, jax.random.key(0), (8, 8, 3))
    return jax.jit(partial(training.train_step, gan))(state, real)[0]


REAL = jax.random.uniform(jax.random.key(5), (2, 6, 8, 8, 3), minval=-1)


def test_an_augmentation_that_changes_nothing_changes_no_bit():
    plain = stepped(small_gan(), REAL)
    same = stepped(small_gan(augment=lambda key, x: x), REAL)
    for a, b in zip(
        jax.tree.leaves(plain.generator), jax.tree.leaves(same.generator), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_real_and_generated_images_are_augmented_in_both_players_losses():
    """Everything the discriminator sees becomes one image: no logit differs."""
    gan = small_gan(augment=lambda key, x: 0 * x, penalty=None)
    state = training.init_state(gan, jax.random.key(0), (8, 8, 3))
    given = state, REAL[0], jax.random.key(1)
    _, metrics, _ = jax.jit(partial(training.discriminator_gradients, gan))(*given)
    assert metrics["real_logit"] == metrics["fake_logit"]
    _, metrics, _ = jax.jit(partial(training.generator_gradients, gan))(*given)
    assert metrics["g_loss"] == pytest.approx(np.log(2))
    assert metrics["g_gradient_norm"] == 0


def test_real_and_generated_images_have_keys_of_their_own():
    marked = small_gan(
        augment=lambda key, x: x * 0 + jax.random.uniform(key), penalty=None
    )
    state = training.init_state(marked, jax.random.key(0), (8, 8, 3))
    gradients = jax.jit(partial(training.discriminator_gradients, marked))
    _, metrics, _ = gradients(state, REAL[0], jax.random.key(1))
    assert metrics["real_logit"] != metrics["fake_logit"]


def test_the_law_is_the_same_in_bfloat16():
    seen = set()

    def note(key, x):
        seen.add(x.dtype)
        return x

    recipe = recipes.recipe("relativistic", precision="bfloat16", network="mlp")
    gan = recipes.make_gan(recipe, shape=(8, 8, 3))
    gan = dataclasses.replace(gan, augment=note)
    jax.eval_shape(lambda real: stepped(gan, real), REAL[:1])
    assert seen == {np.dtype("float32")}


def test_mirroring_real_images_leaves_symmetric_ones_as_they_are():
    symmetric = REAL + REAL[..., ::-1, :]
    plain, mirrored = (stepped(small_gan(mirror=m), symmetric) for m in (False, True))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(mirrored), strict=True):
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


class Notes(nn.Module):
    """Keeps which side of each image is the lighter one, of the last four batches."""

    @nn.compact
    def __call__(self, x, *, train):
        seen = self.variable("batch_stats", "seen", jnp.zeros, (4, 64))
        if not self.is_initializing():
            sides = jnp.sign(x[:, 0, -1, 0] - x[:, 0, 0, 0])
            seen.value = jnp.concatenate([seen.value[1:], sides[None]])
        return MLPDiscriminator((4,), axes=3)(x)


def test_half_of_the_real_images_of_a_step_are_mirrored_each_by_itself():
    gan = small_gan(mirror=True, penalty=None, discriminator=Notes())
    light_right = jnp.broadcast_to(jnp.linspace(-1, 1, 8)[:, None], (2, 64, 8, 8, 3))
    seen = stepped(gan, light_right).discriminator.batch_stats["seen"]
    first, second = np.asarray(seen[::2])  # between them, generated ones
    assert set(np.unique([first, second])) == {-1, 1}
    for sides in (first, second, first * second):  # the batches are not alike either
        assert abs(sides.mean()) < 4 / np.sqrt(64)


def test_what_is_saved_is_not_augmented():
    plain, gan = small_gan(), small_gan(augment=lambda key, x: 0 * x, mirror=True)
    state = training.init_state(plain, jax.random.key(0), (8, 8, 3))
    z = jax.random.normal(jax.random.key(1), (4, 3))
    for function, given in ((training.generate, z), (training.score, REAL[0])):
        found = function(gan, state, given)
        np.testing.assert_array_equal(found, function(plain, state, given))
        assert found.any()
    grids = [sample_grids.grid_sampler(g, state.key)(state) for g in (gan, plain)]
    np.testing.assert_array_equal(*grids)


# Spectral norm


def test_power_iteration_moves_once_in_each_discriminator_step():
    recipe = recipes.recipe(
        "hinge", network="dcgan", width=4, spectral_norm=True, penalty="r1"
    )
    gan = recipes.make_gan(recipe, shape=(16, 16, 1))
    state = training.init_state(gan, jax.random.key(0), (16, 16, 1))
    real = jax.random.uniform(jax.random.key(1), (4, 16, 16, 1), minval=-1)

    def scored(stats):
        variables = {"params": state.discriminator.params, "batch_stats": stats}
        apply = partial(gan.discriminator.apply, variables, mutable="batch_stats")
        return apply(real, train=True)[1]["batch_stats"]

    once = jax.jit(scored)(state.discriminator.batch_stats)
    step = jax.jit(partial(training.discriminator_gradients, gan))
    moved = step(state, real, jax.random.key(2))[2].discriminator.batch_stats
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), moved, once
    )
    step = jax.jit(partial(training.generator_gradients, gan))
    after = step(state, real, jax.random.key(2))[2].discriminator.batch_stats
    assert jax.tree.all(
        jax.tree.map(
            lambda a, b: bool((a == b).all()), after, state.discriminator.batch_stats
        )
    )
