"""Principal directions of a generator's first layer, as GANSpace finds them."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gan_jax import training
from gan_jax.errors import UserError
from gan_jax.run import sampling

Array = jax.Array

_CHUNK = 500  # latents at once through the first layer
_OUTPUTS = 4  # of a generator's layers are looked at for the first that knows z
_MOST_NUMBERS = 2**26  # activations in memory


class Directions(NamedTuple):
    """Principal directions of a generator's first layer.

    Attributes:
      vectors: ``[directions, latent]``: what is added to z to go by one deviation of
        the coordinate.
      shares: of the variance of the layer's outputs, ``[directions]``, descending.
    """

    vectors: np.ndarray
    shares: np.ndarray


def principal_directions(
    gan: training.GAN,
    state: training.GANState,
    *,
    count: int = 8,
    samples: int = 10_000,
    seed: int = 0,
) -> Directions:
    """GANSpace: principal components of the first layer, regressed on the latents.

    With outputs y of the first layer for latents z, V the first principal components
    of y, and coordinates ``x = V' (y - mean)``, the directions are
    ``argmin_U sum ||U x - z||^2``. Of a layer ``W z + b`` these are its right singular
    vectors, in the order of the singular values.

    Args:
      gan: what is trained.
      state: at any step.
      count: directions, at most as many as the layer has.
      samples: latents; fewer where the layer has very many outputs.
      seed: of them.

    Returns:
      The directions; of each sign, that with a positive largest number.

    Raises:
      UserError: the generator has no layer that Linen knows of, or one of constant or
        of infinite outputs.

    Source: Harkonen et al. 2020, sections 2.1 and 2.2, https://arxiv.org/abs/2004.02546
    """
    from scipy.sparse.linalg import svds  # slow to import

    place = _first_layer(gan, state, sampling.first_latents(gan.latent_size, seed, 2))
    outputs = partial(_layer, gan, place)
    width = jax.eval_shape(outputs, state, jnp.zeros((1, gan.latent_size))).shape[1]
    samples = min(samples, max(_MOST_NUMBERS // width, 1000))
    z = sampling.first_latents(gan.latent_size, seed, samples)
    compiled = jax.jit(outputs)
    chunks = (z[i : i + _CHUNK] for i in range(0, samples, _CHUNK))
    y = np.concatenate([np.asarray(compiled(state, part)) for part in chunks])
    y = y - y.mean(axis=0)
    total = float(np.square(y, dtype=np.float64).sum())
    if not 0 < total < math.inf:
        raise UserError("the generator's first layer is constant, or not finite")
    count = min(count, min(y.shape) - 1, gan.latent_size)
    if count < 1:
        raise UserError("the generator's first layer has a single output")
    u, scales, _ = svds(y, k=count, rng=np.random.default_rng(0))
    order = np.argsort(-scales)
    order = order[scales[order] > 1e-5 * scales.max()]  # the others have no direction
    coordinates = u[:, order] * math.sqrt(samples)  # each of deviation 1
    vectors = np.linalg.lstsq(coordinates, z, rcond=None)[0]
    largest = np.abs(vectors).argmax(axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    shares = np.square(scales[order], dtype=np.float64) / total
    return Directions((vectors * signs[:, None]).astype(np.float32), shares)


def _record(
    gan: training.GAN, state: training.GANState, z: Array
) -> list[tuple[str, Array]]:
    """Outputs of the generator's first layers, in the order of their calls."""
    found: list[tuple[str, Array]] = []

    def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        output = call(*args, **kwargs)
        inner = context.method_name == "__call__" and context.module.path
        if inner and isinstance(output, jax.Array) and len(found) < _OUTPUTS:
            found.append(("/".join(context.module.path), output.reshape(len(z), -1)))
        return output

    labels = None
    if gan.num_classes is not None:
        labels = jnp.zeros(len(z), jnp.int32)
    with nn.intercept_methods(note):
        training.generate(gan, state, z, labels)
    return found


def _layer(gan: training.GAN, place: str, state: training.GANState, z: Array) -> Array:
    """What the layer at a place gives, ``[batch, outputs]``."""
    return dict(reversed(_record(gan, state, z)))[place].astype(jnp.float32)


def _first_layer(gan: training.GAN, state: training.GANState, z: Array) -> str:
    """Where the first layer is whose output depends on z; a class may have another.

    Raises:
      UserError: there is none.
    """
    places: list[str] = []

    @jax.jit
    def outputs(state: training.GANState, z: Array) -> list[Array]:
        found = _record(gan, state, z)
        places.extend(place for place, _ in found)
        return [output for _, output in found]

    pairs: Sequence[np.ndarray] = jax.device_get(outputs(state, z))
    for place, (first, second) in zip(places, pairs, strict=True):
        if (first != second).any():
            return place
    raise UserError("the generator has no layers of Linen's to take directions from")
