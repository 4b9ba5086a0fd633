"""Linen networks: the reference generator and discriminator, and MLPs for 2-D data.

A generator maps latents ``[batch, latent]`` to examples ``[batch, ...]`` and takes
``train``; a discriminator maps examples to logits ``[batch]``. Pixels lie in [-1, 1].
With ``num_classes`` each is conditional and takes labels ``[batch]`` as its second
argument (`gan_jax.networks.conditioning`).
"""

from gan_jax.networks.batch_norm import refuse_lone_numbers
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.reference import (
    Discriminator,
    Generator,
    check_shape,
    kernel_init,
)

__all__ = [
    "Discriminator",
    "Generator",
    "MLPDiscriminator",
    "MLPGenerator",
    "check_shape",
    "kernel_init",
    "refuse_lone_numbers",
]
