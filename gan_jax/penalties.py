"""Gradient penalties: pure functions of a critic.

A critic maps ONE example ``[...]`` to a scalar; ``jax.vmap(jax.grad(critic))`` gives
each example its own gradient. A conditional critic takes the example's label as its
second argument: pass the batch's as ``labels`` and each example closes over its own.

Every penalty has the same form, ``(critic, real, fake, keys, labels) -> scalar``,
with one random key per example: an example's random numbers do not depend on which
device, or beside which others, it is computed.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from gan_jax.errors import UserError

Array = jax.Array
Critic = Callable[..., Array]
Penalty = Callable[[Critic, Array, Array, Array, Array | None], Array]


def squared_gradient_norms(
    critic: Critic, points: Array, labels: Array | None = None
) -> Array:
    """``||grad critic(x)||_2^2`` of each example, over ALL axes of the example.

    Args:
      critic: ``x[...] -> scalar``, or ``(x[...], label) -> scalar``.
      points: where to take the gradient, ``[batch, ...]``.
      labels: ``[batch]``, or None for an unconditional critic.

    Returns:
      ``[batch]``.

    Raises:
      AssertionError: the critic gives something else than a scalar.
    """

    def scalar_critic(x: Array, *label: Array) -> Array:
        value = critic(x, *label)
        chex.assert_rank(value, 0)
        return value

    context = () if labels is None else (labels,)
    gradients = jax.vmap(jax.grad(scalar_critic))(points, *context)
    return jnp.sum(jnp.square(gradients), axis=tuple(range(1, points.ndim)))


def gradient_norms(critic: Critic, points: Array, labels: Array | None = None) -> Array:
    """``||grad critic(x)||_2`` of each example, differentiable where it is zero.

    The derivative of a square root at 0 is infinite, and infinity times the zero
    that flows into it is NaN; here the norm's own gradient at 0 is 0.

    Args and returns as in `squared_gradient_norms`.
    """
    squares = squared_gradient_norms(critic, points, labels)
    positive = squares > 0
    # Both branches are differentiated, so the unused one must be finite as well.
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def interpolate(real: Array, fake: Array, keys: Array) -> Array:
    """``a * fake + (1 - a) * real``, ``a ~ U[0, 1]`` drawn per example.

    Args:
      real: ``[batch, ...]``.
      fake: ``[batch, ...]``.
      keys: one random key per example, ``[batch]``.

    Returns:
      ``[batch, ...]``.
    """
    chex.assert_equal_shape([real, fake])
    mix = jax.vmap(lambda key: jax.random.uniform(key, dtype=real.dtype))(keys)
    mix = mix.reshape(-1, *[1] * (real.ndim - 1))
    return mix * fake + (1 - mix) * real


def gradient_penalty(
    critic: Critic, real: Array, fake: Array, keys: Array, labels: Array | None = None
) -> Array:
    """Two-sided WGAN-GP penalty ``E[(||grad critic(x_hat)||_2 - 1)^2]``.

    Args:
      critic: ``x[...] -> scalar`` (or with a label) for one example; no layer of it
        may mix examples.
      real: ``[batch, ...]``.
      fake: ``[batch, ...]``.
      keys: one random key per example, ``[batch]``; it places ``x_hat`` between the
        example's real and fake point (`interpolate`).
      labels: ``[batch]`` for a conditional critic.

    Returns:
      Scalar, at least 0; ``(||w|| - 1)^2`` for a linear critic ``w.x``.

    Source: Gulrajani et al. 2017, eq. 3, https://arxiv.org/abs/1704.00028
    """
    norms = gradient_norms(critic, interpolate(real, fake, keys), labels)
    return jnp.mean((norms - 1) ** 2)


def one_sided_gradient_penalty(
    critic: Critic, real: Array, fake: Array, keys: Array, labels: Array | None = None
) -> Array:
    """``E[relu(||grad critic(x_hat)||_2 - 1)^2]``: slopes under 1 cost nothing.

    Args and returns as in `gradient_penalty`.

    Source: Gulrajani et al. 2017, section 4; Petzka et al. 2018 (WGAN-LP),
    https://arxiv.org/abs/1709.08894
    """
    norms = gradient_norms(critic, interpolate(real, fake, keys), labels)
    return jnp.mean(jax.nn.relu(norms - 1) ** 2)


def dragan_penalty(
    critic: Critic,
    real: Array,
    fake: Array,
    keys: Array,
    labels: Array | None = None,
    *,
    scale: float = 0.5,
) -> Array:
    """``E[(||grad critic(x + delta)||_2 - 1)^2]`` around the data only.

    ``delta ~ N(0, scale^2 I)``, in the units of the data (pixels in [-1, 1]). The noise
    is the paper's; its authors' code has 0.5 as well, of the batch's deviation and with
    uniform numbers.

    Args:
      critic: as in `gradient_penalty`.
      real: ``[batch, ...]``.
      fake: not used.
      keys: one random key per example, ``[batch]``; it draws ``delta``.
      labels: ``[batch]`` for a conditional critic.
      scale: standard deviation of the noise.

    Returns:
      Scalar, at least 0.

    Source: Kodali et al. 2017, https://arxiv.org/abs/1705.07215
    """
    del fake

    def noise(key: Array) -> Array:
        return jax.random.normal(key, real.shape[1:], real.dtype)

    norms = gradient_norms(critic, real + scale * jax.vmap(noise)(keys), labels)
    return jnp.mean((norms - 1) ** 2)


def r1_penalty(
    critic: Critic, real: Array, fake: Array, keys: Array, labels: Array | None = None
) -> Array:
    """``E[||grad critic(x)||^2] / 2`` at real examples.

    Args as in `gradient_penalty`; ``fake`` and ``keys`` are not used.

    Returns:
      Scalar, at least 0.

    Source: Mescheder et al. 2018, eq. 9, https://arxiv.org/abs/1801.04406
    """
    del fake, keys
    return jnp.mean(squared_gradient_norms(critic, real, labels)) / 2


def r2_penalty(
    critic: Critic, real: Array, fake: Array, keys: Array, labels: Array | None = None
) -> Array:
    """``E[||grad critic(G(z))||^2] / 2`` at generated examples.

    Args as in `gradient_penalty`; ``real`` and ``keys`` are not used.

    Returns:
      Scalar, at least 0.

    Source: Mescheder et al. 2018, eq. 10, https://arxiv.org/abs/1801.04406
    """
    del real, keys
    return jnp.mean(squared_gradient_norms(critic, fake, labels)) / 2


def r1_r2_penalty(
    critic: Critic, real: Array, fake: Array, keys: Array, labels: Array | None = None
) -> Array:
    """`r1_penalty` + `r2_penalty`: what makes the relativistic loss converge.

    Both at once: the critic's weights are read once, and a loss that scores the same
    examples shares the pass with it. Args and returns as in `r1_penalty`.

    Source: Huang et al. 2024 (R3GAN), section 2.2, https://arxiv.org/abs/2501.05441
    """
    del keys
    chex.assert_equal_shape([real, fake])
    both = jnp.concatenate([real, fake])
    twice = None if labels is None else jnp.concatenate([labels, labels])
    # Half of each mean: the mean of all.
    return jnp.mean(squared_gradient_norms(critic, both, twice))


PENALTIES: dict[str, Penalty] = {
    "gradient_penalty": gradient_penalty,
    "one_sided": one_sided_gradient_penalty,
    "dragan": dragan_penalty,
    "r1": r1_penalty,
    "r2": r2_penalty,
    "r1_r2": r1_r2_penalty,
}


def clip_weights(params: Any, bound: float) -> Any:
    """Every parameter clipped to ``[-bound, bound]``.

    Args:
      params: pytree of arrays.
      bound: the published value is 0.01.

    Returns:
      The same pytree.

    Source: Arjovsky et al. 2017, algorithm 1, https://arxiv.org/abs/1701.07875
    """
    return jax.tree.map(lambda p: jnp.clip(p, -bound, bound), params)


def mixing_layer(batch_stats: Any) -> str | None:
    """The first layer that keeps statistics of a batch, as batch norm does.

    What spectral norm keeps is of the weights alone.

    Args:
      batch_stats: Linen's collection of that name.

    Returns:
      Where it is, as "Block_0/BatchNorm_0"; None where there is none.
    """
    for path, _ in jax.tree_util.tree_leaves_with_path(batch_stats):
        *layer, name = (key.key for key in path)
        if not name.endswith(("/u", "/sigma")):
            return "/".join(layer) or name
    return None


def refuse_mixing_layers(variables: Any) -> None:
    """Refuses a critic whose layers mix the examples of a batch.

    A gradient penalty asks for the gradient of each example's OWN output; under
    batch norm an output depends on the whole batch, and the penalty means nothing.

    Args:
      variables: the critic's Linen variables, as ``init`` returns them.

    Raises:
      UserError: they hold batch statistics; the layer is named.
    """
    if layer := mixing_layer(variables.get("batch_stats", {})):
        raise UserError(
            "a gradient penalty needs a critic whose layers keep examples apart, and"
            f" {layer} of this one does not, as batch norm: use nn.LayerNorm or"
            " nn.GroupNorm in its place, or train it with --penalty=none"
        )


def refuse_batches_only(critic: Critic, example: Array, *label: Array) -> None:
    """Refuses a critic that takes a batch and not ONE example.

    Args:
      critic: ``x[...] -> scalar``, or ``(x[...], label) -> scalar``; not computed.
      example: ``[...]``.
      label: of the example, scalar, for a conditional critic.

    Raises:
      UserError: its result is something else than a scalar, or there is none.
    """
    try:
        shape = jax.eval_shape(critic, example, *label).shape
        why = f"gives {list(shape)} for it"
    except Exception as error:  # whatever a network says of an axis that is not there
        why = " ".join(str(error).split())[:200]
        shape = None
    if shape != ():
        raise UserError(
            "a gradient penalty asks a critic for ONE example, here"
            f" {list(example.shape)}, without a batch axis ({why}): let it flatten with"
            f" x.reshape(*x.shape[:-{example.ndim}], -1), or train it with"
            " --penalty=none"
        )
