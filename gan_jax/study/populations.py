"""Measures of many trained GANs: how good, how sure, how often it fails.

The protocol of Lucic et al. 2018, 'Are GANs created equal?',
https://arxiv.org/abs/1711.10337: not the best GAN of a loss but the distribution over
seeds and hyperparameters, and the best that a given number of runs may expect.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gan_jax import training
from gan_jax.evaluation import classes, frechet, report
from gan_jax.evaluation.classifier import classify
from gan_jax.run import sampling

COVERED = 0.01  # least share of samples, a tenth of a class's own of ten
FEWEST_CLASSES = 5  # covered by a GAN that has not collapsed
LEAST_VARIETY = 0.1  # of its samples' features
QUANTILES = (0.25, 0.5, 0.75)
_WORST = 1e300
Row = dict[str, Any]


class Judge:
    """Measures one GAN after another against the same images."""

    def __init__(self, reference: report.Reference, num_samples: int) -> None:
        """Takes the moments of both splits once."""
        self._classifier = reference.classifier
        images = reference.training_split.images
        self._train = frechet.moments(classify(self._classifier, images)[0])
        self._test = frechet.moments(reference.features)
        self._num_samples = num_samples

    def __call__(
        self, gan: training.GAN, state: training.GANState
    ) -> tuple[Row, np.ndarray | None]:
        """What there is to say about a GAN.

        Args:
          gan: whose networks the state's are.
          state: at its end.

        Returns:
          Its measures and its samples, uint8 ``[samples, 28, 28, 1]``. The measures
          are ``fcd``, to the test split; ``fcd_train``, to the training split, by which
          to choose; ``classes``, how many of the ten have a share of at least
          `COVERED`; ``variety``, the variance of the samples' features over that of the
          test split's; and ``collapsed`` (`is_collapsed`). A generator whose numbers
          are not finite has collapsed; its other measures are None, and it has no
          samples.
        """
        generator = (state.generator.params, state.generator.batch_stats, state.ema)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(generator)):
            names = ("fcd", "fcd_train", "classes", "variety")
            return dict.fromkeys(names) | {"collapsed": True}, None
        samples = sampling.draw(gan, state, self._num_samples)
        features, labels = classify(self._classifier, samples.images)
        fake = frechet.moments(features)
        covered = int((classes.class_histogram(labels) >= COVERED).sum())
        variety = np.trace(fake.covariance) / np.trace(self._test.covariance)
        row = {
            "fcd": frechet.frechet_distance_of_moments(fake, self._test),
            "fcd_train": frechet.frechet_distance_of_moments(fake, self._train),
            "classes": covered,
            "variety": float(variety),
            "collapsed": is_collapsed(covered, variety),
        }
        return row, samples.images


def is_collapsed(covered: int, variety: float) -> bool:
    """Whether a generator draws too few kinds of things to be called trained.

    Args:
      covered: classes of which at least `COVERED` of the samples are.
      variety: variance of the samples' features over that of real images.
    """
    return bool(covered < FEWEST_CLASSES or variety < LEAST_VARIETY)


def summarise(rows: Sequence[Row]) -> Row:
    """The distribution of the FCD over GANs.

    Args:
      rows: as `Judge` gives them, at least one.

    Returns:
      ``gans``; ``mean`` and ``std`` (of the sample: n - 1) of those that have an FCD,
      None where there are too few; ``best``, the FCD to the test split of the one that
      is best on the training split; ``quantiles`` (25, 50, 75 %), in which a GAN
      without an FCD is worse than all others: None where it is its turn; ``collapsed``,
      their share.
    """
    known = np.array([row["fcd"] for row in rows if row["fcd"] is not None])
    # Not infinity, of which an interpolation makes NaN.
    ranked = np.append(known, np.full(len(rows) - len(known), _WORST))
    quantiles = np.quantile(ranked, QUANTILES)
    return {
        "gans": len(rows),
        "mean": float(known.mean()) if len(known) else None,
        "std": float(known.std(ddof=1)) if len(known) > 1 else None,
        "best": None if best(rows) is None else best(rows)["fcd"],
        "quantiles": [float(q) if q < _WORST**0.5 else None for q in quantiles],
        "collapsed": sum(row["collapsed"] for row in rows) / len(rows),
    }


def best(rows: Sequence[Row]) -> Row | None:
    """The GAN that is nearest to the training split; None where none has an FCD."""
    known = [row for row in rows if row["fcd_train"] is not None]
    return min(known, key=lambda row: row["fcd_train"], default=None)


def expected_best(values: Sequence[float]) -> np.ndarray:
    """The least of k values that are chosen at random, on average, for every k.

    Without replacement: the i-th smallest of n is the least of k with the probability
    ``C(n - i, k - 1) / C(n, k)``.

    Args:
      values: of n GANs.

    Returns:
      ``[n]``, for k = 1 (their mean) to n (their least).

    Source: Lucic et al. 2018, figure 4, where it is taken by resampling
    """
    ordered, n = np.sort(np.asarray(values, np.float64)), len(values)
    return np.array(
        [
            sum(
                math.comb(n - 1 - i, k - 1) / math.comb(n, k) * value
                for i, value in enumerate(ordered[: n - k + 1])
            )
            for k in range(1, n + 1)
        ]
    )
