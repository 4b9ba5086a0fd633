"""Second derivatives as products with vectors, and Hessian-free optimisation with them.

A product costs a few gradients, whatever the number of parameters, which are float32 or
float64. A loss here is ``output_loss(model(params))``: ``model`` gives outputs, any
pytree (logits of a batch, real and fake ones), and ``output_loss`` is a scalar of them.
"""

from gan_jax.theory.second_order.conjugate_gradients import (
    Solution,
    conjugate_gradients,
)
from gan_jax.theory.second_order.hessian_free import HessianFreeState, hessian_free
from gan_jax.theory.second_order.products import (
    CURVATURES,
    gauss_newton,
    hessian,
    hvp,
    hvp_reverse,
)

__all__ = [
    "CURVATURES",
    "HessianFreeState",
    "Solution",
    "conjugate_gradients",
    "gauss_newton",
    "hessian",
    "hessian_free",
    "hvp",
    "hvp_reverse",
]
