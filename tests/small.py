"""Small networks in place of the reference ones, for facts about what trains them."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import data, networks, plots, recipes
from gan_jax.data import garments
from gan_jax.networks import pairs
from gan_jax.networks.convolution import pixel_shuffle
from gan_jax.system.files import cache_folder

GARMENTS = "garments.npz"


class Generator(nn.Module):
    """Of the reference generator's kind, with batch norm; it compiles in no time."""

    num_classes: int | None = None
    shape: tuple[int, int, int] = (28, 28, 1)
    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, z, labels=None, *, train):
        if self.num_classes:
            z = jnp.concatenate([z, jax.nn.one_hot(labels, self.num_classes)], axis=-1)
        norm = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)
        height, width, channels = self.shape
        x = norm(nn.Dense(height * width * channels)(z))
        x = x.reshape(-1, height // 4, width // 4, 16 * channels)
        return pixel_shuffle(x, 4)


class Discriminator(nn.Module):
    """Of the reference discriminator's kind: projection where conditional."""

    num_classes: int | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x, labels=None, *, train=True):
        flat = x.reshape(*x.shape[:-3], -1)
        return networks.MLPDiscriminator((8,), self.num_classes)(flat, labels)


def gan(recipe, width=4, discriminator=None):
    """A GAN of points in the plane: compiles in a second."""
    sizes = {"hidden": (width,), "num_classes": 10 if recipe.conditional else None}
    return recipes.make_gan(
        recipe,
        generator=networks.MLPGenerator(**sizes),
        discriminator=discriminator or networks.MLPDiscriminator(**sizes),
    )


def in_float64(state):
    """Else rounding decides where a gradient is 0: Adam takes a whole step there."""
    return jax.tree.map(
        lambda a: a.astype(jnp.float64) if a.dtype == jnp.float32 else a, state
    )


def drawn_garments(folder, split):
    """What `tests.evaluation.reference` has kept: images and labels, or None."""
    if not (folder / GARMENTS).exists():
        return None
    with np.load(folder / GARMENTS) as arrays:
        return arrays[f"{split}_images"], arrays[f"{split}_labels"]


def _kept(make):
    """`garments.make`, which draws only what is not kept.

    A smaller data set is the beginning of a larger one.
    """

    def read(seed, size=60_000):
        found = drawn_garments(cache_folder(), data.SPLITS[seed])
        if found is None or len(found[0]) < size:
            return make(seed, size)
        return tuple(array[:size] for array in found)

    return read


def install(set_attribute=setattr, *, curves=False):
    """Puts them in place, and draws no curves: the slowest part of a short run.

    Garments are not drawn where the tests' own cache has them.
    """
    set_attribute(garments, "make", _kept(garments.make))
    set_attribute(pairs, "Generator", Generator)
    set_attribute(pairs, "Discriminator", Discriminator)
    if not curves:
        set_attribute(plots, "prepare", lambda: None)
        set_attribute(plots, "save_curves", lambda file, lines: None)


@contextlib.contextmanager
def installed():
    """They are in place inside of it."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch.setattr)
        yield
