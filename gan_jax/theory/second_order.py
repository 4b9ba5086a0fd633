"""Second derivatives as products with vectors, and Hessian-free optimisation with them.

No matrix is ever formed: a product costs a few gradients, whatever the number of
parameters, which are float32 or float64. A loss here is ``output_loss(model(params))``:
``model`` gives outputs, any pytree (logits of a batch, real and fake ones), and
``output_loss`` is a scalar of them.

Sources: Pearlmutter 1994, https://doi.org/10.1162/neco.1994.6.1.147; Schraudolph 2002,
https://doi.org/10.1162/08997660260028683; Martens 2010,
https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

Array = jax.Array
Product = Callable[[Any], Any]  # v to A v, both like the params

_HALVINGS = 20  # of a step, at most
_TINY = 1e-30
_DAMPINGS = 1e-12, 1e12  # between which it is held, if it is not 0


def hvp(loss: Callable[[Any], Array], params: Any, v: Any) -> Any:
    """Hessian-vector product ``H v``, forward over reverse: ``jvp(grad(loss))``.

    Args:
      loss: ``params -> scalar``.
      params: where, a pytree.
      v: of the same structure.

    Returns:
      The same structure.

    Source: Pearlmutter 1994
    """
    return jax.jvp(jax.grad(loss), (params,), (v,))[1]


def hvp_reverse(loss: Callable[[Any], Array], params: Any, v: Any) -> Any:
    """`hvp`, reverse over forward: the gradient of the slope ``grad(loss)^T v``."""
    return jax.grad(lambda p: jax.jvp(loss, (p,), (v,))[1])(params)


def gauss_newton_vp(
    model: Callable[[Any], Any],
    output_loss: Callable[[Any], Array],
    params: Any,
    v: Any,
) -> Any:
    """``B v = J^T (rho'' (J v))``, the Hessian without the model's own curvature.

    J are the derivatives of the outputs, rho'' is the Hessian of ``output_loss`` by
    them. B is positive semi-definite where ``output_loss`` is convex, and it is the
    Hessian where the model is linear.

    Args:
      model: ``params -> outputs``, a pytree.
      output_loss: ``outputs -> scalar``, convex.
      params: where, a pytree.
      v: of the same structure.

    Returns:
      The same structure.

    Source: Schraudolph 2002, section 3.3
    """
    return gauss_newton(model, output_loss, params)(v)


def gauss_newton(
    model: Callable[[Any], Any], output_loss: Callable[[Any], Array], params: Any
) -> Product:
    """`gauss_newton_vp` at one point: the model's own pass is made once for all v."""
    outputs, forward = jax.linearize(model, params)
    backward = jax.linear_transpose(forward, params)
    return lambda v: backward(hvp(output_loss, outputs, forward(v)))[0]


def hessian(
    model: Callable[[Any], Any], output_loss: Callable[[Any], Array], params: Any
) -> Product:
    """`hvp` of ``output_loss(model(params))`` at one point, for all v."""
    return jax.linearize(jax.grad(lambda p: output_loss(model(p))), params)[1]


CURVATURES = {"gauss_newton": gauss_newton, "hessian": hessian}


class Solution(NamedTuple):
    """What conjugate gradients have come to.

    Attributes:
      x: the solution, or as far as they came; like ``b``.
      value: ``x^T A x / 2 - b^T x``.
      num_products: with A.
      least_curvature: the least ``p^T A p / p^T p`` of the directions p they took.
      negative: whether they met a direction of negative curvature, and stopped there.
    """

    x: Any
    value: Array
    num_products: Array
    least_curvature: Array
    negative: Array


class _Search(NamedTuple):
    """Conjugate gradients on their way; ``values`` has one of each step so far."""

    step: Array
    x: Any
    residual: Any
    direction: Any
    values: Array
    least: Array
    negative: Array
    ended: Array


def conjugate_gradients(
    product: Product,
    b: Any,
    start: Any | None = None,
    *,
    max_steps: int = 250,
    tolerance: float = 5e-4,
) -> Solution:
    """Minimises ``q(x) = x^T A x / 2 - b^T x``, for truncated Newton steps.

    `jax.scipy.sparse.linalg.cg` stops by the residual, and takes A to be positive
    definite. This one stops by progress, as Martens does: after step i, when ``q(x_i) <
    0`` and the last ``k = max(10, i / 10)`` steps have brought less than ``k
    tolerance`` of it. And it stops at a direction p with ``p^T A p < 0``, where q has
    no minimum, keeps what it has and says so. It stops as well where ``p^T A p`` is 0
    to rounding, and at NaN. Of a singular A that is positive semi-definite, rounding
    may make either of the two.

    Args:
      product: ``v -> A v``, A symmetric.
      b: a pytree.
      start: where to begin, as the solution of a system before; 0 by default, and
        where ``q(start) > 0``.
      max_steps: at most.
      tolerance: least relative progress a step; 0 to go on to rounding errors.

    Returns:
      The solution.

    Source: Martens 2010, section 4.4; Nocedal & Wright 2006, algorithm 7.1
    """
    dot, add_scaled = optax.tree.vdot, optax.tree.add_scale

    def value(x: Any, residual: Any) -> Array:
        return -dot(x, optax.tree.add(b, residual)) / 2  # as A x = b - residual

    norm = dot(b, b)
    rounding = 10 * jnp.finfo(norm.dtype).eps
    if start is None:
        x, residual = optax.tree.zeros_like(b), b
    else:
        residual = optax.tree.sub(b, product(start))
        helps = value(start, residual) <= 0
        x = optax.tree.where(helps, start, optax.tree.zeros_like(b))
        residual = optax.tree.where(helps, residual, b)

    def go_on(search: _Search) -> Array:
        i, values = search.step, search.values
        back = jnp.maximum(10, i // 10)
        now, before = values[i], values[jnp.maximum(i - back, 0)]
        slow = (i > back) & (now < 0) & (before - now < -now * back * tolerance)
        rest = dot(search.residual, search.residual)
        solved = rest <= rounding**2 * norm
        ended = slow | solved | search.ended | ~jnp.isfinite(now)
        return (i < max_steps) & ~ended

    def step(search: _Search) -> _Search:
        _, x, residual, p, *_ = search
        image = product(p)
        squares = dot(residual, residual)
        curvature = dot(p, image) / dot(p, p)
        noise = rounding * jnp.sqrt(dot(image, image) / dot(p, p))
        flat = curvature <= noise
        length = jnp.where(flat, 0, squares / jnp.where(flat, 1, dot(p, image)))
        x = add_scaled(x, length, p)
        residual = add_scaled(residual, -length, image)
        p = add_scaled(residual, dot(residual, residual) / squares, p)
        return _Search(
            search.step + 1,
            x,
            residual,
            p,
            search.values.at[search.step + 1].set(value(x, residual)),
            jnp.minimum(search.least, curvature),
            curvature < -noise,
            flat,
        )

    values = jnp.zeros(max_steps + 1, norm.dtype).at[0].set(value(x, residual))
    infinity, no = jnp.full_like(norm, jnp.inf), jnp.array(False)
    search = _Search(jnp.array(0), x, residual, residual, values, infinity, no, no)
    search = jax.lax.while_loop(go_on, step, search)
    return Solution(
        search.x,
        search.values[search.step],
        search.step + (start is not None),
        search.least,
        search.negative,
    )


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
    negative curvature: the step is then the one that it had come to, perhaps none
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
