"""Stochastic gradient descent: how fast it converges where the function is convex.

Steps are ``theta_{j+1} = P(theta_j - a_j g_j)`` for j = 1, 2, ..., with ``a_j = rate /
j^power``, ``E g_j = grad f(theta_j)`` and P the projection onto a convex set. Below, c
is the constant of strong convexity, alpha the rate of steps ``alpha / j``, sigma the
deviation of the noise in each entry of g, and ``E |g|^2 <= M^2`` on the set.

Source: Nemirovski, Juditsky, Lan, Shapiro 2009, section 2.1,
https://doi.org/10.1137/070704277
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special
from optax import projections

Array = jax.Array

# Onto convex sets: for each of them |P x - P y| <= |x - y|.
CONVEX_SETS: dict[str, Callable[[Array], Array]] = {
    "box": lambda x: projections.projection_box(x, -0.5, 1.0),
    "l2 ball": projections.projection_l2_ball,
    "l1 ball": projections.projection_l1_ball,
    "simplex": projections.projection_simplex,
    "half-space": lambda x: projections.projection_halfspace(x, jnp.ones_like(x), 1.0),
    "hyperplane": lambda x: projections.projection_hyperplane(x, jnp.ones_like(x), 1.0),
    "non-negative": projections.projection_non_negative,
}


class Problem(NamedTuple):
    """What is descended, how, and what is measured on the way.

    Attributes:
      gradient: ``(theta [d], noise [d]) -> g [d]``; each noise is uniform, with mean 0
        and variance 1.
      measure: ``theta [d] -> `` scalar.
      start: ``theta_1``, ``[d]``.
      schedules: rate and power of the steps ``rate / j^power``, ``[s, 2]``.
      project: ``[d] -> [d]``.
    """

    gradient: Callable[[Array, Array], Array]
    measure: Callable[[Array], Array]
    start: Any
    schedules: Any
    project: Callable[[Array], Array] = lambda theta: theta


def schedules(*rates: float, power: float = 1.0) -> np.ndarray:
    """Steps ``rate / j^power`` for each rate, as `Problem` has them, ``[s, 2]``."""
    return np.array([(rate, power) for rate in rates], np.float32)


def mean_paths(
    problems: Mapping[str, Problem], key: Array, runs: int, num_steps: int
) -> dict[str, Array]:
    """Descends every problem by every schedule, many times, in one program.

    Args:
      problems: of one dimension d; all of them, and all schedules, see the same noise.
      key: of the noise.
      runs: how many of each, independent.
      num_steps: n.

    Returns:
      For each problem the mean over the runs of its measure of ``theta_1`` to
      ``theta_n``, ``[s, n]``.
    """
    starts = [jnp.asarray(problem.start) for problem in problems.values()]
    chex.assert_rank(starts, 1)
    chex.assert_equal_shape(starts)
    shape, edge = (runs, len(starts[0])), math.sqrt(3)

    def body(thetas: dict[str, Array], j: Array) -> tuple[dict[str, Array], Any]:
        key_j = jax.random.fold_in(key, j)
        noise = jax.random.uniform(key_j, shape, minval=-edge, maxval=edge)
        moved, means = {}, {}
        for name, problem in problems.items():
            step = jax.vmap(partial(_step, problem, j), (0, 0, None))  # the runs
            sweep = jax.vmap(step, (0, None, 0))  # the schedules
            moved[name] = sweep(thetas[name], noise, jnp.asarray(problem.schedules))
            means[name] = jax.vmap(jax.vmap(problem.measure))(thetas[name]).mean(axis=1)
        return moved, means

    first = {
        name: jnp.broadcast_to(start, (len(problem.schedules), *shape))
        for (name, problem), start in zip(problems.items(), starts, strict=True)
    }
    means = jax.lax.scan(body, first, jnp.arange(1, num_steps + 1))[1]
    return {name: values.T for name, values in means.items()}


def _step(
    problem: Problem, j: Array, theta: Array, noise: Array, schedule: Array
) -> Array:
    """From ``theta_j`` to ``theta_{j+1}``, ``[d]``."""
    rate, power = schedule
    step = rate / j.astype(theta.dtype) ** power
    return problem.project(theta - step * problem.gradient(theta, noise))


def slope(errors: np.ndarray, first: int) -> float:
    """Of log errors over log j, from j = ``first``, every unit of log j alike.

    Args:
      errors: at j = 1 to n, ``[n]``.
      first: where the fit begins.

    Returns:
      The power of j with which they change.
    """
    j = np.arange(first, len(errors) + 1)
    return np.polyfit(np.log(j), np.log(errors[first - 1 :]), 1, w=j**-0.5)[0]


def late(values: np.ndarray) -> np.ndarray:
    """Mean over the second half of the steps, the last axis."""
    return values[..., values.shape[-1] // 2 :].mean(axis=-1)


def bound(rate: Array, convexity: Array, moment: Array) -> Array:
    """Q of ``E |theta_j - theta*|^2 / 2 <= Q / j``, for the steps ``alpha / j``.

    Half the squared error obeys ``e_{j+1} <= (1 - 2 c alpha / j) e_j + alpha^2 M^2 / (2
    j^2)``. From ``e_j <= Q / j`` follows ``e_{j+1} <= Q / j - Q / j^2 < Q / (j + 1)``,
    unless the factor of ``e_j`` is negative, as it is for ``j < 2 c alpha``: there the
    induction of the source has a gap, and Q / j can fail (`bound_from`).

    The source takes the maximum with the error of the start, which is never the larger:
    strong convexity makes ``|theta - theta*| <= M / c`` all over the set, and ``Q >=
    M^2 / (2 c^2)`` since ``(c alpha)^2 >= 2 c alpha - 1``.

    Args:
      rate: alpha.
      convexity: c.
      moment: M^2.

    Returns:
      ``alpha^2 M^2 / (2 (2 c alpha - 1))``; NaN unless ``2 c alpha > 1``.

    Source: Nemirovski et al. 2009, eq. 2.9 and 2.10.
    """
    excess = jnp.asarray(2 * convexity * rate - 1)
    return jnp.where(excess > 0, rate**2 * moment / (2 * excess), jnp.nan)


def bound_from(rate: float, convexity: float) -> int:
    """From which j on, at the latest, ``Q / j`` is a bound whatever the problem.

    It is for j = 1, too. It can begin sooner: for ``c alpha <= 3/4`` the recursion of
    `bound` proves it for every j, and for a whole ``2 c alpha`` from one j earlier on.

    Let ``n = floor(2 c alpha)`` and ``u = n + 1 - 2 c alpha``, in (0, 1]. The factor of
    ``e_n`` is not positive: ``e_{n+1} <= alpha^2 M^2 / (2 n^2)``. The next step comes
    below ``Q / (n + 2)``: ``n^2 (n + 1)^2 - (n - u)(n + 2)(n^2 + u (n + 1))`` is ``n^2
    (1 - u + u^2) - n (2 u - 3 u^2) + 2 u^2``, which is positive: its discriminant in n
    is ``u^2 (u^2 - 4 u - 4)``, below 0.

    Args:
      rate: alpha.
      convexity: c.

    Returns:
      ``floor(2 c alpha) + 2``.
    """
    return math.floor(2 * convexity * rate) + 2


def moment(curvatures: Array, farthest: Array, noise: Array) -> Array:
    """M^2 of ``sum_i h_i (theta_i - t_i)^2 / 2`` on a set.

    Args:
      curvatures: h, ``[d]``.
      farthest: ``|theta_i - t_i|`` where the gradient is steepest, ``[d]``. In a box
        around 0 that is ``edge + |t_i|``, and in a ball, for equal h, ``(1 + radius /
        |t|) |t_i|``.
      noise: sigma.

    Returns:
      ``sum_i h_i^2 farthest_i^2 + d sigma^2``.
    """
    chex.assert_equal_shape([curvatures, farthest])
    return jnp.sum(curvatures**2 * farthest**2 + noise**2)


def curvature_on_ball(curvature: Array, distance: Array, radius: Array) -> Array:
    """Curvature along the sphere of ``h |theta - t|^2 / 2``, with t outside the ball.

    At the optimum, ``radius t / |t|``, the gradient is normal to the sphere and has
    length ``h (|t| - radius)``; over the radius, that adds to h.

    Args:
      curvature: h.
      distance: ``|t|``.
      radius: of the ball.

    Returns:
      ``h |t| / radius``.
    """
    return curvature * distance / radius


def squared_errors(steps: Array, curvature: Array, noise: Array, start: Array) -> Array:
    """``E theta_j^2`` of ``h theta^2 / 2``, exactly, whatever the steps.

    Args:
      steps: ``a_1`` to ``a_n``, ``[n]``.
      curvature: h.
      noise: sigma.
      start: ``theta_1``.

    Returns:
      ``e_{j+1} = (1 - h a_j)^2 e_j + a_j^2 sigma^2`` from ``e_1 = theta_1^2``, ``[n]``.
    """

    def body(error: Array, a: Array) -> tuple[Array, Array]:
        return (1 - curvature * a) ** 2 * error + a**2 * noise**2, error

    first = jnp.asarray(start, steps.dtype) ** 2
    return jax.lax.scan(body, first, steps)[1]


def limit(rate: Array, curvature: Array, noise: Array) -> Array:
    """What ``j E theta_j^2`` of ``h theta^2 / 2`` goes to, for the steps ``alpha / j``.

    For ``2 h alpha < 1`` there is none: ``E theta_j^2`` falls as ``j^(-2 h alpha)``, as
    without noise. Of many directions the flattest decides.

    Args:
      rate: alpha.
      curvature: h.
      noise: sigma.

    Returns:
      ``alpha^2 sigma^2 / (2 h alpha - 1)``; NaN unless ``2 h alpha > 1``.
    """
    excess = jnp.asarray(2 * curvature * rate - 1)
    return jnp.where(excess > 0, rate**2 * noise**2 / excess, jnp.nan)


def noiseless(product: Array, j: Array) -> Array:
    """``theta_j / theta_1`` of ``h theta^2 / 2``, for steps ``alpha / j`` and no noise.

    ``prod_{k<j} (1 - h alpha / k)`` is ``Gamma(j - h alpha) / (Gamma(j) Gamma(1 - h
    alpha))``, and ``j^(-h alpha) / Gamma(1 - h alpha)`` for large j. It is computed as
    ``B(j - h alpha, h alpha) sin(pi h alpha) / pi``, which keeps its digits.

    Args:
      product: ``h alpha``, in (0, 1).
      j: from 1.

    Returns:
      The factor, of the broadcast shape.

    Source: Nemirovski et al. 2009, section 2.1, where it is bounded for 1/5.
    """
    beta = jnp.exp(special.betaln(j - product, product))
    return beta * jnp.sin(jnp.pi * product) / jnp.pi
