"""Latents that are looked at: the seed's, truncated, on a walk, along directions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gan_jax import recipes, training
from gan_jax.errors import UserError
from gan_jax.explore import latents
from gan_jax.explore.directions import principal_directions
from gan_jax.explore.latents import View
from gan_jax.run import sampling
from tests.explore import making
from tests.processes.running import call


def made(**numbers):
    return making.gan_and_state(making.config_of(**numbers))


@pytest.fixture(scope="module")
def plain():
    return made()


@pytest.fixture(scope="module")
def conditional():
    return made(conditional=True)


def assert_same_images(a, b):
    """But for rounding: the batches, and so the products, may differ in size."""
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= 1
    assert (a != b).mean() < 1e-3


def test_the_latents_of_a_seed_are_those_of_samples(plain, conditional):
    for gan, state in (plain, conditional):
        drawn = latents.draw(gan, state, View(seed=3, count=70))
        same = sampling.draw(gan, state, 70, seed=3)
        assert_same_images(drawn.images, same.images)
        np.testing.assert_array_equal(drawn.labels, same.labels)
        assert drawn.z.shape == (70, 8)
    four = latents.draw(*conditional, View(count=5, label=4))
    np.testing.assert_array_equal(four.labels, [4] * 5)


def test_truncated_latents_have_the_truncated_distribution_and_keep_their_order():
    z = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    for bound in (0.5, 1.5, 3.0):
        cut = latents.truncate(z, bound)
        assert cut.dtype == np.float32
        assert np.abs(cut).max() <= bound
        law = scipy.stats.truncnorm(-bound, bound)
        assert scipy.stats.kstest(cut, law.cdf).pvalue > 1e-3
        order = np.argsort(z)
        assert (np.diff(cut[order]) >= 0).all()
    np.testing.assert_allclose(latents.truncate(z, 9.0), z, atol=1e-5)
    far = np.array([-9.0, 9.0], np.float32)
    np.testing.assert_allclose(latents.truncate(far, 2.0), [-2, 2])


def test_a_view_is_truncated(plain):
    drawn = latents.draw(*plain, View(count=40, truncation=0.7))
    whole = latents.draw(*plain, View(count=40))
    assert np.abs(drawn.z).max() <= 0.7 < np.abs(whole.z).max()
    np.testing.assert_allclose(drawn.z, latents.truncate(whole.z, 0.7))


def test_a_walk_goes_from_one_seed_to_another_on_the_great_circle(plain):
    walk = latents.draw(*plain, View(seed=2, to_seed=5, count=9))
    ends = [latents.draw(*plain, View(seed=s, count=1)).z[0] for s in (2, 5)]
    np.testing.assert_allclose(walk.z[[0, -1]], ends, atol=1e-5)
    middle = sampling.slerp(*map(jnp.asarray, ends), jnp.array([0.5]))[0]
    np.testing.assert_allclose(walk.z[4], middle, atol=1e-5)
    still = latents.draw(*plain, View(seed=2, to_seed=2, count=3))
    np.testing.assert_allclose(still.z, [ends[0]] * 3, atol=1e-6)


def test_a_walk_of_a_conditional_gan_stays_in_its_class(conditional):
    walk = latents.draw(*conditional, View(to_seed=1, count=3, label=7))
    np.testing.assert_array_equal(walk.labels, [7] * 3)
    walk = latents.draw(*conditional, View(to_seed=1, count=3))
    np.testing.assert_array_equal(walk.labels, [0] * 3)


def with_first_kernel(state, kernel, bias):
    params = dict(state.generator.params)
    params["Dense_0"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    return state.replace(generator=state.generator.replace(params=params))


def test_directions_of_a_linear_layer_are_its_singular_vectors(plain):
    gan, state = plain
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(2))
    scales = 2.0 ** -np.arange(8)
    kernel = (left * scales) @ right.T
    state = with_first_kernel(state, kernel.astype(np.float32), np.arange(8.0))
    found = principal_directions(gan, state, count=4)
    # Of samples, not of the law: their covariance is off by about 1 in 100.
    np.testing.assert_allclose(np.abs(found.vectors @ left), np.eye(4, 8), atol=0.06)
    wanted = np.square(scales) / np.square(scales).sum()
    np.testing.assert_allclose(found.shares, wanted[:4], rtol=0.05)
    largest = np.abs(found.vectors).argmax(axis=1)
    assert (found.vectors[np.arange(4), largest] > 0).all()


def test_a_layer_of_fewer_ranks_has_fewer_directions(plain):
    gan, state = plain
    kernel = np.zeros((8, 8), np.float32)
    kernel[0, 3], kernel[1, 4] = 2, 1
    state = with_first_kernel(state, kernel, np.zeros(8, np.float32))
    found = principal_directions(gan, state, count=6, samples=2000)
    assert found.vectors.shape == (2, 8)
    np.testing.assert_allclose(np.abs(found.vectors), np.eye(2, 8), atol=0.1)
    constant = with_first_kernel(state, 0 * kernel, np.zeros(8, np.float32))
    with pytest.raises(UserError, match="no layers of Linen's"):
        # The first layer whose output depends on z is none at all.
        principal_directions(gan, constant)


@pytest.mark.parametrize(
    ("network", "width"), [("reference", 8), ("dcgan", 8), ("resnet", 8), ("r3gan", 8)]
)
@pytest.mark.slow
def test_every_network_has_directions_of_its_own_latents(network, width):
    recipe = recipes.recipe(
        "hinge", network=network, width=width, latent_size=8, conditional=True
    )
    gan = recipes.make_gan(recipe)
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    found = principal_directions(gan, state, count=3, samples=1500)
    assert found.vectors.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=0.2)


def test_a_view_goes_along_directions(plain):
    found = principal_directions(*plain, count=3, samples=1000)
    moved = latents.draw(*plain, View(count=4, along=(0.5, 0.0, -2.0)), found)
    still = latents.draw(*plain, View(count=4))
    offset = 0.5 * found.vectors[0] - 2 * found.vectors[2]
    np.testing.assert_allclose(moved.z, still.z + offset, atol=1e-5)
    # Trailing zeros go along nothing: they need no direction.
    same = latents.draw(*plain, View(count=4, along=(0.0,) * 9))
    np.testing.assert_array_equal(same.z, still.z)


BAD = {
    "seed": View(seed=-1),
    "to_seed": View(to_seed=2**32),
    "num_samples": View(count=0),
    "truncation": View(truncation=0.0),
    "along": View(along=(float("nan"),)),
    "label": View(label=3),
}


@pytest.mark.parametrize("name", BAD)
def test_a_number_that_no_images_have_is_refused(plain, name):
    with pytest.raises(UserError, match=f"--{name}"):
        latents.draw(*plain, BAD[name])
    with pytest.raises(UserError, match="there are 0 directions"):
        latents.draw(*plain, View(along=(1.0,)))


def test_the_command_of_a_view_draws_the_same_images(tmp_path):
    config = making.make_run(tmp_path / "run", making.config_of(conditional=True))
    gan, state = making.gan_and_state(config)
    views = [
        View(seed=3, count=5),
        View(count=5, truncation=0.9, along=(1.5, 0.0, -1.0), label=2),
        View(to_seed=4, count=6, truncation=2.0),
    ]
    lists = [
        [f"--workdir={tmp_path}/run", f"--output={tmp_path}/{i}.npz", *view.flags()]
        for i, view in enumerate(views)
    ]
    for result in call({"experiments.sample": lists})["experiments.sample"]:
        assert result["status"] == 0, result["stderr"]
    state = state.replace(step=state.step + 20)
    directions = principal_directions(gan, state, count=3)
    for i, view in enumerate(views):
        drawn = latents.draw(gan, state, view, directions)
        with np.load(tmp_path / f"{i}.npz") as there:
            assert_same_images(there["images"], drawn.images)
            np.testing.assert_array_equal(there["labels"], drawn.labels)
    assert dataclasses.replace(views[0], label=None).is_plain
    assert not views[1].is_plain
