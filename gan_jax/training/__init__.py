"""The training state and the one step that everything else is made of.

A run of steps is a loop of `train_step` (`train_steps`), data parallelism a ``pmap`` of
that loop (`gan_jax.devices.parallel`), many seeds a ``vmap``.
"""

from gan_jax.training.augment import AUGMENTS
from gan_jax.training.epoch import epoch_permutation, steps_per_epoch, train_steps
from gan_jax.training.pixels import scale_images, to_uint8
from gan_jax.training.state import (
    GAN,
    Examples,
    GANState,
    Metrics,
    Player,
    Weights,
    check_batch,
    generate,
    init_state,
    score,
    weights,
)
from gan_jax.training.step import (
    discriminator_gradients,
    generator_gradients,
    train_step,
)

__all__ = [
    "AUGMENTS",
    "GAN",
    "Examples",
    "GANState",
    "Metrics",
    "Player",
    "Weights",
    "check_batch",
    "discriminator_gradients",
    "epoch_permutation",
    "generate",
    "generator_gradients",
    "init_state",
    "scale_images",
    "score",
    "steps_per_epoch",
    "to_uint8",
    "train_step",
    "train_steps",
    "weights",
]
