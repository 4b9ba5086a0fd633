"""Games of two players: the field of their gradients, and second-order directions.

Each player descends its own loss. The players' params are a pair of pytrees, and so is
every direction here: give it to any optax optimiser in place of the gradients. With J
the Jacobian of the field v, directions take ``J u`` (jvp) and ``J^T u`` (vjp); J itself
is never formed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax.losses import GANLoss

Array = jax.Array
Players = Any  # a pair of pytrees; for the directions alone, any pytree
Field = Callable[[Players], Players]
Direction = Callable[[Field, Players], Players]
Optimiser = optax.GradientTransformation
Step = Callable[[Field, Players, Any], tuple[Players, Any]]


def gradient_field(
    first_loss: Callable[[Any, Any], Array], second_loss: Callable[[Any, Any], Array]
) -> Field:
    """What simultaneous gradient descent descends: each player's own gradient.

    Args:
      first_loss: ``(first, second) -> scalar``, which the first player minimises.
      second_loss: of the same arguments; the second player minimises it.

    Returns:
      ``(first, second) -> (d first_loss / d first, d second_loss / d second)``. The
      losses must not draw: bind a batch, so that every product is of one field.

    Source: Mescheder et al. 2017, section 2, https://arxiv.org/abs/1705.10461, where
    players ascend, and v has the other sign
    """

    def field(players: Players) -> Players:
        first = jax.grad(first_loss, argnums=0)(*players)
        return first, jax.grad(second_loss, argnums=1)(*players)

    return field


def gan_field(
    loss: GANLoss, generator: nn.Module, discriminator: nn.Module, real: Array, z: Array
) -> Field:
    """The field of an unconditional GAN on one batch; its generator is the first.

    Args:
      loss: what each minimises.
      generator: Linen module, without batch statistics.
      discriminator: Linen module, without batch statistics.
      real: examples, ``[batch, ...]``.
      z: latents, ``[batch, latent]``, which both players' losses share.

    Returns:
      The field of the variables of both.
    """

    def logits(first: Any, second: Any) -> list[Array]:
        both = jnp.concatenate([real, generator.apply(first, z)])
        return jnp.split(discriminator.apply(second, both), 2)

    return gradient_field(
        lambda first, second: loss.generator(*logits(first, second)),
        lambda first, second: loss.discriminator(*logits(first, second)),
    )


def product(field: Field, players: Players, vector: Players) -> Players:
    """``J vector``, by one jvp: how the field changes along a direction.

    Args:
      field: of a game, or any map of a pytree to one like it.
      players: where.
      vector: like the players.

    Returns:
      Like the players.
    """
    return jax.jvp(field, (players,), (vector,))[1]


def consensus(field: Field, players: Players, weight: float | Array) -> Players:
    """Consensus optimisation's direction, ``v + weight J^T v``.

    ``J^T v`` is the gradient of ``|v|^2 / 2``: both players also make the field small.
    It takes the field once, as the forward pass of its vjp, and one product with it.

    Args:
      field: of the game.
      players: where.
      weight: gamma; 0 is simultaneous descent.

    Returns:
      The direction to descend, like the players.

    Source: Mescheder et al. 2017, algorithm 2, https://arxiv.org/abs/1705.10461
    """
    value, transposed = jax.vjp(field, players)
    (pull,) = transposed(value)
    return jax.tree.map(lambda v, p: v + weight * p, value, pull)


def symplectic(field: Field, players: Players, weight: float | Array) -> Players:
    """The direction of symplectic gradient adjustment, ``v + weight A^T v``.

    ``A = (J - J^T) / 2``, and ``A^T v = (J^T v - J v) / 2``. Where all players descend
    one loss, A is 0 and this is plain descent; consensus is drawn to its saddles too.
    It costs one jvp of the field more than consensus.

    Args:
      field: of the game.
      players: where.
      weight: lambda; the paper may choose its sign anew in each step, this does not.

    Returns:
      The direction to descend, like the players.

    Source: Balduzzi et al. 2018, section 3, https://arxiv.org/abs/1802.05642
    """
    value, transposed = jax.vjp(field, players)
    (pull,) = transposed(value)
    push = product(field, players, value)
    return jax.tree.map(lambda v, p, q: v + weight * (p - q) / 2, value, pull, push)


def simultaneous(
    optimiser: Optimiser,
    direction: Direction,
    field: Field,
    players: Players,
    states: Any,
) -> tuple[Players, Any]:
    """Both players take a step from the same point.

    Args:
      optimiser: of either player.
      direction: ``(field, players) -> players``: `consensus` with its weight bound, or
        the field itself, ``lambda field, players: field(players)``.
      field: of the game.
      players: before the step.
      states: of the optimiser, a pair.

    Returns:
      The players and the states after it.
    """
    moved = [
        _move(optimiser, *each)
        for each in zip(direction(field, players), states, players, strict=True)
    ]
    return tuple(zip(*moved, strict=True))


def alternating(
    optimiser: Optimiser, field: Field, players: Players, states: Any
) -> tuple[Players, Any]:
    """The second player takes a gradient step, and the first sees it before its own.

    In a GAN the discriminator is the second. Args and returns as in `simultaneous`.
    """
    first, second = players
    second, after = _move(optimiser, field(players)[1], states[1], second)
    first, before = _move(optimiser, field((first, second))[0], states[0], first)
    return (first, second), (before, after)


def play(
    step: Step,
    draw: Callable[[Array], Field],
    players: Players,
    states: Any,
    keys: Array,
) -> tuple[Players, Any]:
    """Takes a step on a new field for every key. Pure: ``vmap`` it over many games.

    Args:
      step: ``(field, players, states) -> (players, states)``: `simultaneous` or
        `alternating`
        with its first arguments bound.
      draw: key to the field of one batch.
      players: at the start.
      states: of the optimiser, a pair.
      keys: random keys, ``[steps]``.

    Returns:
      The players and the states in the end.
    """

    def body(carry: tuple[Players, Any], key: Array) -> tuple[Any, None]:
        return step(draw(key), *carry), None

    return jax.lax.scan(body, (players, states), keys)[0]


def _move(
    optimiser: Optimiser, direction: Any, state: Any, player: Any
) -> tuple[Any, Any]:
    updates, state = optimiser.update(direction, state, player)
    return optax.apply_updates(player, updates), state
