"""Hessian-free optimisation, as an optax optimiser.

Source: Martens 2010, https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax.theory.second_order.conjugate_gradients import conjugate_gradients
from gan_jax.theory.second_order.products import CURVATURES

Array = jax.Array
_HALVINGS = 20  # of a step, at most
_TINY = 1e-30
_DAMPINGS = 1e-12, 1e12  # between which it is held, if it is not 0


class HessianFreeState(NamedTuple):
    """What `hessian_free` keeps, and what it says of its last step.

    Attributes:
      damping: lambda of the next step.
      direction: of the last step, where the next one's search begins.
      ratio: actual over predicted decrease of the loss.
      num_products: products with the curvature matrix in all steps so far.
      num_losses: values of the loss in all steps so far.
      least_curvature: the least that the last search met, damping not included.
      negative: whether that search ended at negative curvature, damping included.
    """

    damping: Array
    direction: Any
    ratio: Array
    num_products: Array
    num_losses: Array
    least_curvature: Array
    negative: Array


def hessian_free(
    curvature: Literal["gauss_newton", "hessian"] = "gauss_newton",
    *,
    damping: float = 1.0,
    max_steps: int = 250,
    tolerance: float = 5e-4,
    warm_start: float = 0.95,
) -> optax.GradientTransformationExtraArgs:
    """Truncated Newton steps with Levenberg-Marquardt damping, as an optax optimiser.

    A step minimises ``g^T d + d^T (B + lambda I) d / 2`` by `conjugate_gradients`. With
    the ratio of the loss's decrease to that of ``g^T d + d^T B d / 2``, lambda is
    multiplied by 2/3 above 3/4, and by 3/2 below 1/4 or where the loss is not finite.
    It stays where less is promised than the loss is rounded by. A step is halved until
    the loss falls by a hundredth of what its slope promises, twenty times at most, and
    is not taken where the loss does not fall. With the Hessian the search may end at
    negative curvature: the step is then the one that it had reached, perhaps none
    (Nocedal & Wright would descend the gradient there), and lambda is multiplied by
    3/2, which helps only if it is not 0.

    ``update`` takes, beside gradients, state and params, ``model`` and ``output_loss``:
    the loss is ``output_loss(model(params))``, of the same batch as the gradients,
    which must be its own: clipped or averaged before, they make the ratio meaningless.
    As with `optax.lbfgs`, there is no learning rate.

    Args:
      curvature: B: the Gauss-Newton matrix, or the Hessian, which may be indefinite.
      damping: lambda of the first step; 0 stays 0.
      max_steps: of conjugate gradients, a step.
      tolerance: as in `conjugate_gradients`.
      warm_start: the search begins at this times the last direction.

    Returns:
      The optimiser; its state is a `HessianFreeState`.

    Raises:
      ValueError: another curvature.

    Source: Martens 2010, section 4, without his preconditioner and his backtracking
    over iterates
    """

    if curvature not in CURVATURES:
        raise ValueError(f"curvature {curvature!r} must be one of {[*CURVATURES]}")

    def init(params: Any) -> HessianFreeState:
        zero = jnp.zeros_like(optax.tree.norm(params))
        return HessianFreeState(
            zero + damping,
            optax.tree.zeros_like(params),
            zero,
            jnp.array(0),
            jnp.array(0),
            zero,
            jnp.array(False),
        )

    def update(
        gradients: Any,
        state: HessianFreeState,
        params: Any = None,
        *,
        model: Callable[[Any], Any],
        output_loss: Callable[[Any], Array],
        **others: Any,
    ) -> tuple[Any, HessianFreeState]:
        del others
        if params is None:
            raise ValueError("hessian_free moves params: give them to update")
        product = CURVATURES[curvature](model, output_loss, params)
        found = conjugate_gradients(
            lambda v: optax.tree.add_scale(product(v), state.damping, v),
            optax.tree.scale(-1, gradients),
            optax.tree.scale(warm_start, state.direction),
            max_steps=max_steps,
            tolerance=tolerance,
        )
        damped = state.damping * optax.tree.vdot(found.x, found.x) / 2
        predicted = found.value - damped
        slope = optax.tree.vdot(gradients, found.x)
        loss = output_loss(model(params))

        def decrease(length: Array) -> Array:
            moved = optax.tree.add_scale(params, length, found.x)
            return loss - output_loss(model(moved))

        def too_far(search: tuple[Array, Array, Array]) -> Array:
            tries, length, gained = search
            enough = (gained > 0) & (gained >= -1e-2 * length * slope)
            return ~enough & (tries < _HALVINGS)

        def halve(search: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            tries, length, _ = search
            return tries + 1, length / 2, decrease(length / 2)

        whole = jnp.ones_like(slope)
        full = decrease(whole)
        start = (jnp.array(0), whole, full)
        tries, length, gained = jax.lax.while_loop(too_far, halve, start)
        ratio = jnp.where(predicted < 0, -full / jnp.minimum(predicted, -_TINY), 0)
        change = jnp.where(ratio > 3 / 4, 2 / 3, jnp.where(ratio >= 1 / 4, 1, 3 / 2))
        rounding = 10 * jnp.finfo(loss.dtype).eps * jnp.abs(loss)
        change = jnp.where(-predicted <= rounding, 1, change)
        # Of Gauss-Newton's matrix negative curvature is rounding.
        negative = found.negative & (curvature == "hessian")
        changed = state.damping * jnp.where(negative, 3 / 2, change)
        least, most = _DAMPINGS
        nothing = optax.tree.zeros_like(params)
        known = jnp.isfinite(predicted)
        step = optax.tree.scale(length, found.x)
        return optax.tree.where(gained > 0, step, nothing), HessianFreeState(
            jnp.where(state.damping > 0, jnp.clip(changed, least, most), 0),
            optax.tree.where(known, found.x, nothing),
            ratio,
            state.num_products + found.num_products,
            state.num_losses + 2 + tries,
            found.least_curvature - state.damping,
            negative,
        )

    return optax.GradientTransformationExtraArgs(init, update)
