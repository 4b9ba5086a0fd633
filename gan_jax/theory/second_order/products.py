"""Products of second derivatives with vectors; no matrix is formed.

Sources: Pearlmutter 1994, https://doi.org/10.1162/neco.1994.6.1.147; Schraudolph 2002,
https://doi.org/10.1162/08997660260028683
"""

from collections.abc import Callable
from typing import Any

import jax

Array = jax.Array
Product = Callable[[Any], Any]  # v to A v, both like the params


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


def gauss_newton(
    model: Callable[[Any], Any], output_loss: Callable[[Any], Array], params: Any
) -> Product:
    """``B v = J^T (rho'' (J v))``, the Hessian without the model's own curvature.

    J are the derivatives of the outputs, rho'' is the Hessian of ``output_loss`` by
    them. B is positive semi-definite where ``output_loss`` is convex, and it is the
    Hessian where the model is linear. The model's own pass is made once for all v.

    Args:
      model: ``params -> outputs``, a pytree.
      output_loss: ``outputs -> scalar``, convex.
      params: where, a pytree.

    Returns:
      ``v -> B v``, both of the structure of ``params``.

    Source: Schraudolph 2002, section 3.3
    """
    outputs, forward = jax.linearize(model, params)
    backward = jax.linear_transpose(forward, params)
    return lambda v: backward(hvp(output_loss, outputs, forward(v)))[0]


def hessian(
    model: Callable[[Any], Any], output_loss: Callable[[Any], Array], params: Any
) -> Product:
    """`hvp` of ``output_loss(model(params))`` at one point, for all v."""
    return jax.linearize(jax.grad(lambda p: output_loss(model(p))), params)[1]


CURVATURES = {"gauss_newton": gauss_newton, "hessian": hessian}
