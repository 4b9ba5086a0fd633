"""Drawn garments and a classifier of them, made once for all tests that measure.

python -m tests.evaluation.reference     # leaves them in $GAN_JAX_CACHE_DIR
"""

import numpy as np

from gan_jax import data
from gan_jax.data import mnist_family
from gan_jax.evaluation import features, references
from gan_jax.evaluation.classifier import load_or_train
from gan_jax.system.files import cache_folder
from tests import small


def make():
    """Draws the garments, trains the classifier, and keeps both."""
    made = references.load_reference("garments", quick=True)
    splits = {"train": made.training_split, "test": made.test_split}
    arrays = {
        f"{name}_{what}": getattr(split, what)
        for name, split in splits.items()
        for what in ("images", "labels")
    }
    np.savez(cache_folder() / small.GARMENTS, **arrays)


def load(folder):
    """What `references.load_reference` gives, without drawing or training."""
    names = mnist_family.CLASS_NAMES["fashion_mnist"]
    splits = [
        data.Dataset("garments", *small.drawn_garments(folder, split), names, "drawn")
        for split in data.SPLITS
    ]
    classifier = load_or_train(
        *splits, folder=folder / "classifiers", say=_must_be_there
    )
    measured_in = features.of_classifier(classifier)
    found, _ = measured_in.extract(splits[1].images)
    return references.Reference(measured_in, *splits, found)


def _must_be_there(line):
    raise AssertionError(line)


if __name__ == "__main__":
    make()
