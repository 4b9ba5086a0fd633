"""Consensus optimisation on the Dirac-GAN, in closed form: where it is stable, or not.

At the equilibrium of `dirac` the field of both players' gradients has
the Jacobian ``J = [[0, -a_G], [a_D, 0]]``. That of ``v + gamma J^T v`` is ``J + gamma
diag(a_D^2, a_G^2)``, and of symplectic gradient adjustment, with ``m = (a_D + a_G) /
2``, ``J + lambda m diag(a_D, a_G)``: both damp both players. Where ``a_D = a_G`` they
are the same there. What is said of the equilibrium follows from these matrices.

Sources: Mescheder et al. 2017, section 4, https://arxiv.org/abs/1705.10461; Balduzzi et
al. 2018, https://arxiv.org/abs/1802.05642; the game is that of Mescheder et al. 2018.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax.theory.dynamics import dirac
from gan_jax.theory.dynamics.dirac import SLOPES, Slopes

Array = jax.Array


class Rule(NamedTuple):
    """How the players move, here and in `experiments.theory.consensus`.

    Attributes:
      loss: name in `SLOPES`.
      kind: "consensus", "symplectic", or gradient steps, "simultaneous" or
        "alternating".
      weight: gamma of consensus, or lambda; of no meaning for gradient steps.
      rate: h, of plain descent.
    """

    loss: str
    kind: str = "consensus"
    weight: float = 1.0
    rate: float = 0.1

    def eigenvalues(self) -> Array:
        """Of the rule's step at the equilibrium, complex ``[2]``."""
        if self.kind in ("simultaneous", "alternating"):
            plain = dirac.Rule(self.loss, alternating=self.kind == "alternating")
            return plain.eigenvalues(self.rate)
        symplectic, slopes = self.kind == "symplectic", SLOPES[self.loss]
        return eigenvalues(slopes, self.weight, self.rate, symplectic=symplectic)


def eigenvalues(
    slopes: Slopes, weight: Array, rate: Array, *, symplectic: bool = False
) -> Array:
    """Eigenvalues of a step of the direction at the equilibrium.

    With ``c = a_D a_G`` and the mean damping s, which is ``(a_D^2 + a_G^2) / 2`` for
    consensus and ``m^2`` for the symplectic direction, they are ``1 - h (gamma s +-
    sqrt(gamma^2 s^2 - d))``, ``d = c + gamma^2 c^2`` or ``c + lambda^2 m^2 c``.

    Args:
      slopes: ``(a_D, a_G)``, of `SLOPES`.
      weight: gamma, or lambda.
      rate: h, of plain descent.
      symplectic: which direction.

    Returns:
      Complex, ``[..., 2]``, for the broadcast shape ``[...]`` of weight and rate.
    """
    weight, rate = jnp.broadcast_arrays(weight, rate)
    damping, determinant = _invariants(slopes, weight, symplectic)
    root = jnp.sqrt((damping**2 - determinant).astype(jnp.complex64))
    return jnp.stack([1 - rate * (damping - root), 1 - rate * (damping + root)], -1)


def weight_bounds(slope: Array, rate: Array) -> Array:
    """Between which weights the equilibrium attracts, where ``a_D = a_G = a``.

    ``(1 -+ sqrt(1 - h^2 a^2)) / (h a^2)``: about ``h / 2``, below which simultaneous
    descent's spiral wins, and ``2 / (h a^2)``, beyond which the damping overshoots.

    Args:
      slope: a.
      rate: h, of plain descent.

    Returns:
      ``[..., 2]``; NaN where ``h a > 1``, where no weight is enough.
    """
    slope, rate = jnp.broadcast_arrays(slope, rate)
    root = jnp.sqrt(1 - (rate * slope) ** 2)
    return jnp.stack([1 - root, 1 + root], axis=-1) / (rate * slope**2)[..., None]


def best_weight(slope: Array, rate: Array) -> Array:
    """``1 / (h a^2)``, with which the modulus is the least, ``h a``.

    The squared modulus is ``(1 - h gamma a^2)^2 + h^2 a^2``. Args as in
    `weight_bounds`.
    """
    return 1 / (rate * slope**2)


# Where `drift` changes its sign: the root of 2 |h| sigmoid(|h|) = 1.
TURNING_LOGIT = -0.7388350311316078


def drift(logit: Array) -> Array:
    """How fast consensus changes the distance r in the minimax Dirac-GAN, at any point.

    In the flow, with ``h = theta psi``, ``(r^2)' = -2 gamma r^2 sigmoid(h)^2 (1 + 2 h
    sigmoid(-h))``: gradients alone keep r, and the pull is that of ``|v|^2 / 2 =
    sigmoid(h)^2 r^2 / 2`` along r. Below `TURNING_LOGIT`, where the discriminator is
    right and sure, the field is smaller further out, and so r GROWS.

    Args:
      logit: h, of the fake.

    Returns:
      ``(r^2)' / (gamma r^2)``, like the logit.
    """
    return -2 * jax.nn.sigmoid(logit) ** 2 * (1 + 2 * logit * jax.nn.sigmoid(-logit))


def other_rest(weight: Array) -> Array:
    """Where consensus stands still in the minimax Dirac-GAN, off the equilibrium.

    ``v + gamma J^T v`` is 0 where v is, and where ``-1 / gamma`` is an eigenvalue of
    ``J^T`` and v its vector. That is so at ``h = TURNING_LOGIT``, ``psi = -theta (1 +
    A) / B`` with ``B = gamma sigmoid(h)``, ``A = sqrt(1 + B^2)``, and at minus it.
    Neither is an equilibrium; nor does it attract (a saddle, as the tests hold).

    Args:
      weight: gamma.

    Returns:
      ``[..., 2]``: theta and psi, theta positive.
    """
    b = weight * jax.nn.sigmoid(TURNING_LOGIT)
    ratio = (1 + jnp.sqrt(1 + b**2)) / b
    theta = jnp.sqrt(-TURNING_LOGIT / ratio)
    return jnp.stack([theta, -ratio * theta], axis=-1)


def _invariants(slopes: Slopes, weight: Array, symplectic: bool) -> tuple[Array, Array]:
    """Half the trace of the damped Jacobian, and its determinant."""
    a_d, a_g = slopes
    coupling = a_d * a_g
    if symplectic:
        mean = (a_d + a_g) / 2
        return weight * mean**2, coupling * (1 + (weight * mean) ** 2)
    return weight * (a_d**2 + a_g**2) / 2, coupling * (1 + weight**2 * coupling)
