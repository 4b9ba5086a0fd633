"""All measures of some samples at once, against a reference data set."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from gan_jax import data
from gan_jax.errors import UserError
from gan_jax.evaluation import classes, frechet, kid, precision_recall, sliced
from gan_jax.evaluation.classifier import Classifier, classify, load_or_train
from gan_jax.run.sampling import Samples, draw
from gan_jax.training import GAN, GANState

NEIGHBOURS = 5  # of precision, recall, density and coverage
_QUICK_SIZE = 2000  # images of each split
FEWEST = NEIGHBOURS + 1  # samples that every measure can work with
MOST = 100_000  # the measures that look at all pairs take minutes


@dataclasses.dataclass(frozen=True)
class Reference:
    """What samples are measured against.

    Attributes:
      classifier: whose features are taken.
      training_split: what the GAN was trained on.
      test_split: what samples are compared with.
      features: of the test split, float64 ``[N, 128]``.
    """

    classifier: Classifier
    training_split: data.Dataset
    test_split: data.Dataset
    features: np.ndarray


def load_reference(
    name: str,
    *,
    data_dir: str | None = None,
    quick: bool = False,
    say: Callable[[str], None] = print,
) -> Reference:
    """Loads a data set and its classifier, which is trained if it is not cached.

    Args:
      name: data set, as in `data.load`.
      data_dir: as in `data.load`.
      quick: take few images and a classifier of little training, for tests.
      say: takes the lines of what takes time.

    Raises:
      UserError: as `data.load`.
    """
    size = _QUICK_SIZE if quick else None
    splits = [
        data.load(name, split, data_dir=data_dir, garments_size=size)
        for split in data.SPLITS
    ]
    if quick:
        splits = [
            dataclasses.replace(s, images=s.images[:size], labels=s.labels[:size])
            for s in splits
        ]
    classifier = load_or_train(*splits, say=say)
    return Reference(classifier, *splits, classify(classifier, splits[1].images)[0])


def measure(samples: Samples, reference: Reference) -> dict[str, Any]:
    """Every measure of some samples against the test split.

    Args:
      samples: images, and the labels that were asked for where conditional.
      reference: what to compare with.

    Returns:
      ``fcd`` (Frechet classifier distance, not FID: the features are this project's
      classifier's), ``kid`` and its ``kid_error``,
      ``precision``, ``recall``, ``density``, ``coverage``, ``sliced_wasserstein``
      (of pixels, in grey levels of 0 to 255), ``class_histogram`` (shares),
      ``class_kl`` (nats from uniform), and where there are labels ``class_accuracy``.

    Raises:
      UserError: there are fewer samples than a measure needs, or of another shape.
    """
    count = len(samples.images)
    check_count(count)
    shape, split = samples.images.shape[1:], reference.test_split
    if shape != split.shape:
        raise UserError(
            f"the samples are {_by(shape)} and the images of {split.name} are"
            f" {_by(split.shape)}: they cannot be compared"
        )
    features, predicted = classify(reference.classifier, samples.images)
    distance = kid.estimate_kid(features, reference.features)
    prdc = precision_recall.precision_recall_density_coverage(
        reference.features, features, neighbours=NEIGHBOURS
    )
    histogram = classes.class_histogram(predicted)
    values = {
        "fcd": frechet.frechet_distance(features, reference.features),
        "kid": distance.value,
        "kid_error": distance.standard_error,
        **prdc._asdict(),
        "sliced_wasserstein": sliced.sliced_wasserstein(
            samples.images, reference.test_split.images
        ),
        "class_kl": classes.kl_from_uniform(histogram),
    }
    if samples.labels is not None:
        values["class_accuracy"] = classes.class_accuracy(predicted, samples.labels)
    values = {name: float(value) for name, value in values.items()}
    return values | {"class_histogram": [float(share) for share in histogram]}


class Monitor:
    """Measures a GAN while it trains: its FCD to the images that it is trained on.

    To the training split, so that whoever chooses a recipe by it has not yet looked at
    the test split.
    """

    def __init__(
        self, reference: Reference, num_samples: int = 5000, seed: int = 0
    ) -> None:
        """Takes the moments of all the training images once."""
        self._classifier = reference.classifier
        images = reference.training_split.images
        self._real = frechet.moments(classify(self._classifier, images)[0])
        self._num_samples, self._seed = num_samples, seed

    def __call__(self, gan: GAN, state: GANState) -> dict[str, float]:
        """``{"fcd": ...}`` of a state's samples."""
        samples = draw(gan, state, self._num_samples, seed=self._seed)
        fake = frechet.moments(classify(self._classifier, samples.images)[0])
        return {"fcd": frechet.frechet_distance_of_moments(fake, self._real)}


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


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
    return Samples(split.images[chosen], split.labels[chosen])


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
