"""A discriminator's scores and gradients, against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import training
from gan_jax.evaluation import overfitting
from gan_jax.explore import critic
from gan_jax.run.sampling import Samples
from tests.explore import making


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "conditional"])
def trained(request):
    return making.gan_and_state(making.config_of(conditional=request.param))


def labels_of(gan, count):
    return None if gan.num_classes is None else np.arange(count, dtype=np.int32) % 10


def test_scores_are_the_logits_of_the_images(trained):
    gan, state = trained
    images, labels = making.real(6), labels_of(gan, 6)
    found = critic.scores(gan, state, images, labels)
    same = overfitting.logits(gan, state, Samples(images, labels), 6)
    np.testing.assert_allclose(found.logits, same, atol=1e-4)


def test_norms_are_those_of_finite_differences(trained):
    gan, state = trained
    images, labels = making.real(3), labels_of(gan, 3)
    found = critic.scores(gan, state, images, labels)
    np.testing.assert_allclose(
        found.norms, np.linalg.norm(found.gradients.reshape(3, -1), axis=1), rtol=1e-5
    )
    x = np.asarray(training.scale_images(jnp.asarray(images)))
    along = found.gradients / found.norms[:, None, None, None]
    step = 1e-2  # the network is piecewise linear
    sides = [
        critic.scores(gan, state, x + s * step * along, labels).logits for s in (1, -1)
    ]
    slopes = (sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(slopes, found.norms, rtol=2e-2)


def test_points_between_are_on_the_lines_from_real_to_fake():
    real = np.zeros((5, 2, 2, 1), np.uint8)
    fake = np.full((5, 2, 2, 1), 255, np.uint8)
    found = critic.between(real, fake, seed=1)
    assert found.dtype == np.float32
    assert (np.ptp(found.reshape(5, -1), axis=1) < 1e-6).all()  # one place an image
    places = (found[:, 0, 0, 0] + 1) / 2
    assert ((places >= 0) & (places <= 1)).all()
    assert len({*places.tolist()}) == 5


def test_a_gradient_is_red_where_it_raises_the_score_and_blue_where_it_lowers_it():
    gradient = np.array([[2.0, -2.0], [0.0, 1.0]])[..., None]
    picture = critic.gradient_picture(gradient)
    assert picture.tolist() == [
        [[255, 0, 0], [0, 0, 255]],
        [[255, 255, 255], [255, 128, 128]],
    ]
    white = critic.gradient_picture(np.zeros((2, 2, 1)))
    assert (white == 255).all()


def test_a_batch_norm_of_the_critic_takes_its_running_statistics():
    config = making.config_of("hinge", network="dcgan", width=4)
    gan, state = making.gan_and_state(config)
    assert jax.tree.leaves(state.discriminator.batch_stats)
    together = critic.scores(gan, state, making.real(4))
    alone = critic.scores(gan, state, making.real(4)[:1])
    np.testing.assert_allclose(together.logits[:1], alone.logits, rtol=1e-3, atol=1e-5)
