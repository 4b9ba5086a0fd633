"""The Dirac-GAN: the smallest GAN, whose training can be solved.

All data are 0, the generator draws ``theta``, the discriminator's logit is ``h(x) = psi
x``. The players' point is the array ``[theta, psi]``, and the only equilibrium is ``[0,
0]``. Source: Mescheder et al. 2018, definition 2.1, https://arxiv.org/abs/1801.04406
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax.losses import LOSSES, GANLoss
from gan_jax.penalties import PENALTIES, Penalty

Array = jax.Array
Gradients = Callable[[Array], Array]
Slopes = tuple[float, float]

# (a_D, a_G): the slopes d L_D / d h_f and -d L_G / d h_f at h = 0.
SLOPES: dict[str, Slopes] = {
    "minimax": (1 / 2, 1 / 2),
    "nonsaturating": (1 / 2, 1 / 2),
    "kl": (1 / 2, 1.0),
    "wasserstein": (1.0, 1.0),
    "hinge": (1.0, 1.0),
    "relativistic": (1 / 2, 1 / 2),
}
COUPLINGS = {loss: a_d * a_g for loss, (a_d, a_g) in SLOPES.items()}


@dataclasses.dataclass(frozen=True)
class Rule:
    """How the players move.

    Attributes:
      loss: name in `SLOPES`.
      penalty: name in `PENALTIES`, or None.
      weight: factor of the penalty.
      alternating: whether the generator waits for the discriminator's step.
    """

    loss: str
    penalty: str | None = None
    weight: float | Array = 0.0
    alternating: bool = True

    def step(self, point: Array, rate: Array, clip: Array | float = jnp.inf) -> Array:
        """The next point; ``clip`` bounds psi."""
        penalty = PENALTIES[self.penalty] if self.penalty else None
        field = gradients(LOSSES[self.loss], penalty, self.weight)
        if self.alternating:
            return alternating_step(field, point, rate, clip)
        return simultaneous_step(field, point, rate, clip)

    def eigenvalues(self, rate: Array) -> Array:
        """`eigenvalues` of the rule's step at the equilibrium, ``[..., 2]``.

        Raises:
          ValueError: the penalty is not smooth there, as ``psi^2 / 2`` is.
        """
        shares = {None: 0, "r1": 1, "r2": 1, "r1_r2": 2}
        if self.penalty not in shares:
            raise ValueError(f"{self.penalty} has no derivative at the equilibrium")
        damping = self.weight * shares[self.penalty]
        return eigenvalues(
            COUPLINGS[self.loss], damping, rate, alternating=self.alternating
        )


def gradients(
    loss: GANLoss, penalty: Penalty | None = None, weight: float | Array = 0.0
) -> Gradients:
    """Each player's gradient of its own loss, in the Dirac-GAN.

    Args:
      loss: what the players minimise.
      penalty: on the discriminator, or None.
      weight: factor of the penalty.

    Returns:
      ``[theta, psi] -> [d L_G / d theta, d L_D / d psi]``.
    """

    def logits(theta: Array, psi: Array) -> tuple[Array, Array]:
        return jnp.zeros(1) * psi, theta[None] * psi

    def generator_loss(theta: Array, psi: Array) -> Array:
        return loss.generator(*logits(theta, psi))

    def discriminator_loss(psi: Array, theta: Array) -> Array:
        value = loss.discriminator(*logits(theta, psi))
        if penalty is not None:
            # The critic is linear: its slope is the same wherever a key places x.
            keys = jax.random.split(jax.random.key(0), 1)
            points = (jnp.zeros(1), theta[None])
            value += weight * penalty(lambda x: psi * x, *points, keys, None)
        return value

    def field(point: Array) -> Array:
        theta, psi = point
        return jnp.stack(
            [
                jax.grad(generator_loss)(theta, psi),
                jax.grad(discriminator_loss)(psi, theta),
            ]
        )

    return field


def simultaneous_step(
    field: Gradients, point: Array, rate: Array, clip: float | Array = jnp.inf
) -> Array:
    """Both players take a gradient step from the same point; then psi is clipped.

    Args:
      field: what `gradients` gives.
      point: ``[theta, psi]``.
      rate: learning rate of both.
      clip: bound of psi.

    Returns:
      The next point.
    """
    theta, psi = point - rate * field(point)
    return jnp.stack([theta, jnp.clip(psi, -clip, clip)])


def alternating_step(
    field: Gradients, point: Array, rate: Array, clip: float | Array = jnp.inf
) -> Array:
    """The discriminator steps, is clipped, and then the generator sees it.

    That is `gan_jax.training.train_step` with plain gradient descent.

    Args and returns as in `simultaneous_step`.
    """
    psi = jnp.clip(point[1] - rate * field(point)[1], -clip, clip)
    moved = jnp.stack([point[0], psi])
    return jnp.stack([point[0] - rate * field(moved)[0], psi])


def trajectory(step: Callable[[Array], Array], start: Array, num_steps: int) -> Array:
    """``[num_steps + 1, 2]``: the start, and the points after it."""

    def body(point: Array, _: None) -> tuple[Array, Array]:
        point = step(point)
        return point, point

    points = jax.lax.scan(body, start, None, num_steps)[1]
    return jnp.concatenate([start[None], points])


def eigenvalues(
    coupling: Array, damping: Array, rate: Array, *, alternating: bool
) -> Array:
    """Eigenvalues of the update at the equilibrium of the Dirac-GAN, in closed form.

    With the slopes ``a_D = d L_D / d h_f`` and ``a_G = -d L_G / d h_f`` at ``h = 0``,
    and a penalty that is ``gamma psi^2 / 2``, simultaneous steps of rate h are ``I + h
    [[0, a_G], [-a_D, -gamma]]``, with eigenvalues ``1 + h (-gamma +- sqrt(gamma^2 - 4
    a_D a_G)) / 2``. Of alternating ones, the trace is ``2 - h^2 a_D a_G - h gamma`` and
    the determinant ``1 - h gamma``.

    Without a penalty, therefore, simultaneous steps have modulus ``sqrt(1 + h^2 a_D
    a_G) > 1`` and spiral out; alternating ones exactly 1 (for ``h^2 a_D a_G < 4``) and
    go round for ever. With one, and h small, both converge: the modulus is ``sqrt(1 - h
    gamma)`` to first order while they go round (``gamma^2 < 4 a_D a_G``), and nearer to
    1 beyond.

    Args:
      coupling: ``a_D a_G``: 1/4 for minimax, nonsaturating and relativistic, 1/2 for
        kl, 1 for Wasserstein's and the hinge.
      damping: gamma.
      rate: h.
      alternating: which update.

    Returns:
      Complex, ``[..., 2]``, for the broadcast shape ``[...]`` of the arguments.

    Source: Mescheder et al. 2018, section 2 and section 4,
    https://arxiv.org/abs/1801.04406; here with a penalty for alternating steps too.
    """
    coupling, damping, rate = jnp.broadcast_arrays(coupling, damping, rate)
    if alternating:
        trace = 2 - rate**2 * coupling - rate * damping
        determinant = 1 - rate * damping
    else:
        trace = 2 - rate * damping
        determinant = 1 - rate * damping + rate**2 * coupling
    root = jnp.sqrt((trace**2 / 4 - determinant).astype(jnp.complex64))
    return jnp.stack([trace / 2 - root, trace / 2 + root], axis=-1)


def penalised_amplitude(weight: Array) -> Array:
    """Where a Wasserstein critic with a two-sided gradient penalty ends.

    In the flow ``theta' = psi``, ``psi' = -theta - 2 weight (|psi| - 1) sign(psi)``,
    the penalty pushes psi from 0, where the equilibrium is, to +-1. For a weight of 1
    or more the motion for one sign of psi is overdamped, and it settles where psi can
    no longer change its sign: at ``|theta| = 2 weight``, psi = 0.

    Args:
      weight: lambda of Gulrajani et al. 2017, eq. 3, at least 1.

    Returns:
      The largest ``|theta|`` in the end; NaN for a weight below 1, with which the
      players go round (`SMALL_WEIGHT_AMPLITUDE`).
    """
    return jnp.where(weight >= 1, 2 * weight, jnp.nan)


# The same for a weight that goes to 0: a circle on which the penalty does as much work
# as it undoes, <|psi|> = <psi^2>. With alternating steps of rate 0.05 the largest
# |theta| is 0.1 % above it at a weight of 0.1, and 8 % at 0.5.
SMALL_WEIGHT_AMPLITUDE = 4 / math.pi


def nonsaturating_distance(start: Array, time: Array) -> Array:
    """How slowly the non-saturating GAN converges to the equilibrium in the Dirac-GAN.

    In the flow ``theta' = sigmoid(-theta psi) psi``, ``psi' = -sigmoid(theta psi)
    theta`` the distance r obeys ``(r^2)' = -2 theta psi tanh(theta psi / 2)``: 0 to
    second order, and ``-r^4 / 8`` averaged over a turn. (For minimax it is 0: r stays.)

    Args:
      start: r at time 0, up to about 1.
      time: learning rate times alternating steps taken.

    Returns:
      ``1 / sqrt(1 / start^2 + time / 8)``.
    """
    return 1 / jnp.sqrt(1 / start**2 + time / 8)


def nonsaturating_amplitude(rate: Array) -> Array:
    """Where simultaneous steps of the non-saturating GAN end: at ``sqrt(2 rate)``.

    There the spiral out, ``r^2 rate / 4`` a unit of time, is what
    `nonsaturating_distance` takes back, ``r^4 / 8``.
    """
    return jnp.sqrt(2 * rate)
