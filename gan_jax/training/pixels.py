"""Pixels as they are stored, uint8, and as they are trained on, in [-1, 1]."""

import jax
import jax.numpy as jnp

Array = jax.Array


def scale_images(images: Array, dtype: jnp.dtype = jnp.float32) -> Array:
    """uint8 pixels to [-1, 1]."""
    return images.astype(dtype) / 127.5 - 1


def to_uint8(images: Array) -> Array:
    """Pixels in [-1, 1], clipped to it, to uint8: the inverse of `scale_images`."""
    pixels = jnp.rint((images.astype(jnp.float32) + 1) * 127.5)
    return jnp.clip(pixels, 0, 255).astype(jnp.uint8)
