"""What every drawing starts from: bent coordinates, random numbers and a cloth."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 28  # side of an image, in pixels

# Brightness of the cloth at the quantiles 0, 1/4, 1/2, 3/4 and 1 of each class.
_TONES = (
    (0.13, 0.43, 0.70, 0.88, 0.97),
    (0.36, 0.74, 0.88, 0.96, 0.99),
    (0.16, 0.50, 0.80, 0.93, 0.98),
    (0.22, 0.60, 0.80, 0.92, 0.98),
    (0.24, 0.72, 0.88, 0.95, 0.99),
    (0.36, 0.62, 0.76, 0.90, 0.98),
    (0.13, 0.42, 0.68, 0.86, 0.97),
    (0.28, 0.60, 0.76, 0.88, 0.96),
    (0.28, 0.68, 0.84, 0.92, 0.97),
    (0.40, 0.78, 0.90, 0.96, 0.99),
)
# Odds of stripes, of checks and of a blotched print; the rest is plain.
_PATTERNS = (
    (0.10, 0.00, 0.10),
    (0.00, 0.00, 0.08),
    (0.14, 0.00, 0.06),
    (0.08, 0.00, 0.22),
    (0.00, 0.03, 0.06),
    (0.00, 0.00, 0.10),
    (0.06, 0.28, 0.18),
    (0.00, 0.00, 0.12),
    (0.06, 0.03, 0.12),
    (0.00, 0.00, 0.08),
)


def _upsampling(coarse: int) -> np.ndarray:
    """Weights [28, coarse] that blend coarse samples smoothly over 28 pixels."""
    place = np.linspace(0, coarse - 1, SIZE)[:, None] - np.arange(coarse)[None, :]
    weight = np.cos(np.clip(place, -1, 1) * np.pi / 2) ** 2
    return weight.astype(np.float32)


def _smooth(coarse: jax.Array) -> jax.Array:
    """Coarse noise [rows, columns], blended smoothly over [28, 28]."""
    rows, columns = (jnp.asarray(_upsampling(n)) for n in coarse.shape)
    return rows @ coarse @ columns.T


class Bench(NamedTuple):
    """What every drawing starts from."""

    numbers: jax.Array  # [96], uniform in (0, 1)
    x: jax.Array  # [28, 28], bent a little so that no outline is quite straight
    y: jax.Array  # [28, 28], bent as well
    tone: jax.Array  # scalar, brightness of the cloth
    accent: jax.Array  # scalar, brightness of trimmings
    cloth: jax.Array  # [28, 28]: tone with pattern, folds and grain
    blotch: jax.Array  # [28, 28]: noise pushed towards 0 and 1, for prints


def dice(numbers: jax.Array) -> tuple[Callable, Callable]:
    """Random numbers, drawn one after the other.

    Args:
      numbers: [n], uniform in (0, 1); using up more than n raises StopIteration.

    Returns:
      ``roll(low, high)``, a scalar uniform between both, and ``chance(odds)``, a
      scalar that is 1.0 with these odds and 0.0 without.
    """
    rest = iter(numbers)

    def roll(low: float, high: float) -> jax.Array:
        return low + (high - low) * next(rest)

    def chance(odds: float) -> jax.Array:
        return (next(rest) < odds).astype(jnp.float32)

    return roll, chance


def lay_out(key: jax.Array, label: jax.Array) -> Bench:
    """Lays out the numbers and the cloth for one image of a class.

    Args:
      key: random key of the image.
      label: int32 scalar, its class.

    Returns:
      Coordinates, numbers and cloth.
    """
    shapes = ((96,), (12,), (5, 5), (5, 5), (19, 19), (3, 11), (SIZE, SIZE))
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    # One call for all of them: each would cost its own compilation.
    pool = jnp.split(jax.random.uniform(key, (ends[-1],)), ends[:-1])
    numbers, rolls, *noise = (u.reshape(s) for u, s in zip(pool, shapes, strict=True))
    bend_x, bend_y, print_, folds, grain = (2 * u - 1 for u in noise)
    roll, _ = dice(rolls)

    y, x = jnp.mgrid[:SIZE, :SIZE].astype(jnp.float32)
    x = x - 14.0 + roll(-0.4, 0.4) + 0.5 * _smooth(bend_x)
    y = y + 0.35 * _smooth(bend_y)

    place = roll(0, 4) - jnp.arange(5.0)
    tone = jnp.asarray(_TONES)[label] @ jnp.maximum(1 - jnp.abs(place), 0)
    swing = jnp.where(tone > roll(0.35, 0.65), -1.0, 1.0)  # stays within [0, 1]
    accent = jnp.clip(tone + swing * roll(0.15, 0.55), 0.08, 1.0)
    blotch = jnp.clip(0.5 + 1.1 * _smooth(print_) + 0.4 * grain, 0.0, 1.0)

    period, sharp, phase = roll(3.0, 7.5), roll(0.5, 3.0), roll(0, 6.28)
    across = jnp.clip(0.5 + sharp * jnp.sin(6.28 / period * y + phase), 0, 1)
    down = jnp.clip(0.5 + sharp * jnp.sin(6.28 / period * x), 0, 1)
    stripes, checks, prints = jnp.cumsum(jnp.asarray(_PATTERNS)[label])
    kind = roll(0, 1)
    pattern = jnp.where(kind < stripes, across, (across + down) / 2)
    pattern = jnp.where(kind < checks, pattern, jnp.where(kind < prints, blotch, 0.0))
    cloth = tone + (accent - tone) * pattern
    cloth *= 1 + roll(0.04, 0.15) * _smooth(folds) + roll(0.01, 0.055) * grain
    return Bench(numbers, x, y, tone, accent, cloth, blotch)
