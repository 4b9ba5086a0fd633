"""GAN losses: pure functions of logits.

A logit ``h`` is the discriminator's (or critic's) raw output, ``D = sigmoid(h)``.
Every loss takes the logits of real and of generated examples, both ``[batch]``, and
returns the scalar mean that its player minimises. With
``softplus(t) = log(1 + e^t)``: ``-log sigmoid(t) = softplus(-t)`` and
``log(1 - sigmoid(t)) = -softplus(t)``, the forms that stay finite for any logit.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

Array = jax.Array
softplus = jax.nn.softplus


class GANLoss(NamedTuple):
    """What each player minimises, both ``(real_logits, fake_logits) -> scalar``."""

    discriminator: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]


def _check(real_logits: Array, fake_logits: Array) -> None:
    """``[B]`` against ``[B, 1]`` would broadcast to ``[B, B]`` in silence."""
    chex.assert_rank([real_logits, fake_logits], 1)
    chex.assert_equal_shape([real_logits, fake_logits])
    chex.assert_type([real_logits, fake_logits], float)


def minimax_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """Binary cross-entropy of real against fake, ``-log D(x) - log(1 - D(G(z)))``.

    The discriminator of `minimax`, `nonsaturating` and `kl`; the optimal logit is
    ``log p_data(x) - log p_model(x)``.

    Args:
      real_logits: ``[batch]``.
      fake_logits: ``[batch]``.

    Returns:
      Scalar, ``2 log 2`` when every logit is 0.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661
    """
    _check(real_logits, fake_logits)
    return jnp.mean(softplus(-real_logits) + softplus(fake_logits))


def minimax_generator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``log(1 - D(G(z)))``: its gradient ``-sigmoid(h) dh`` vanishes as D -> 0.

    Args:
      real_logits: ``[batch]``, not used.
      fake_logits: ``[batch]``.

    Returns:
      Scalar, at most 0.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661
    """
    _check(real_logits, fake_logits)
    return -jnp.mean(softplus(fake_logits))


def nonsaturating_generator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``-log D(G(z))``: its gradient tends to ``-dh`` as D -> 0.

    Args:
      real_logits: ``[batch]``, not used.
      fake_logits: ``[batch]``.

    Returns:
      Scalar, at least 0; ``log 2`` when every logit is 0.

    Source: Goodfellow et al. 2014, section 3, https://arxiv.org/abs/1406.2661
    """
    _check(real_logits, fake_logits)
    return jnp.mean(softplus(-fake_logits))


def kl_generator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``log((1 - D) / D) = -h``: the minimax plus the non-saturating loss, exactly.

    At the optimal discriminator, ``h = log p_data - log p_model``, this is
    ``KL(p_model, p_data)``.

    Args:
      real_logits: ``[batch]``, not used.
      fake_logits: ``[batch]``.

    Returns:
      Scalar.

    Source: Sonderby et al. 2017, https://arxiv.org/abs/1610.04490
    """
    _check(real_logits, fake_logits)
    return -jnp.mean(fake_logits)


def wasserstein_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``h(G(z)) - h(x)``: minus the critic's estimate of the W1 distance.

    Bounded below only for a Lipschitz critic: clip its weights or add a penalty.

    Args:
      real_logits: ``[batch]``.
      fake_logits: ``[batch]``.

    Returns:
      Scalar.

    Source: Arjovsky et al. 2017, eq. 2, https://arxiv.org/abs/1701.07875
    """
    _check(real_logits, fake_logits)
    return jnp.mean(fake_logits - real_logits)


def wasserstein_generator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``-h(G(z))``.

    Args:
      real_logits: ``[batch]``, not used.
      fake_logits: ``[batch]``.

    Returns:
      Scalar.

    Source: Arjovsky et al. 2017, algorithm 1, https://arxiv.org/abs/1701.07875
    """
    _check(real_logits, fake_logits)
    return -jnp.mean(fake_logits)


def hinge_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``relu(1 - h(x)) + relu(1 + h(G(z)))``.

    Args:
      real_logits: ``[batch]``.
      fake_logits: ``[batch]``.

    Returns:
      Scalar, at least 0; 0 when both sides clear the margin of 1.

    Source: Lim & Ye 2017, https://arxiv.org/abs/1705.02894
    """
    _check(real_logits, fake_logits)
    return jnp.mean(jax.nn.relu(1 - real_logits) + jax.nn.relu(1 + fake_logits))


def least_squares_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``(h(x) - 1)^2 / 2 + h(G(z))^2 / 2``: real is 1, fake is 0.

    Args:
      real_logits: ``[batch]``.
      fake_logits: ``[batch]``.

    Returns:
      Scalar, at least 0.

    Source: Mao et al. 2017, eq. 9, https://arxiv.org/abs/1611.04076
    """
    _check(real_logits, fake_logits)
    return jnp.mean((real_logits - 1) ** 2 + fake_logits**2) / 2


def least_squares_generator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``(h(G(z)) - 1)^2 / 2``.

    Args:
      real_logits: ``[batch]``, not used.
      fake_logits: ``[batch]``.

    Returns:
      Scalar, at least 0.

    Source: Mao et al. 2017, eq. 9, https://arxiv.org/abs/1611.04076
    """
    _check(real_logits, fake_logits)
    return jnp.mean((fake_logits - 1) ** 2) / 2


def relativistic_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``softplus(-(h(x) - h(G(z))))`` over pairs: real should beat its fake.

    Args:
      real_logits: ``[batch]``.
      fake_logits: ``[batch]``; ``fake_logits[i]`` is paired with ``real_logits[i]``.

    Returns:
      Scalar, at least 0; ``log 2`` when every pair ties.

    Source: Huang et al. 2024 (R3GAN), eq. 2, https://arxiv.org/abs/2501.05441, after
      Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734: pairs, not averages
    """
    _check(real_logits, fake_logits)
    return jnp.mean(softplus(fake_logits - real_logits))


def relativistic_generator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """``softplus(-(h(G(z)) - h(x)))`` over pairs: each fake should beat its real.

    Args:
      real_logits: ``[batch]``.
      fake_logits: ``[batch]``; ``fake_logits[i]`` is paired with ``real_logits[i]``.

    Returns:
      Scalar, at least 0; ``log 2`` when every pair ties.

    Source: Huang et al. 2024 (R3GAN), eq. 2, https://arxiv.org/abs/2501.05441, after
      Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734: pairs, not averages
    """
    _check(real_logits, fake_logits)
    return jnp.mean(softplus(real_logits - fake_logits))


_WASSERSTEIN = GANLoss(wasserstein_discriminator_loss, wasserstein_generator_loss)

LOSSES: dict[str, GANLoss] = {
    "minimax": GANLoss(minimax_discriminator_loss, minimax_generator_loss),
    "nonsaturating": GANLoss(minimax_discriminator_loss, nonsaturating_generator_loss),
    "kl": GANLoss(minimax_discriminator_loss, kl_generator_loss),
    "wasserstein": _WASSERSTEIN,  # the recipe adds the clipping,
    "wasserstein_gp": _WASSERSTEIN,  # or the penalty
    "hinge": GANLoss(hinge_discriminator_loss, wasserstein_generator_loss),
    "least_squares": GANLoss(
        least_squares_discriminator_loss, least_squares_generator_loss
    ),
    "relativistic": GANLoss(
        relativistic_discriminator_loss, relativistic_generator_loss
    ),
}
