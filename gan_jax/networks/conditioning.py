"""What labels do in a conditional network.

The generator sees them one-hot beside z; the discriminator's logit is
``onehot(y) . (A phi(x) + b)``, a projection (Miyato & Koyama 2018,
https://arxiv.org/abs/1802.05637): one row of the last layer for each class.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def beside_one_hot(z: Array, labels: Array | None, num_classes: int | None) -> Array:
    """``[z, one-hot(y)]``: ``[batch, latent + num_classes]``, or z as it is."""
    if num_classes is None:
        return z
    return jnp.concatenate([z, one_hot(labels, num_classes, z.dtype)], axis=-1)


def logits(scores: Array, labels: Array | None, num_classes: int | None) -> Array:
    """Last layer ``[batch, num_classes or 1]`` to logits ``[batch]``.

    Losses are computed in float32 at least.
    """
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if num_classes is None:
        return scores[..., 0]
    return jnp.sum(one_hot(labels, num_classes, scores.dtype) * scores, axis=-1)


def one_hot(labels: Array | None, num_classes: int, dtype: jnp.dtype) -> Array:
    """``[..., num_classes]``, for labels ``[...]``.

    Raises:
      ValueError: there are none.
    """
    if labels is None:
        raise ValueError(f"a network of num_classes={num_classes} needs labels")
    return jax.nn.one_hot(labels, num_classes, dtype=dtype)
