"""Images from a trained GAN."""

import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import training
from gan_jax.devices import available
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, restoring
from gan_jax.run import labels as labels_of
from gan_jax.system import progress

_BATCH = 500


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


class Samples(NamedTuple):
    """Images, real or generated.

    Attributes:
      images: uint8, ``[N, height, width, channels]``.
      labels: int32, ``[N]``: the classes that a conditional GAN was asked for; None
        of an unconditional one.
    """

    images: np.ndarray
    labels: np.ndarray | None = None


def restore(
    workdir: pathlib.Path, *, say: Callable[[str], None] = _warn
) -> tuple[training.GAN, training.GANState]:
    """A run's GAN and the state of its newest checkpoint, on the first device.

    Args:
      workdir: run folder; nothing in it is changed.
      say: takes a line for each checkpoint that is damaged, where one before it is
        used; by default, on standard error.

    Raises:
      UserError: there is no run, no checkpoint in it yet, or only damaged ones.
    """
    config = configuration.read_config(workdir)
    gan = config.make_gan()
    checkpoints.require(workdir)
    key = jax.random.key(0)
    like = jax.eval_shape(lambda: training.init_state(gan, key, config.shape))
    about = {"flags": config.flags()}
    # First: where there is no device, no checkpoint is at fault.
    device = available.find_devices()[0]
    state = restoring.restore(workdir, like, about, say=say)
    return gan, jax.device_put(state, device)


def latents(latent_size: int, seed: int) -> Iterator[jax.Array]:
    """The latents that a seed stands for, without an end.

    Args:
      latent_size: dimension of z.
      seed: of all of them.

    Yields:
      500 at a time, ``[500, latent]``: the same, however many are taken.
    """
    # A branch of its own: a run of the same seed has used the key's first children.
    key = jax.random.fold_in(jax.random.key(seed), 2**32 - 2)
    for i in itertools.count():
        yield jax.random.normal(jax.random.fold_in(key, i), (_BATCH, latent_size))


def first_latents(latent_size: int, seed: int, count: int) -> np.ndarray:
    """The first of `latents`, float32 ``[count, latent]``."""
    found: list[np.ndarray] = []
    for part in latents(latent_size, seed):
        found.append(np.asarray(part))
        if _BATCH * len(found) >= count:
            break
    return np.concatenate(found)[:count]


