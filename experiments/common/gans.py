"""GANs by the names that lists of them have on a command line."""

from gan_jax import recipes, training
from gan_jax.data import Dataset
from gan_jax.run.configuration import Config

_CONDITIONAL = "_conditional"


def split(name: str) -> tuple[str, bool]:
    """The loss of ``hinge`` or ``hinge_conditional``, and whether it is conditional."""
    loss = name.removesuffix(_CONDITIONAL)
    return loss, loss != name


def recipe(name: str, table: str) -> recipes.Recipe:
    """The numbers of a GAN.

    Args:
      name: of a loss, with ``_conditional`` behind for a conditional GAN.
      table: name in `recipes.TABLES`.

    Raises:
      UserError: an unknown name.
    """
    loss, conditional = split(name)
    return recipes.recipe(loss, table, conditional=conditional)


def config(
    recipe: recipes.Recipe, dataset: Dataset, seed: int, epochs: int, *, quick: bool
) -> Config:
    """A run of some passes over a data set.

    Args:
      recipe: what to train.
      dataset: to train on.
      seed: of the run.
      epochs: passes.
      quick: the data set is small: without its size in it, a whole run would be taken
        for a longer one of these.

    Raises:
      UserError: the data set is too small for a step.
    """
    size = len(dataset.images)
    steps = epochs * training.steps_per_epoch(recipe, size, recipe.batch_size)
    return Config.of(recipe, dataset, seed, steps, size if quick else None)
