"""All measures of some samples at once, against a reference data set."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from gan_jax import data
from gan_jax.data import stacked
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation import (
    classes,
    classifier,
    features,
    frechet,
    kid,
    precision_recall,
    sliced,
)
from gan_jax.run.sampling import Samples

NEIGHBOURS = 5  # of precision, recall, density and coverage
_QUICK_SIZE = 2000  # images of each split
FEWEST = NEIGHBOURS + 1  # samples that every measure can work with
MOST = 100_000  # the measures that look at all pairs take minutes


@dataclasses.dataclass(frozen=True)
class Reference:
    """What samples are measured against.

    Attributes:
      measured_in: the features that are taken.
      training_split: what a GAN is trained on; its images may be read when asked for.
      test_split: what samples are compared with; of more than 100,000 images, so many
        of them, spread evenly.
      features: of the test split, float64 ``[N, dimension]``.
    """

    measured_in: features.Features
    training_split: data.Dataset
    test_split: data.Dataset
    features: np.ndarray

    def seen(self) -> data.Dataset:
        """The training images that are measured: at most 100,000, spread evenly."""
        return _in_memory(self.training_split)


def load_reference(
    name: str,
    *,
    measured_in: str = "auto",
    inception_weights: str | None = None,
    quick: bool = False,
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
      say: takes the lines of what takes time.
      **where: ``data_dir`` and ``pictures``, as in `data.load`.

    Raises:
      UserError: as `data.load` and `inception.load`; or a classifier is asked for where
        there are no labels.
    """
    check_name("features", measured_in, ("auto", *features.NAMES))
    size = _QUICK_SIZE if quick else None
    training, test = _load(name, size, **where)
    test = _in_memory(test)
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
        chosen = _classifier(name, [_in_memory(training), test], size, say, where)
    return Reference(chosen, training, test, chosen.extract(test.images)[0])


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


def _in_memory(split: data.Dataset) -> data.Dataset:
    """The images as one array, of which there are not too many."""
    count = len(split.images)
    if isinstance(split.images, np.ndarray) and count <= MOST:
        return split
    chosen = np.linspace(0, count - 1, min(count, MOST)).astype(np.int64)
    labels = None if split.labels is None else split.labels[chosen]
    return dataclasses.replace(split, images=split.images[chosen], labels=labels)


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
    count = len(splits[0].images)
    epochs = {} if size else {"epochs": classifier.enough_epochs(count)}
    trained = classifier.load_or_train(*splits, say=say, **epochs)
    if is_stacked:
        return features.of_channels(trained)
    return features.of_classifier(trained)


def measure(samples: Samples, reference: Reference) -> dict[str, Any]:
    """Every measure of some samples against the test split.

    Args:
      samples: images, and the labels that were asked for where conditional.
      reference: what to compare with.

    Returns:
      The Frechet distance under the name of the features: ``fcd`` in those of the
      classifier, ``frechet_random``, or ``fid``; ``kid`` and its ``kid_error``,
      ``precision``, ``recall``, ``density``, ``coverage`` in the same;
      ``sliced_wasserstein`` (of pixels, in grey levels of 0 to 255); and where the
      features come with classes ``class_histogram`` (shares), ``class_kl`` (nats from
      uniform), of stacked images ``modes`` (how many classes are found), and where
      there are labels ``class_accuracy``.

    Raises:
      UserError: there are fewer samples than a measure needs, or of another shape.
    """
    check_count(len(samples.images))
    check_shape(samples.images.shape[1:], reference)
    measured_in = reference.measured_in
    fake, predicted = measured_in.extract(samples.images)
    distance = kid.estimate_kid(fake, reference.features)
    prdc = precision_recall.precision_recall_density_coverage(
        reference.features, fake, neighbours=NEIGHBOURS
    )
    values = {
        measured_in.distance: frechet.frechet_distance(fake, reference.features),
        "kid": distance.value,
        "kid_error": distance.standard_error,
        **prdc._asdict(),
        "sliced_wasserstein": sliced.sliced_wasserstein(
            samples.images, reference.test_split.images
        ),
    }
    if predicted is not None:
        values |= of_classes(predicted, samples.labels, measured_in)
    shares = values.pop("class_histogram", None)
    numbers: dict[str, Any] = {name: float(value) for name, value in values.items()}
    return numbers if shares is None else numbers | {"class_histogram": shares}


def of_classes(
    predicted: np.ndarray, asked: np.ndarray | None, measured_in: features.Features
) -> dict[str, Any]:
    """What the classes of samples say, as `measure` has it.

    Args:
      predicted: the classes, int32 ``[N]``.
      asked: those that were asked for, or None.
      measured_in: the features that they came with.
    """
    histogram = classes.class_histogram(predicted, measured_in.num_classes)
    values: dict[str, Any] = {
        "class_kl": classes.kl_from_uniform(histogram),
        "class_histogram": [float(share) for share in histogram],
    }
    if measured_in.counts_modes:
        values["modes"] = np.count_nonzero(histogram)
    if asked is not None:
        values["class_accuracy"] = classes.class_accuracy(predicted, asked)
    return values


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def check_shape(
    shape: tuple[int, ...], reference: Reference, name: str = "the samples"
) -> None:
    """Refuses samples of another shape than the images they are compared with.

    Raises:
      UserError: the same.
    """
    split = reference.test_split
    if tuple(shape) != split.shape:
        raise UserError(
            f"{name}: {_by(shape)}, and the images of {split.name} are"
            f" {_by(split.shape)}: they cannot be compared"
        )


def check_count(num_samples: int) -> None:
    """Refuses numbers of samples that cannot be measured.

    Raises:
      UserError: there are fewer than a measure needs, or so many that distances
        between all pairs would take hours.
    """
    if num_samples < FEWEST:
        raise UserError(
            f"precision, recall, density and coverage need at least {FEWEST} samples,"
            f" and there are {num_samples}: use a larger --num_samples"
        )
    if num_samples > MOST:
        raise UserError(f"--num_samples={num_samples} is more than {MOST}")


def floor(reference: Reference, num_samples: int, seed: int = 0) -> Samples:
    """Training images: as good as samples can be that are not copies of the test's.

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
