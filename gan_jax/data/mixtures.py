"""Mixtures of Gaussians, the toy data of GANs: pure samplers with exact log densities.

A `Mixture` is a pytree of its parameters, so that ``vmap`` can sweep them; a sample
is a function of standard normals, so that a GAN's latents can be turned into one.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Array = jax.Array
_T = TypeVar("_T")


class Mixture(NamedTuple):
    """A mixture of isotropic Gaussians.

    Attributes:
      weights: of the components, ``[components]``, adding up to 1.
      means: ``[components, dimension]``.
      scales: standard deviations, ``[components]``.
    """

    weights: Array
    means: Array
    scales: Array

    def log_density(self, x: Array) -> Array:
        """``log p(x)``, exact.

        Args:
          x: ``[..., dimension]``.

        Returns:
          ``[...]``, in nats.
        """
        dimension = self.means.shape[-1]
        points = x.reshape(-1, 1, dimension)
        squares = jnp.sum((points - self.means[None]) ** 2, axis=-1)
        normaliser = dimension * (jnp.log(self.scales) + jnp.log(2 * jnp.pi) / 2)
        constants = (jnp.log(self.weights) - normaliser)[None]
        exponents = constants - squares / (2 * self.scales[None] ** 2)
        return jax.nn.logsumexp(exponents, axis=-1).reshape(x.shape[:-1])

    def transform(self, z: Array) -> Array:
        """Standard normals to samples: the first chooses the component.

        Args:
          z: ``[..., 1 + dimension]``.

        Returns:
          ``[..., dimension]``.
        """
        uniform = jax.scipy.stats.norm.cdf(z[..., 0])
        # Rounding may leave the last sum below 1: what is beyond belongs to the last.
        ends = jnp.cumsum(self.weights)[:-1]
        component = jnp.searchsorted(ends, uniform)
        return self.means[component] + self.scales[component][..., None] * z[..., 1:]

    def sample(self, key: Array, count: int) -> Array:
        """``[count, dimension]`` independent samples."""
        shape = (count, 1 + self.means.shape[-1])
        return self.transform(jax.random.normal(key, shape, self.means.dtype))

    def radial_log_density(self, radius: Array) -> Array:
        """Log density of the distance from 0, for Gaussians about 0 in the plane.

        Args:
          radius: positive, ``[...]``.

        Returns:
          ``[...]``, in nats.
        """
        scales = self.scales.reshape(-1, *[1] * radius.ndim)
        weights = self.weights.reshape(scales.shape)
        rayleigh = jnp.log(radius)[None] - 2 * jnp.log(scales)
        return jax.nn.logsumexp(
            rayleigh - radius[None] ** 2 / (2 * scales**2), axis=0, b=weights
        )

    def mean(self) -> Array:
        """``[dimension]``."""
        return self.weights @ self.means

    def variance(self) -> Array:
        """Of each coordinate, ``[dimension]``."""
        second = self.weights @ (self.means**2 + self.scales[:, None] ** 2)
        return second - self.mean() ** 2


def once(make: Callable[[], _T]) -> Callable[[], _T]:
    """Mixtures that a module names: made when first asked for, wherever that is.

    So that no device is touched when the module is imported.

    Args:
      make: makes them, from numbers.

    Returns:
      The same, computed once.
    """

    @functools.cache
    def made() -> _T:
        with jax.ensure_compile_time_eval():  # not a part of what is being traced
            return make()

    return made


def repeat(mixture: Mixture, components: int) -> Mixture:
    """The same distribution written with more components, so that mixtures stack.

    Args:
      mixture: of some number of components.
      components: how many there shall be, a multiple of that.

    Returns:
      The mixture, each component in equal parts.

    Raises:
      ValueError: it is no multiple.
    """
    if components % mixture.weights.size:
        raise ValueError(f"{components} is no multiple of {mixture.weights.size}")
    times = components // mixture.weights.size
    weights = jnp.repeat(mixture.weights / times, times)
    return Mixture(weights, *(jnp.repeat(a, times, axis=0) for a in mixture[1:]))


def interpolated(data: Mixture, model: Mixture, share: Array) -> Mixture:
    """The distribution of ``share * fake + (1 - share) * real``.

    Args:
      data: of the real point, ``[components]``.
      model: of the fake one, ``[others]``, independent.
      share: from 0 to 1, scalar.

    Returns:
      A mixture of ``components * others`` Gaussians.
    """

    def each(a: Array, b: Array) -> Array:
        pairs = a[:, None] + b[None]
        return pairs.reshape(-1, *a.shape[1:])

    return Mixture(
        (data.weights[:, None] * model.weights[None]).ravel(),
        each((1 - share) * data.means, share * model.means),
        jnp.sqrt(each(((1 - share) * data.scales) ** 2, (share * model.scales) ** 2)),
    )


def penalised_density(
    data: Mixture, model: Mixture, log_density: Callable[[Mixture], Array]
) -> Array:
    """Density of the points of a gradient penalty, anywhere between real and fake.

    Args:
      data: of the real point.
      model: of the fake one, independent.
      log_density: of a mixture on a grid, ``mixture -> [points]``.

    Returns:
      ``[points]``: the mean over shares of `interpolated`, evenly from 0 to 1.
    """

    def given(share: Array) -> Array:
        return jnp.exp(log_density(interpolated(data, model, share)))

    return jax.lax.map(given, (jnp.arange(200) + 0.5) / 200).mean(0)


def on_a_line(
    means: list[float] | Array,
    scales: list[float] | Array,
    weights: list[float] | Array | None = None,
) -> Mixture:
    """A mixture in one dimension; equal weights unless given, each ``[components]``."""
    means = jnp.asarray(means, jnp.float32)
    if weights is None:
        weights = jnp.full(means.shape, 1 / means.size)
    scales = jnp.broadcast_to(jnp.asarray(scales, jnp.float32), means.shape)
    return Mixture(jnp.asarray(weights, jnp.float32), means[:, None], scales)


def gaussian(mean: Array, scale: float | Array = 1.0) -> Mixture:
    """One Gaussian: ``mean`` is ``[dimension]``, ``scale`` a number."""
    mean = jnp.asarray(mean, jnp.float32)
    return Mixture(jnp.ones(1), mean[None], jnp.full((1,), scale, jnp.float32))


def pairs_on_a_line() -> dict[str, tuple[Mixture, Mixture]]:
    """Data and models whose distance is known, by name: what critics are tried on."""
    return {
        "line, shifted": (gaussian([0.0]), gaussian([2.0])),
        "line, scaled": (gaussian([0.0], 0.5), gaussian([0.0], 2.0)),
        "line, two modes": (on_a_line([-2, 2], 0.5), gaussian([0.0])),
    }


def ring(modes: int = 8, radius: float = 2.0, scale: float = 0.02) -> Mixture:
    """Gaussians on a circle, the 2-D data of the mode collapse papers.

    Source: Metz et al. 2017, section 3.1, https://arxiv.org/abs/1611.02163
    """
    angles = 2 * jnp.pi * jnp.arange(modes) / modes
    means = radius * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    return Mixture(jnp.full(modes, 1 / modes), means, jnp.full(modes, scale))


def grid(side: int = 5, spacing: float = 2.0, scale: float = 0.05) -> Mixture:
    """Gaussians on a square lattice about 0, ``side**2`` of them.

    Source: Dumoulin et al. 2017; PacGAN (Lin et al. 2018), section 4.1,
    https://arxiv.org/abs/1712.04086
    """
    line = spacing * (jnp.arange(side) - (side - 1) / 2)
    means = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    return Mixture(jnp.full(side**2, 1 / side**2), means, jnp.full(side**2, scale))


def swiss_roll(scale: float = 1 / 30, components: int = 1000) -> Mixture:
    """A spiral in the plane, thickened by Gaussian noise.

    The point of the curve is ``t (cos t, sin t) / 7.5``, t uniform from 1.5 pi to 4.5
    pi. It is written as Gaussians close together, by default at most 0.54 deviations
    apart: the log density is that of the whole curve to 0.01, but for points beyond
    the outer end (0.12 too low at three deviations).

    Args:
      scale: deviation of the noise.
      components: Gaussians along the curve.

    Source: scikit-learn's ``make_swiss_roll`` with noise 0.25, its first and third
    coordinate over 7.5, as in Gulrajani et al. 2017, figures 1 and 2,
    https://arxiv.org/abs/1704.00028
    """
    t = 1.5 * jnp.pi * (1 + 2 * (jnp.arange(components) + 0.5) / components)
    means = t[:, None] * jnp.stack([jnp.cos(t), jnp.sin(t)], axis=-1) / 7.5
    return Mixture(
        jnp.full(components, 1 / components), means, jnp.full(components, scale)
    )


def with_noise(mixture: Mixture, scale: float | Array) -> Mixture:
    """The distribution of a sample with Gaussian noise of deviation ``scale`` added."""
    return mixture._replace(scales=jnp.hypot(mixture.scales, scale))
