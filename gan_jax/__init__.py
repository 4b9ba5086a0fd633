"""Generative adversarial networks as pure functions in JAX and Flax.

Importing the package is cheap: its modules are imported where they are used
(``from gan_jax import losses``).
"""

__version__ = "0.1.0"
