"""How many modes of a mixture a generator has found, and how well."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.data.mixtures import Mixture
from gan_jax.evaluation import wasserstein

Array = jax.Array


class Modes(NamedTuple):
    """What samples show of a mixture's modes.

    Attributes:
      covered: modes with at least one high-quality sample, int32 scalar.
      high_quality: share of the samples that are, in [0, 1].
      counts: high-quality samples of each mode, int32 ``[components]``.
    """

    covered: Array
    high_quality: Array
    counts: Array


def modes(samples: Array, mixture: Mixture, *, deviations: float = 3.0) -> Modes:
    """Counts modes: of well separated components, each of which is one.

    A sample is of high quality where it lies within ``deviations`` standard deviations
    of the nearest component's mean. Of perfect samples in the plane ``1 - exp(-9 / 2)``
    = 98.9 % are. A sample that is not finite is of none.

    Args:
      samples: ``[n, dimension]``.
      mixture: its components are the modes.
      deviations: how far from a mean is too far.

    Returns:
      Scalars and counts. Pure: ``vmap`` it over the samples of many generators.

    Source: Srivastava et al. 2017 (VEEGAN), https://arxiv.org/abs/1705.07761, with
    PacGAN's numbers (Lin et al. 2018), https://arxiv.org/abs/1712.04086
    """
    chex.assert_rank(samples, 2)
    differences = samples[:, None] - mixture.means[None]
    distances = jnp.sqrt(jnp.sum(differences**2, axis=-1))
    nearest = jnp.argmin(distances, axis=1)
    distance = jnp.min(distances, axis=1)
    good = distance <= deviations * mixture.scales[nearest]  # NaN is not
    counts = jnp.zeros(mixture.weights.shape, jnp.int32).at[nearest].add(good)
    return Modes(jnp.sum(counts > 0), jnp.mean(good.astype(jnp.float32)), counts)


_modes_of_each = jax.jit(jax.vmap(modes, (0, None)))


def measure_each(
    samples: ArrayLike, mixture: Mixture, real: ArrayLike, *, paired: int = 500
) -> dict[str, np.ndarray]:
    """Modes, good samples and W1 of many generators at once.

    Args:
      samples: of every generator, ``[generators, n, dimension]``.
      mixture: what they should be samples of.
      real: samples of it, ``[m, dimension]``.
      paired: how many of the first of either are paired, for the exact distance.

    Returns:
      "modes" and "high_quality" as in `modes`, and "wasserstein", the exact distance
      to the real samples: infinite for a generator that ran away. Each
      ``[generators]``.

    Raises:
      UserError: unless both have ``paired``, or equally many, samples.
    """
    samples, real = np.asarray(samples), np.asarray(real)
    chex.assert_rank([samples, real], [3, 2])
    found = _modes_of_each(samples, mixture)
    distances = [
        wasserstein.wasserstein(x[:paired], real[:paired])
        if np.isfinite(x).all()
        else np.inf
        for x in samples
    ]
    return {
        "modes": np.asarray(found.covered),
        "high_quality": np.asarray(found.high_quality),
        "wasserstein": np.array(distances),
    }
