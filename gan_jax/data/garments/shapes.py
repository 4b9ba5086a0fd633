"""Antialiased shapes: signed distances, how they meet, and how they are painted.

Coordinates and distances are arrays of one shape, [28, 28] for an image, in pixels;
distances are negative inside. Measures and brightnesses are scalars or such arrays.
"""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp


def beyond(x: jax.Array, t: jax.Array, at: tuple, to: tuple) -> jax.Array:
    """Signed distance to the points left of a polyline, where x < curve(t).

    Args:
      x: coordinate across the polyline, [28, 28].
      t: coordinate along it, [28, 28]; beyond its ends the curve keeps its last x.
      at: t of the polyline's points, increasing.
      to: x of the polyline's points.

    Returns:
      Distance of x beyond the polyline, [28, 28].
    """
    curve, slope = to[0], 0.0
    for (t0, t1), (x0, x1) in zip(pairwise(at), pairwise(to), strict=True):
        rate = (x1 - x0) / (t1 - t0)
        curve = curve + rate * jnp.clip(t - t0, 0.0, t1 - t0)
        slope = slope + jnp.where((t > t0) & (t <= t1), rate, 0.0)
    return (x - curve) * jax.lax.rsqrt(1.0 + slope**2)


def capsule(x: jax.Array, y: jax.Array, a: tuple, b: tuple, r: float) -> jax.Array:
    """Signed distance to the points within r of a segment.

    Args:
      x: [28, 28].
      y: [28, 28].
      a: one end of the segment, (x, y).
      b: the other end.
      r: radius of the ends.

    Returns:
      [28, 28].
    """
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = jnp.clip(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return jnp.hypot(x - a[0] - along * dx, y - a[1] - along * dy) - r


def ellipse(x: jax.Array, y: jax.Array, rx: float, ry: float) -> jax.Array:
    """Signed distance, exact to first order, to an ellipse around the origin.

    Args:
      x: [28, 28].
      y: [28, 28].
      rx: half axis along x.
      ry: half axis along y.

    Returns:
      [28, 28].
    """
    value = jnp.hypot(x / rx, y / ry)
    slope = jnp.hypot(x / rx**2, y / ry**2)
    return value * (value - 1.0) / (slope + 1e-3)


def meet(*distances: jax.Array, soft: float = 0.5) -> jax.Array:
    """Intersection of shapes whose corners are rounded over ``soft`` pixels.

    Args:
      *distances: signed distances to the shapes, [28, 28] each.
      soft: how far apart two outlines still round each other's corner.

    Returns:
      Signed distance to the intersection, [28, 28].
    """

    def smooth_max(a: jax.Array, b: jax.Array) -> jax.Array:
        overlap = jnp.maximum(soft - jnp.abs(a - b), 0.0)
        return jnp.maximum(a, b) + overlap**2 / (4 * soft)

    return functools.reduce(smooth_max, distances)


def fill(distance: jax.Array) -> jax.Array:
    """Part of each pixel that lies inside a shape, [28, 28] in [0, 1]."""
    return jnp.clip(0.5 - distance, 0.0, 1.0)


def line(distance: jax.Array, width: float = 1.0) -> jax.Array:
    """Part of each pixel on a shape's outline, ``width`` wide, [28, 28] in [0, 1]."""
    return jnp.clip(0.5 + width / 2 - jnp.abs(distance), 0.0, jnp.minimum(width, 1.0))


def paint(image: jax.Array, cover: jax.Array, tone: jax.Array) -> jax.Array:
    """The image [28, 28] with a tone laid over it where ``cover`` [28, 28] is 1."""
    return image + cover * (tone - image)