@jax.jit(static_argnums=0)
def images_of(
    gan: training.GAN, state: training.GANState, z: jax.Array, labels: jax.Array | None
) -> jax.Array:
    """Images of latents: `training.generate`, as uint8; compiled for each shape of z.

    Args:
      gan: what is trained.
      state: at any step.
      z: ``[batch, latent]``.
      labels: int32 ``[batch]`` of a conditional GAN, None of another.

    Returns:
      uint8, ``[batch, height, width, channels]``.
    """
    return training.to_uint8(training.generate(gan, state, z, labels))


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A trained generator, of a run or of an exported file.

    Attributes:
      generate: latents ``[batch, latent]``, and labels ``[batch]`` or None, to images
        ``[batch, height, width, channels]``, uint8 or float32 in [-1, 1].
      latent_size: dimension of z, a standard normal.
      num_classes: of the labels; None of an unconditional generator.
      about: what else is known of it (`gan_jax.export.describe`).
    """

    generate: Callable[[Any, Any], Any]
    latent_size: int
    num_classes: int | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, z: Any, labels: Any = None) -> np.ndarray:
        """Images of latents.

        Args:
          z: float32 ``[batch, latent]``.
          labels: int32 ``[batch]`` of a conditional generator, None of another.

        Returns:
          uint8, ``[batch, height, width, channels]``.

        Raises:
          UserError: latents of another shape; labels are missing, or of no use.
        """
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise UserError(
                f"latents of shape {list(z.shape)}: this generator takes [batch,"
                f" {self.latent_size}]"
            )
        if (labels is None) != (self.num_classes is None):
            raise UserError("a conditional generator takes labels, and no other does")
        labels = labels_of.checked(labels, len(z), self.num_classes)
        images = np.asarray(self.generate(z, labels))
        if images.dtype == np.uint8:
            return images
        return np.asarray(training.to_uint8(images))

    def draw(
        self,
        num_samples: int,
        *,
        seed: int = 0,
        label: int | None = None,
        shares: Sequence[int] | None = None,
    ) -> Samples:
        """Draws images; the first n of a seed are the same, however many are drawn.

        Args:
          num_samples: how many.
          seed: of the latents.
          label: the class of all of them; by default a conditional generator takes its
            classes one after another.
          shares: in which the classes come instead, a number for each, such as how many
            images of it there are (`labels.in_shares`).

        Returns:
          Images, and labels where the generator is conditional.

        Raises:
          UserError: fewer than one sample; a label for an unconditional generator, or
            one that it does not know.
        """
        labels_of.check_label(self.num_classes, label)
        if num_samples < 1:
            raise UserError(f"{num_samples} samples: ask for at least one")
        labels = None
        padded = -(-num_samples // _BATCH) * _BATCH
        if self.num_classes is not None:
            turns = labels_of.in_shares(padded, shares or [1] * self.num_classes)
            labels = turns if label is None else np.full_like(turns, label)
        images = np.empty(0, np.uint8)
        with progress.bar("drawing samples", padded, unit="image") as bar:
            parts = zip(
                range(0, padded, _BATCH), latents(self.latent_size, seed), strict=False
            )
            for first, z in parts:
                part = None if labels is None else labels[first : first + _BATCH]
                drawn = self(z, part)[: num_samples - first]
                if first == 0:  # whole at once: a list of parts would be a second copy
                    images = np.empty((num_samples, *drawn.shape[1:]), np.uint8)
                images[first : first + _BATCH] = drawn
                bar.update(_BATCH)
        return Samples(images, None if labels is None else labels[:num_samples])


def sampler(
    gan: training.GAN, state: training.GANState, about: Mapping[str, Any] | None = None
) -> Sampler:
    """The generator of a state, at any step."""
    images = partial(images_of, gan, state)
    return Sampler(images, gan.latent_size, gan.num_classes, about or {})


def draw(
    gan: training.GAN,
    state: training.GANState,
    num_samples: int,
    *,
    seed: int = 0,
    label: int | None = None,
    shares: Sequence[int] | None = None,
) -> Samples:
    """Draws images from a state, at any step: `Sampler.draw` of its generator."""
    drawn = sampler(gan, state).draw
    return drawn(num_samples, seed=seed, label=label, shares=shares)


def slerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Points from ``a`` to ``b`` along a great circle, their lengths interpolated.

    A straight line between Gaussian latents leaves the shell where they lie.

    Args:
      a: ``[..., dimension]``, not zero.
      b: the same, and not opposite to ``a``.
      t: places in [0, 1], ``[steps]``.

    Returns:
      ``[..., steps, dimension]``.

    Source: Shoemake 1985; White 2016, https://arxiv.org/abs/1609.04468
    """
    a, b = a[..., None, :], b[..., None, :]
    t = t[:, None].reshape(*[1] * (a.ndim - 2), -1, 1)
    lengths = [jnp.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b)]
    a, b = a / lengths[0], b / lengths[1]
    # Accurate for near and far pairs alike, unlike the arc cosine of a.b.
    angle = 2 * jnp.arctan2(
        jnp.linalg.norm(a - b, axis=-1, keepdims=True),
        jnp.linalg.norm(a + b, axis=-1, keepdims=True),
    )
    # sinc(x) = sin(pi x) / (pi x) has its limit at equal directions.
    share = [
        s * jnp.sinc(s * angle / jnp.pi) / jnp.sinc(angle / jnp.pi) for s in (1 - t, t)
    ]
    return (share[0] * a + share[1] * b) * ((1 - t) * lengths[0] + t * lengths[1])


def interpolate(
    gan: training.GAN,
    state: training.GANState,
    rows: int,
    *,
    steps: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Images on the way between pairs of latents.

    Args:
      gan: what is trained.
      state: at any step.
      rows: pairs; of a conditional GAN, a pair has one class, one after another.
      steps: images of each, both ends included.
      seed: of the latents.

    Returns:
      uint8, ``[rows, steps, height, width, channels]``.
    """
    ends = jax.random.normal(jax.random.key(seed), (2, rows, gan.latent_size))
    z = slerp(ends[0], ends[1], jnp.linspace(0, 1, steps))
    labels = None
    if gan.num_classes is not None:
        labels = jnp.repeat(jnp.arange(rows) % gan.num_classes, steps)
    images = images_of(gan, state, z.reshape(-1, gan.latent_size), labels)
    return np.asarray(images).reshape(rows, steps, *images.shape[1:])
