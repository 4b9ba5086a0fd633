"""Latents to look at: of a seed, truncated, on a walk, along principal directions."""

import dataclasses
import math
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import training
from gan_jax.errors import UserError
from gan_jax.evaluation.batches import in_batches
from gan_jax.explore.directions import Directions
from gan_jax.run import sampling
from gan_jax.run.labels import check_label

_BATCH = 64  # one shape, whatever is asked for: compiled once


@dataclasses.dataclass(frozen=True)
class View:
    """What of a generator is looked at; two equal views are the same images.

    Attributes:
      seed: of the latents, as in `sampling.draw`.
      count: images.
      truncation: bound of the latents' numbers, in deviations; None for none.
      along: how far to go along each principal direction, in deviations of its
        coordinate.
      to_seed: the images are a walk from the seed's first latent to that of this one;
        None for the seed's latents themselves.
      label: the class of all, of a conditional GAN; None for its classes in turn, or
        on a walk the first.
    """

    seed: int = 0
    count: int = 36
    truncation: float | None = None
    along: tuple[float, ...] = ()
    to_seed: int | None = None
    label: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the images are those of `sampling.draw`."""
        moved = self.truncation is not None or self.to_seed is not None
        return not (moved or any(self.along))

    def flags(self) -> list[str]:
        """The flags of `experiments.sample` that draw the same images."""
        words = [f"--seed={self.seed}", f"--num_samples={self.count}"]
        if self.to_seed is not None:
            words.append(f"--to_seed={self.to_seed}")
        if self.truncation is not None:
            words.append(f"--truncation={self.truncation:g}")
        if any(self.along):
            words.append("--along=" + ",".join(f"{a:g}" for a in self.along))
        if self.label is not None:
            words.append(f"--label={self.label}")
        return words


class Drawn(NamedTuple):
    """Images of a view, and what they are made of.

    Attributes:
      images: uint8, ``[count, height, width, channels]``.
      labels: int32 ``[count]`` of a conditional GAN, else None.
      z: latents, float32 ``[count, latent]``.
    """

    images: np.ndarray
    labels: np.ndarray | None
    z: np.ndarray


def draw(
    gan: training.GAN,
    state: training.GANState,
    view: View,
    directions: Directions | None = None,
) -> Drawn:
    """The images of a view.

    Args:
      gan: what is trained.
      state: at any step.
      view: what to draw.
      directions: of this state, where the view goes along some.

    Raises:
      UserError: a number of the view is out of range, there are fewer directions than
        it goes along, or its class is unknown.
    """
    check(view)
    check_label(gan.num_classes, view.label)
    z = _latents(gan.latent_size, view)
    along = np.trim_zeros(np.asarray(view.along, np.float32), "b")
    if len(along):
        known = 0 if directions is None else len(directions.vectors)
        if len(along) > known:
            raise UserError(
                f"--along has {len(along)} numbers, and there are {known} directions"
            )
        z = z + (along @ directions.vectors[: len(along)])[None]
    labels = None
    if gan.num_classes is not None:
        one = view.label if view.to_seed is None else view.label or 0
        turns = np.arange(view.count, dtype=np.int32) % gan.num_classes
        labels = turns if one is None else np.full_like(turns, one)
    return Drawn(_images(gan, state, z, labels), labels, z)


def check(view: View) -> None:
    """Refuses numbers that no images have.

    Raises:
      UserError: one is out of range.
    """
    for name in ("seed", "to_seed"):
        value = getattr(view, name)
        if value is not None and not 0 <= value < 2**32:
            raise UserError(f"--{name}={value} must be in 0 ... 2^32 - 1")
    if view.count < 1:
        raise UserError(f"--num_samples={view.count} must be at least 1")
    if view.truncation is not None and not 0 < view.truncation < math.inf:
        raise UserError(f"--truncation={view.truncation} must be above 0 and finite")
    if not np.isfinite(view.along).all():
        raise UserError("--along must be finite numbers, with commas between")


def _latents(size: int, view: View) -> np.ndarray:
    """Latents before they are moved along directions, ``[count, size]``."""
    if view.to_seed is None:
        z = sampling.first_latents(size, view.seed, view.count)
        return z if view.truncation is None else truncate(z, view.truncation)
    ends = [
        sampling.first_latents(size, seed, 1)[0] for seed in (view.seed, view.to_seed)
    ]
    if view.truncation is not None:
        ends = [truncate(end, view.truncation) for end in ends]
    places = np.zeros(-(-view.count // _BATCH) * _BATCH, np.float32)
    places[: view.count] = np.linspace(0, 1, view.count)
    return np.asarray(_slerp(*ends, places))[: view.count]


_slerp = jax.jit(sampling.slerp)


def truncate(z: np.ndarray, bound: float) -> np.ndarray:
    """Standard normals as normals that are truncated to ``[-bound, bound]``.

    Each keeps its quantile, so that it moves evenly with the bound. Their distribution
    is that of drawing again what lies beyond.

    Args:
      z: any shape.
      bound: above 0, in deviations.

    Returns:
      The shape and type of z.

    Source: the truncation trick of BigGAN, Brock et al. 2019, section 3.1,
    https://arxiv.org/abs/1809.11096
    """
    from scipy.special import ndtr, ndtri  # slow to import

    # By symmetry the left half, where floating point tells quantiles apart.
    low = ndtr(-float(bound))
    left = ndtri(low + ndtr(-np.abs(z, dtype=np.float64)) * (1 - 2 * low))
    return np.clip(np.where(z < 0, left, -left), -bound, bound).astype(z.dtype)


def _images(
    gan: training.GAN,
    state: training.GANState,
    z: np.ndarray,
    labels: np.ndarray | None,
) -> np.ndarray:
    def network(z: np.ndarray, labels: np.ndarray | None = None) -> list[jax.Array]:
        return [sampling.images_of(gan, state, z, labels)]

    return in_batches(network, z, _BATCH, *([] if labels is None else [labels]))[0]
