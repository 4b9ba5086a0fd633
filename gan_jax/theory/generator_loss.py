"""What a generator minimises at the optimal discriminator, for a Gaussian model.

A model is ``params = [mean, log deviation]`` of a Gaussian on a line; its sample of a
standard normal z is ``mean + deviation z``. The data are a function, their log density.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax.losses import LOSSES
from gan_jax.theory import divergences

Array = jax.Array
LogDensity = Callable[[Array], Array]


def log_model(params: Array, x: Array) -> Array:
    """Log density of the model: ``x`` of any shape, the result of the same."""
    return jax.scipy.stats.norm.logpdf(x, params[0], jnp.exp(params[1]))


def quantiles(count: int) -> Array:
    """``[count]`` standard normals, evenly placed: their mean is a quadrature."""
    return jax.scipy.stats.norm.ppf((jnp.arange(count) + 0.5) / count)


def generator_loss(name: str, log_data: LogDensity, params: Array, z: Array) -> Array:
    """A generator's loss under the optimal discriminator of its model as it is.

    The discriminator ``h = log p - log q`` is held while the generator moves, as in
    training. Its gradient is then that of a divergence of the model q from the data p:

    =============  =========================  ==================================
    name           gradient of                source
    =============  =========================  ==================================
    minimax        ``2 JS(q, p)``             Goodfellow 2014, theorem 1
    nonsaturating  ``KL(q, p) - 2 JS(q, p)``  Arjovsky & Bottou 2017, theorem 2.5
    kl             ``KL(q, p)``               the sum of both
    =============  =========================  ==================================

    Args:
      name: in `LOSSES`.
      log_data: log density of the data, ``[batch] -> [batch]``.
      params: ``[2]``.
      z: standard normals, ``[batch]``.

    Returns:
      Scalar; of ``kl`` the value is the divergence as well.
    """
    x = params[0] + jnp.exp(params[1]) * z
    h = log_data(x) - log_model(jax.lax.stop_gradient(params), x)
    return LOSSES[name].generator(h, h)


def divergence(name: str, log_data: LogDensity, params: Array, grid: Array) -> Array:
    """The divergence whose gradient `generator_loss` has, by quadrature.

    Args:
      name: "minimax", "nonsaturating" or "kl"; or "likelihood" for the forward
        ``KL(p, q)`` that maximum likelihood minimises.
      log_data: log density of the data, ``[batch] -> [batch]``.
      params: ``[2]``.
      grid: ``[points]``, evenly spaced.

    Returns:
      Scalar.
    """
    log_p, log_q = log_data(grid), log_model(params, grid)
    if name == "likelihood":
        return divergences.kl(log_p, log_q, grid)
    reverse = divergences.kl(log_q, log_p, grid)
    twice_js = 2 * divergences.jensen_shannon(log_p, log_q, grid)
    return {
        "minimax": twice_js,
        "nonsaturating": reverse - twice_js,
        "kl": reverse,
    }[name]
