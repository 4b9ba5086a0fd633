"""The images of a run's pictures: real ones, and samples of the same latents."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import training
from gan_jax.data import Dataset

ROWS, COLUMNS = 10, 10


def grid_sampler(
    gan: training.GAN, key: jax.Array
) -> Callable[[training.GANState], jax.Array]:
    """A function that draws the same hundred images from any state.

    A hundred latents; of a conditional GAN ten, a row each, in the first ten classes, a
    column each.

    Returns:
      ``state -> [N, height, width, channels]``, uint8.
    """

    @jax.jit  # one program instead of several small ones
    def draw(key: jax.Array) -> jax.Array:
        # Far from what the state splits off the same key, and from the steps' numbers.
        z_key = jax.random.fold_in(key, 2**32 - 1)
        return jax.random.normal(z_key, (ROWS * COLUMNS, gan.latent_size))

    z, labels = draw(key), None
    if gan.num_classes is not None:
        columns = min(gan.num_classes, COLUMNS)
        z = jnp.repeat(z[:ROWS], columns, axis=0)
        labels = jnp.tile(jnp.arange(columns), ROWS)

    @jax.jit
    def sample(state: training.GANState) -> jax.Array:
        return training.to_uint8(training.generate(gan, state, z, labels))

    return sample


def hundred_real(dataset: Dataset) -> tuple[np.ndarray, int]:
    """Ten images of each class, a class a column, where there are enough.

    Else the first ones, in rows of a length that columns of classes would not have: who
    looks at the picture alone has to know.

    Returns:
      Images, and how many are a row.
    """
    shown = range(min(dataset.num_classes, COLUMNS))
    columns = [np.flatnonzero(dataset.labels == c)[:ROWS] for c in shown]
    if min(map(len, columns), default=0) < ROWS:
        row = COLUMNS - 1 if len(columns) == COLUMNS else COLUMNS
        return dataset.images[: ROWS * row], row
    return dataset.images[np.stack(columns, axis=1).ravel()], len(columns)
