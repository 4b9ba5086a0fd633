"""What images are measured in: the features of a network, and its classes if any.

A distance between features depends on the network, so every table and every file says
which one it was, and only numbers of the same one compare.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gan_jax.data import Dataset, stacked
from gan_jax.evaluation import classifier, random_features

NAMES = ("classifier", "random", "inception")
DISTANCES = {
    "fcd": "FCD",
    "frechet_random": "Frechet (random)",
    "fid": "FID",
}  # the key of a Frechet distance -> what tables call it
_KEYS = dict(zip(NAMES, DISTANCES, strict=True))

Extract = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


@dataclasses.dataclass(frozen=True)
class Features:
    """A network that images are measured in.

    Attributes:
      name: of `NAMES`.
      about: what an evaluation records of it.
      extract: of uint8 images ``[N, height, width, channels]`` the features, float64
        ``[N, dimension]``, and the classes, int32 ``[N]``, or None.
      num_classes: of the classes; 0 where it has none.
      counts_modes: whether the classes are modes to be found: those of stacked images.
    """

    name: str
    about: dict[str, Any]
    extract: Extract
    num_classes: int = 0
    counts_modes: bool = False

    @property
    def distance(self) -> str:
        """The key of the Frechet distance in these features, of `DISTANCES`."""
        return _KEYS[self.name]

    def describe(self) -> dict[str, Any]:
        """What an evaluation records of it."""
        return {"name": self.name} | self.about

    def sentence(self) -> str:
        """Which features these are, for the line below a table."""
        if self.name == "classifier":
            return (
                f"classifier {self.about['sha256'][:12]}, test accuracy"
                f" {self.about['accuracy']:.2%}"
            )
        if self.name == "random":
            return (
                f"random features of an untrained network {self.about['sha256'][:12]}"
            )
        return f"Inception features {self.about['sha256'][:12]}"


def distance_in(values: Mapping[str, Any]) -> str:
    """The key of the Frechet distance that is among measures."""
    return next(key for key in DISTANCES if key in values)


def of_classifier(trained: classifier.Classifier) -> Features:
    """The features of the project's classifier of a data set, and its classes."""
    return Features(
        "classifier",
        trained.describe(),
        functools.partial(classifier.classify, trained),
        trained.num_classes,
    )


def of_channels(trained: classifier.Classifier) -> Features:
    """Those of a classifier of gray images, of each channel of stacked ones.

    The class is that of the triple: with ten classes, one of 1,000 modes (Metz et al.
    2017; Srivastava et al. 2017, https://arxiv.org/abs/1705.07761).
    """

    def extract(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(images)
        channels = [
            classifier.classify(trained, np.ascontiguousarray(images[..., i : i + 1]))
            for i in range(stacked.DEPTH)
        ]
        features, classes = zip(*channels, strict=True)
        joined = stacked.join(np.stack(classes, axis=1), trained.num_classes)
        return np.concatenate(features, axis=1), joined

    return Features(
        "classifier",
        trained.describe(),
        extract,
        trained.num_classes**stacked.DEPTH,
        counts_modes=True,
    )


def of_untrained_network(dataset: Dataset) -> Features:
    """Random features for the images of a data set: `random_features`."""
    params = random_features.initialise(dataset.shape)
    about = {"seed": 0, "sha256": classifier.weights_hash(params)}
    extract = functools.partial(random_features.extract, params)
    return Features("random", about, lambda images: (extract(images), None))


def of_inception(weights: str | None = None) -> Features:
    """Those that FID is defined in: `inception`.

    Args:
      weights: a file of them, where they cannot be downloaded.

    Raises:
      UserError: torch-fidelity is not installed, or there are no such weights.
    """
    from gan_jax.evaluation import inception  # late: it imports PyTorch

    network, sha256 = inception.load(weights)
    extract = functools.partial(inception.extract, network)
    about = {"sha256": sha256}
    return Features("inception", about, lambda images: (extract(images), None))
