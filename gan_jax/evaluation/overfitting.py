"""Whether a discriminator knows its training images from others of their kind."""

from typing import Any, Protocol

import jax
import numpy as np

from gan_jax import training
from gan_jax.data.dataset import Part
from gan_jax.evaluation.batches import in_batches


class Labelled(Protocol):
    """Images with or without labels: samples, or a split of a data set."""

    images: Any
    labels: np.ndarray | None


@jax.jit(static_argnums=0)
def _logits(
    gan: training.GAN, state: training.GANState, images: jax.Array, *label: jax.Array
) -> jax.Array:
    return training.score(gan, state, training.scale_images(images), *label)


def logits(
    gan: training.GAN, state: training.GANState, examples: Labelled, count: int
) -> np.ndarray:
    """The discriminator's logits of images as they are, without augmentation.

    Args:
      gan: what is trained.
      state: at any step.
      examples: with labels, where the GAN is conditional.
      count: how many, at places that a fixed seed has drawn: evenly spread ones would
        be of some classes alone, where classes take turns.

    Returns:
      float32 ``[count]``, or fewer where there are not so many.
    """
    size = len(examples.images)
    chosen = np.sort(np.random.default_rng(0).permutation(size)[:count])
    labels = []
    if gan.num_classes is not None:
        labels.append(np.asarray(examples.labels, np.int32)[chosen])

    def score(*batch: np.ndarray) -> list[jax.Array]:
        return [_logits(gan, state, *batch)]

    [found] = in_batches(score, Part(examples.images, chosen), None, *labels)
    return found


def measure(
    gan: training.GAN,
    state: training.GANState,
    *,
    seen: Labelled,
    held_out: Labelled,
    samples: Labelled,
    count: int,
) -> dict[str, float]:
    """How much more the discriminator likes what it was trained on.

    Args:
      gan: what is trained.
      state: at any step.
      seen: training images.
      held_out: others of the same kind.
      samples: of the generator.
      count: of each, at most.

    Returns:
      Mean logits ``logit_training``, ``logit_test``, ``logit_samples``; and

      * ``overfitting``: (training - test) / (training - samples), of these means: 0
        where both real ones are the same to it, 1 where those held out are as fake;
      * ``told_apart``: the probability that it gives a training image the higher logit
        of the two, 1/2 where it cannot tell them apart (the area under the ROC curve).

    Source of ``overfitting``: Karras et al. 2020, eq. 1,
    https://arxiv.org/abs/2006.06676
    """
    real, other, fake = (
        logits(gan, state, examples, count).astype(np.float64)
        for examples in (seen, held_out, samples)
    )
    means = [real.mean(), other.mean(), fake.mean()]
    apart = means[0] - means[2]
    ordered = np.sort(other)
    below = np.searchsorted(ordered, real, "left")
    ties = np.searchsorted(ordered, real, "right") - below
    values = {
        "logit_training": means[0],
        "logit_test": means[1],
        "logit_samples": means[2],
        "told_apart": float(np.mean(below + ties / 2) / len(other)),
    }
    if apart != 0:
        values["overfitting"] = (means[0] - means[1]) / apart
    return {name: float(value) for name, value in values.items()}
