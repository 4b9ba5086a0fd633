"""Bags."""

import jax
import jax.numpy as jnp

from gan_jax.data.garments.cloth import Bench, dice
from gan_jax.data.garments.shapes import (
    beyond,
    capsule,
    ellipse,
    fill,
    line,
    meet,
    paint,
)


def draw_bag(bench: Bench, label: jax.Array) -> jax.Array:
    """Bag, with or without handles, [28, 28]."""
    numbers, x, y, tone, accent, cloth, _ = bench
    roll, chance = dice(numbers)
    u = jnp.abs(x)
    style = roll(0, 1)  # clutch below 0.35, hoop below 0.8, then a pointed strap
    clutch, hoop = style < 0.35, style < 0.8
    tall = jnp.where(clutch, roll(13.0, 22.0), roll(13.0, 19.0))
    bottom = jnp.where(clutch, 14.0 + tall / 2, roll(25.5, 27.5))
    top = bottom - tall
    low = jnp.where(clutch, roll(11.5, 13.6), roll(9.0, 13.7))
    high = low + jnp.where(clutch, roll(-1.0, 0.3), roll(-4.0, 1.5))
    side = beyond(u, y, (top, bottom), (high, low))
    bulge = roll(0.0, 1.2) * (1 - (u / low) ** 2)
    body = meet(side, top - y - bulge, y - bottom - 0.3 * bulge, soft=roll(0.5, 5.0))

    # The handle goes behind the body.
    span, reach = roll(2.5, 6.0), jnp.maximum(top - roll(0.3, 2.0), 3.0)
    width = roll(0.45, 0.9)
    ring = jnp.abs(ellipse(x, y - top - 1, span, reach)) - width
    peak = (roll(-0.6, 0.6), top - reach)
    cord = capsule(u, y, (jnp.minimum(span + 3, high - 0.5), top + 1), peak, width)
    handle = jnp.where(clutch, 9.0, jnp.where(hoop, ring, cord))
    image = paint(jnp.zeros_like(x), fill(handle), accent * 0.4 + tone * 0.6)
    loop = jnp.abs(ellipse(u - high, y - top - 5, 1.6, roll(4.0, 6.5))) - 0.5
    image = paint(image, clutch * chance(0.5) * fill(loop), tone)
    light = 1 + roll(-0.2, 0.25) * jnp.exp(0.5 * body)
    light += roll(-0.15, 0.15) * ((y - top) / tall - 0.5)
    image = paint(image, fill(body), cloth * light)

    # Seams, flap, clasp, pocket, zip.
    inside = fill(body + 0.8)
    image *= 1 - roll(0.0, 0.5) * line(body + roll(1.2, 2.0), 0.8)
    flap = y - top - roll(0.3, 0.7) * tall + roll(0.0, 4.0) * (u / low) ** 2
    image *= 1 + chance(0.55) * roll(-0.1, 0.2) * fill(flap) * inside
    image *= 1 - chance(0.6) * roll(0.3, 0.7) * line(flap, 0.8) * inside
    clasp = meet(u - roll(0.5, 1.6), jnp.abs(flap + 0.3) - roll(0.5, 1.0))
    image = paint(image, chance(0.5) * fill(clasp), jnp.where(tone > 0.5, 0.15, 0.95))
    pocket = meet(u - roll(3.0, 7.0), top + roll(5.0, 8.0) - y, y - bottom + 2)
    image *= 1 - chance(0.3) * roll(0.3, 0.6) * line(pocket, 0.8) * inside
    image *= 1 - chance(0.5) * roll(0.3, 0.6) * line(y - top - 2.0, 0.8) * inside
    strip = line(u - roll(3.0, 7.0), roll(0.8, 1.4)) * inside
    return paint(image, chance(0.25) * strip, accent)
