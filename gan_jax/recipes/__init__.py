"""Recipes: what each loss is trained with, and the GAN that is made of it."""

from gan_jax.recipes.making import make_gan, of_ones_own, sources
from gan_jax.recipes.recipe import Recipe, check
from gan_jax.recipes.tables import (
    LR_SCALING,
    PUBLISHED,
    TABLES,
    TUNED,
    recipe,
    scale,
)
from gan_jax.recipes.trying import try_gan

__all__ = [
    "LR_SCALING",
    "PUBLISHED",
    "TABLES",
    "TUNED",
    "Recipe",
    "check",
    "make_gan",
    "of_ones_own",
    "recipe",
    "scale",
    "sources",
    "try_gan",
]
