"""Moving averages of weights whose length grows with training.

The average at step t is the mean of all weights so far under a density proportional to
(time / t)^gamma on [0, t]: its width is a fixed share of the training, at any step
(Karras et al. 2024, https://arxiv.org/abs/2312.02696, section 3.1).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError

LONGEST = 12**-0.5  # of equal weights since the first step: gamma is 0
_GROWTH = 0.03  # steps a step; the best share of 3 to 30 epochs: docs/quality.md


def decay(
    usual: ArrayLike, step: jax.Array, *, grows_from: int = 0, warmup: bool = True
) -> jax.Array:
    """What a training step's moving average keeps of itself.

    Args:
      usual: decay while the average does not grow.
      step: that has just been taken, from 1; integer.
      grows_from: step after which it does: its length, 1 / (1 - decay) steps, becomes
        3 longer in 100 steps, and so 3 % of the training in the end; 0 for never.
      warmup: whether it is at most step / (step + 9), so that the initial weights are
        forgotten.

    Returns:
      A float32 scalar. An average of decay 1 - c / step is nearly the one above with
      gamma = c - 1.
    """
    taken = step.astype(jnp.float32)
    if grows_from:
        length = 1 / (1 - usual) + _GROWTH * (taken - grows_from)
        usual = jnp.where(step > grows_from, 1 - 1 / length, usual)
    return jnp.minimum(usual, taken / (taken + 9) if warmup else 1.0)


def exponent(length: float) -> float:
    """The gamma of an average of some length.

    Args:
      length: standard deviation of the density, as a share of the training so far.

    Returns:
      The gamma of at least 0 with ``(gamma + 1) / ((gamma + 2)^2 (gamma + 3)) =
      length^2`` (Karras et al. 2024, appendix C.1 and algorithm 2).

    Raises:
      UserError: the length is not in (0, 1 / sqrt(12)].
    """
    if not 0 < length <= LONGEST:
        raise UserError(
            f"an average's length is a share of the training above 0 and at most"
            f" {LONGEST:.3f}, which is all of it with equal weights, not {length}"
        )
    square = length**-2
    roots = np.roots([1, 7, 16 - square, 12 - square])
    return max(float(roots.real.max()), 0.0)


def new_shares(gammas: ArrayLike, before: int, step: int) -> np.ndarray:
    """What each average takes of the weights from one step to another.

    Args:
      gammas: of the averages, ``[averages]``.
      before: step at which they were last updated; 0 for never.
      step: after it.

    Returns:
      ``1 - (before / step)^(gamma + 1)``, float32 ``[averages]``: right where the
      weights do not change between the two steps, and to all digits late in training,
      when it is near 0.
    """
    if before == 0:
        return np.ones(np.shape(gammas), np.float32)
    exponents = (np.asarray(gammas, np.float64) + 1) * np.log1p((before - step) / step)
    return np.float32(-np.expm1(exponents))


def update(averages: Any, weights: Any, shares: ArrayLike) -> Any:
    """Averages after some more steps.

    Args:
      averages: as ``weights``, each leaf with a first axis of the averages.
      weights: a pytree of arrays.
      shares: of `new_shares`, ``[averages]``.

    Returns:
      ``(1 - share) * average + share * weights`` for each; of a share of 1 the weights,
      whatever the average was.
    """

    def one(average: Any, share: jax.Array) -> Any:
        return jax.tree.map(
            lambda a, now: jnp.where(share == 1, now, a + share * (now - a)),
            average,
            weights,
        )

    return jax.vmap(one)(averages, jnp.asarray(shares))
