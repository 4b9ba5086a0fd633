"""Linear conjugate gradients that stop by progress.

Source: Martens 2010, section 4.4,
https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax.theory.second_order.products import Product

Array = jax.Array


class Solution(NamedTuple):
    """The result of conjugate gradients.

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
