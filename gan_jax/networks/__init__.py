"""Linen networks: pairs of a generator and a discriminator, and MLPs for 2-D data.

A generator maps latents ``[batch, latent]`` to examples ``[batch, ...]`` and takes
``train``; a discriminator maps examples to logits ``[batch]``. Pixels lie in [-1, 1].
With ``num_classes`` each is conditional and takes labels ``[batch]`` as its second
argument (`gan_jax.networks.conditioning`). `pairs` has them by name.
"""

from gan_jax.networks.batch_norm import refuse_apart, refuse_lone_numbers
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.pairs import NETWORKS, Wanted, check, make_pair
from gan_jax.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from gan_jax.networks.reference import Discriminator, Generator, kernel_init
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator

__all__ = [
    "NETWORKS",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "Generator",
    "MLPDiscriminator",
    "MLPGenerator",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "Wanted",
    "check",
    "kernel_init",
    "make_pair",
    "refuse_apart",
    "refuse_lone_numbers",
]
