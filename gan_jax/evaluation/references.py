"""A reference data set: what samples are measured against, and its own bounds."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gan_jax import data, training
from gan_jax.data import stacked
from gan_jax.data.dataset import HELD_OUT, Part
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation import classifier, features, frechet, kept
from gan_jax.run import sampling
from gan_jax.run.sampling import Samples

_QUICK_SIZE = 2000  # images of each split
NEIGHBOURS = 5  # of precision, recall, density and coverage
FEWEST = NEIGHBOURS + 1  # images of each split, and samples: what every measure needs
MOST = 100_000  # images of each split, and samples: all pairs take minutes


@dataclasses.dataclass(frozen=True)
class Reference:
    """What samples are measured against.

    Attributes:
      measured_in: the features that are taken.
      training_split: what a GAN is trained on; its images may be read when asked for.
      test_split: what samples are compared with; of more than 100,000 images, so many
        of them, spread evenly.
      features: of the test split, float64 ``[N, dimension]``.
      moments: of these features.
      training_moments: of those of `seen`.
    """

    measured_in: features.Features
    training_split: data.Dataset
    test_split: data.Dataset
    features: np.ndarray

    @functools.cached_property
    def moments(self) -> frechet.Moments:  # noqa: D102 (an attribute, see above)
        return frechet.moments(self.features)

    @functools.cached_property
    def training_moments(self) -> frechet.Moments:  # noqa: D102 (as moments)
        return kept.moments_of(self.measured_in, self.seen())

    def shares(self, num_classes: int | None) -> list[int] | None:
        """How many training images each class has, for samples in the same shares.

        Args:
          num_classes: of the generator; None of an unconditional one.

        Returns:
          ``num_classes`` integers; None where the generator has no classes, or others.
        """
        split = self.training_split
        if split.labels is None or num_classes != split.num_classes:
            return None
        return np.bincount(split.labels, minlength=num_classes).tolist()

    def draw(
        self,
        gan: training.GAN,
        state: training.GANState,
        num_samples: int,
        *,
        seed: int = 0,
    ) -> Samples:
        """Samples to measure a GAN by: its classes are in `shares`.

        Args:
          gan: what is trained.
          state: at any step.
          num_samples: how many.
          seed: of the latents.
        """
        shares = self.shares(gan.num_classes)
        return sampling.draw(gan, state, num_samples, seed=seed, shares=shares)

    def seen(self, count: int | None = None) -> data.Dataset:
        """The training images that are measured: at most 100,000, spread evenly.

        Args:
          count: how many a GAN was trained on, the first; None for all.
        """
        split = self.training_split
        if count is not None and count < len(split.images):
            split = _some(split, np.arange(count))
        return _at_most(split)


def load_reference(
    name: str,
    *,
    measured_in: str = "auto",
    inception_weights: str | None = None,
    quick: bool = False,
    fewest: int = FEWEST,
    say: Callable[[str], None] = print,
    **where: Any,
) -> Reference:
    """Loads a data set and what it is measured in.

    A classifier is trained if it is not cached.

    Args:
      name: data set, as in `data.load`.
      measured_in: of `features.NAMES`; or 'auto', the classifier of a data set with
        labels, and random features of one without.
      inception_weights: as in `inception.load`.
      quick: take few images and a classifier of little training, for tests.
      fewest: images of each split that are needed; by default, for every measure.
      say: takes the lines of what takes time.
      **where: ``data_dir`` and ``pictures``, as in `data.load`.

    Raises:
      UserError: as `data.load` and `inception.load`; there are fewer images than
        measures need; or a classifier is asked for where there are no labels.
    """
    check_name("features", measured_in, ("auto", *features.NAMES))
    size = _QUICK_SIZE if quick else None
    training, test = _load(name, size, **where)
    for split, which in ((training, "training"), (test, "test")):
        if (count := len(split.images)) < fewest:
            raise UserError(
                f"{split.name} has {count} {which} images, and what is measured needs"
                f" {fewest}: give {fewest * HELD_OUT} images or more, or {fewest} or"
                " more in each split"
            )
    test = _at_most(test)
    if measured_in == "auto":
        measured_in = "classifier" if training.num_classes > 1 else "random"
    if measured_in == "inception":
        chosen = features.of_inception(inception_weights)
    elif measured_in == "random":
        chosen = features.of_untrained_network(test)
    elif training.num_classes < 2:
        raise UserError(
            f"{training.name} has no labels to train a classifier with: use"
            " --features=random or inception"
        )
    else:
        chosen = _classifier(name, [training, test], size, say, where)
    return Reference(chosen, training, test, kept.features_of(chosen, test))


def _load(name: str, size: int | None, **where: Any) -> list[data.Dataset]:
    """Both splits, or the first images of each."""
    splits = [
        data.load(name, split, garments_size=size, **where) for split in data.SPLITS
    ]
    return [
        dataclasses.replace(
            split,
            images=split.images[:size],
            labels=None if split.labels is None else split.labels[:size],
        )
        if size
        else split
        for split in splits
    ]


def _at_most(split: data.Dataset) -> data.Dataset:
    """The split, or 100,000 of its images, each read when it is asked for."""
    count = len(split.images)
    if count <= MOST:
        return split
    return _some(split, np.linspace(0, count - 1, MOST).astype(np.int64))


def _some(split: data.Dataset, chosen: np.ndarray) -> data.Dataset:
    labels = None if split.labels is None else split.labels[chosen]
    return dataclasses.replace(split, images=Part(split.images, chosen), labels=labels)


def _classifier(
    name: str,
    splits: list[data.Dataset],
    size: int | None,
    say: Callable[[str], None],
    where: dict[str, Any],
) -> features.Features:
    """Of the data set itself; of stacked images, of those that they consist of."""
    is_stacked = name.startswith(stacked.PREFIX)
    if is_stacked:
        splits = _load(name.removeprefix(stacked.PREFIX), size, **where)
    splits = [
        dataclasses.replace(split, images=np.asarray(split.images))
        for split in map(_at_most, splits)
    ]
    count = len(splits[0].images)
    epochs = {} if size else {"epochs": classifier.enough_epochs(count)}
    trained = classifier.load_or_train(*splits, say=say, **epochs)
    if is_stacked:
        return features.of_channels(trained)
    return features.of_classifier(trained)


def floor(reference: Reference, num_samples: int, seed: int = 0) -> Samples:
    """Training images: as good as samples can be that are not copies of the test's.

    But for class accuracy, which is that of images that the classifier has seen.

    Args:
      reference: whose training split.
      num_samples: how many; all there are, where there are fewer.
      seed: of which ones.
    """
    split = reference.training_split
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(split.images))[:num_samples]
    labels = None if split.labels is None else split.labels[chosen]
    return Samples(split.images[chosen], labels)


def floor_distance(reference: Reference, num_samples: int) -> float:
    """The Frechet distance of training images to the test split.

    What samples as good as training images have: less is chance, or a copy of the test
    split.

    Args:
      reference: whose training split.
      num_samples: how many images; all there are, where there are fewer.
    """
    features, _ = reference.measured_in.extract(floor(reference, num_samples).images)
    moments = frechet.moments(features)
    return frechet.frechet_distance_of_moments(moments, reference.moments)


def ceiling(
    reference: Reference, num_samples: int, seed: int = 0
) -> tuple[str, Samples]:
    """A bad result to compare with: its name, and images.

    Drawn garments, which have the classes of Fashion-MNIST and another look; uniform
    noise for every other data set.
    """
    if reference.test_split.name == "fashion_mnist":
        drawn = data.load("garments", garments_size=num_samples)
        return "drawn garments", Samples(drawn.images, drawn.labels)
    shape = (num_samples, *reference.test_split.images.shape[1:])
    rng = np.random.default_rng(seed)
    return "noise", Samples(rng.integers(0, 256, shape, dtype=np.uint8))
