"""Best responses on a line: a game without an equilibrium.

One real number ``x``, one fake ``f`` in ``[low, high]`` around it, and a discriminator
``sigmoid(w x + b)`` with ``w`` in [-1, 1]. It minimises ``C = sigmoid(w f + b) -
sigmoid(w x + b)`` over w and b, the generator maximises C over f, and each answers the
other exactly.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def objective(w: Array, b: Array, fake: Array, real: Array) -> Array:
    """``C = sigmoid(w f + b) - sigmoid(w x + b)``; the arguments broadcast."""
    return jax.nn.sigmoid(w * fake + b) - jax.nn.sigmoid(w * real + b)


def best_discriminator(fake: Array, real: Array) -> tuple[Array, Array]:
    """The ``w`` in [-1, 1] and the ``b`` that minimise C.

    The steepest slope that is allowed, with the middle between the points on the
    middle of the sigmoid: ``w = 1`` if ``f < x`` else ``-1``, ``b = -w (f + x) / 2``.
    There C is ``-tanh(|x - f| / 4)``.

    Args:
      fake: any shape.
      real: the same shape.

    Returns:
      ``(w, b)``, each of that shape.
    """
    w = jnp.where(fake < real, 1.0, -1.0)
    return w, -w * (fake + real) / 2


def best_value(fake: Array, real: Array) -> Array:
    """``C = -tanh(|x - f| / 4)`` at the discriminator's best response.

    Args and returns as in `best_discriminator`.
    """
    return -jnp.tanh(jnp.abs(real - fake) / 4)


def best_generator(w: Array, low: Array, high: Array) -> Array:
    """The fake in ``[low, high]`` that maximises C: as far as the slope goes up."""
    return jnp.where(w > 0, high, low)


def play(fake: Array, real: Array, low: Array, high: Array, rounds: int) -> Array:
    """Exact alternating best responses, the discriminator first.

    Args:
      fake: the generator's first point, scalar.
      real: scalar, between ``low`` and ``high``.
      low: scalar.
      high: scalar.
      rounds: answers of each player.

    Returns:
      ``[rounds, 3]``: w, b and the fake after each round.
    """

    def turn(fake: Array, _: None) -> tuple[Array, Array]:
        w, b = best_discriminator(fake, real)
        fake = best_generator(w, low, high)
        return fake, jnp.stack([w, b, fake])

    return jax.lax.scan(turn, jnp.asarray(fake, jnp.float32), None, rounds)[1]
