"""What a discriminator says of its training images and of others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import recipes, training
from gan_jax.evaluation import overfitting
from gan_jax.run.sampling import Samples


class Mean(nn.Module):
    """Logits that are mean pixels, and the label where there is one."""

    num_classes: int | None = None

    @nn.compact
    def __call__(self, x, labels=None, *, train=True):
        scale = self.param("scale", nn.initializers.ones, ())
        means = scale * jnp.mean(x, axis=(-3, -2, -1))
        return means if labels is None else means + labels


def gan_of(conditional=False):
    recipe = recipes.recipe("hinge", conditional=conditional)
    classes = 3 if conditional else None
    gan = recipes.make_gan(recipe, num_classes=3, discriminator=Mean(classes))
    return gan, training.init_state(gan, jax.random.key(0), (28, 28, 1))


def images(*levels, repeat=1, labels=None):
    levels = np.repeat(np.array(levels, np.uint8), repeat)
    filled = np.broadcast_to(levels[:, None, None, None], (len(levels), 28, 28, 1))
    return Samples(np.ascontiguousarray(filled), labels)


def measure(**sets):
    gan, state = gan_of()
    return overfitting.measure(gan, state, **sets, count=1000)


def test_logits_are_of_the_images_as_they_are():
    gan, state = gan_of()
    found = overfitting.logits(gan, state, images(0, 255, repeat=300), 1000)
    np.testing.assert_allclose(found, np.repeat([-1, 1], 300), atol=1e-6)
    assert len(overfitting.logits(gan, state, images(0, 255, repeat=300), 7)) == 7


def test_labels_are_those_of_the_images():
    gan, state = gan_of(conditional=True)
    examples = images(0, repeat=900, labels=np.tile([0, 1, 2], 300))  # many batches
    found = overfitting.logits(gan, state, examples, 900)
    np.testing.assert_allclose(found, np.tile([-1, 0, 1], 300), atol=1e-6)


def test_some_of_many_are_of_all_classes_where_these_take_turns():
    gan, state = gan_of(conditional=True)
    labels = np.arange(900) % 3
    found = overfitting.logits(gan, state, images(0, repeat=900, labels=labels), 300)
    classes = np.rint(found).astype(int) + 1
    assert (np.bincount(classes, minlength=3) > 60).all()


def test_who_cannot_tell_real_images_apart_has_not_overfitted():
    same = images(10, 200, repeat=4)
    found = measure(seen=same, held_out=same, samples=images(0))
    assert found["overfitting"] == 0
    assert found["told_apart"] == 0.5


def test_who_takes_held_out_images_for_fakes_has_overfitted():
    found = measure(seen=images(255), held_out=images(0, 0), samples=images(0))
    assert found["overfitting"] == pytest.approx(1)
    assert found["told_apart"] == 1
    assert found["logit_training"] == pytest.approx(1)


def test_told_apart_counts_pairs():
    found = measure(seen=images(10, 30), held_out=images(20, 30, 5), samples=images(0))
    # 10 is above 5; 30 above 20 and 5, and equal to 30.
    assert found["told_apart"] == pytest.approx((1 + 2 + 0.5) / 6)


def test_without_any_difference_to_fakes_there_is_no_share_of_it():
    same = images(7)
    assert "overfitting" not in measure(seen=same, held_out=same, samples=same)
