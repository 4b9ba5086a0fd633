"""Measures of many trained GANs: how good, how sure, how often it fails.

The protocol of Lucic et al. 2018, 'Are GANs created equal?',
https://arxiv.org/abs/1711.10337: not the best GAN of a loss but the distribution over
seeds and hyperparameters, and the best that a given number of runs may expect.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gan_jax import training
from gan_jax.evaluation import classes, frechet, references
from gan_jax.evaluation.features import distance_in
from gan_jax.study import ledger

COVERED = 0.1  # least share of samples, over that of a class that all share evenly
FEWEST_CLASSES = 0.5  # of all, covered by a GAN that has not collapsed
LEAST_VARIETY = 0.1  # of its samples' features
QUANTILES = (0.25, 0.5, 0.75)
_MOST_K = 200  # points of a curve
_WORST = 1e300
Row = dict[str, Any]


class Judge:
    """Measures one GAN after another against the same images."""

    def __init__(self, reference: references.Reference, num_samples: int) -> None:
        """Takes the moments of both splits once."""
        self._in, self._draw = reference.measured_in, reference.draw
        self._train = reference.training_moments
        self._test = reference.moments
        self._num_samples = num_samples

    def __call__(
        self, gan: training.GAN, state: training.GANState
    ) -> tuple[Row, np.ndarray | None]:
        """What there is to say about a GAN.

        Args:
          gan: whose networks the state's are.
          state: at its end.

        Returns:
          Its measures and its samples, uint8 ``[samples, height, width, channels]``.
          The measures are the Frechet distance to the test split under the name of the
          features, as ``fcd``; with ``_train`` behind, to the training split, by which
          to choose; ``classes``, how many have at least `COVERED` of an even share,
          None without classes; ``variety``, the variance of the samples' features over
          that of the test split's; and ``collapsed`` (`is_collapsed`). A generator
          whose numbers are not finite has collapsed; its other measures are None, and
          it has no samples.
        """
        names = (self._in.distance, f"{self._in.distance}_train", "classes", "variety")
        generator = (state.generator.params, state.generator.batch_stats, state.ema)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(generator)):
            return dict.fromkeys(names) | {"collapsed": True}, None
        samples = self._draw(gan, state, self._num_samples)
        features, labels = self._in.extract(samples.images)
        fake = frechet.moments(features)
        covered = None
        if labels is not None:
            shares = classes.class_histogram(labels, self._in.num_classes)
            covered = int((shares >= COVERED / len(shares)).sum())
        variety = np.trace(fake.covariance) / np.trace(self._test.covariance)
        values = (
            frechet.frechet_distance_of_moments(fake, self._test),
            frechet.frechet_distance_of_moments(fake, self._train),
            covered,
            float(variety),
        )
        row = dict(zip(names, values, strict=True))
        lost = is_collapsed(covered, variety, self._in.num_classes)
        return row | {"collapsed": lost}, samples.images


def is_collapsed(covered: int | None, variety: float, num_classes: int = 10) -> bool:
    """Whether a generator draws too few kinds of things to be called trained.

    Args:
      covered: classes that have at least `COVERED` of an even share of the samples;
        None where there are no classes.
      variety: variance of the samples' features over that of real images.
      num_classes: how many classes there are.
    """
    few = covered is not None and covered < FEWEST_CLASSES * num_classes
    return bool(few or variety < LEAST_VARIETY)


def finished(rows: Sequence[Row]) -> list[Row]:
    """The GANs that were trained to their last step."""
    return [row for row in rows if not ledger.is_stopped(row)]


def summarise(rows: Sequence[Row]) -> Row:
    """The distribution of the Frechet distance over GANs.

    Of those that were trained to their end alone, but for the first two numbers: a
    distance after fewer steps is of another GAN.

    Args:
      rows: of the ledger, at least one.

    Returns:
      ``gans``, how many there are; ``stopped``, those of them that were stopped before
      their end; ``mean`` and ``std`` (of the sample: n - 1) of those that have an FCD,
      None where there are too few; ``best``, the FCD to the test split of the one that
      is best on the training split; ``quantiles`` (25, 50, 75 %), in which a GAN
      without an FCD is worse than all others: None where it is its turn; ``collapsed``,
      their share, None where none has finished.
    """
    key, done = distance_in(rows[0]), finished(rows)
    known = np.array([row[key] for row in done if row[key] is not None])
    # Not infinity, of which an interpolation makes NaN.
    ranked = np.append(known, np.full(len(done) - len(known), _WORST))
    quantiles = np.quantile(ranked, QUANTILES) if done else [_WORST] * len(QUANTILES)
    chosen = best(done) if done else None
    return {
        "gans": len(rows),
        "stopped": len(rows) - len(done),
        "mean": float(known.mean()) if len(known) else None,
        "std": float(known.std(ddof=1)) if len(known) > 1 else None,
        "best": None if chosen is None else chosen[key],
        "quantiles": [float(q) if q < _WORST**0.5 else None for q in quantiles],
        "collapsed": sum(row["collapsed"] for row in done) / len(done)
        if done
        else None,
    }


def best(rows: Sequence[Row]) -> Row | None:
    """The GAN that is nearest to the training split; None where none has an FCD.

    Among those that were trained to their end; among all where none was.
    """
    key = f"{distance_in(rows[0])}_train"
    known = [row for row in finished(rows) or rows if row[key] is not None]
    return min(known, key=lambda row: row[key], default=None)


def some_k(n: int) -> np.ndarray:
    """Numbers from 1 to n: all of few; of many some, with both ends, ever wider."""
    if n <= _MOST_K:
        return np.arange(1, n + 1)
    return np.unique(np.rint(np.geomspace(1, n, _MOST_K)).astype(int))


def expected_best(values: Sequence[float], numbers: Sequence[int]) -> np.ndarray:
    """The least of k values that are chosen at random, on average, for some k.

    Without replacement: the i-th smallest of n (from 0) is the least of k with the
    probability ``C(n - 1 - i, k - 1) / C(n, k)``. It is ``k / n`` for the smallest, and
    ``(n - k - i) / (n - 1 - i)`` times as much for the one behind the i-th.

    Args:
      values: of n GANs.
      numbers: the k, from 1 (the mean) to n (the least).

    Returns:
      ``[numbers]``.

    Source: Lucic et al. 2018, figure 4, where it is taken by resampling
    """
    ordered, n = np.sort(np.asarray(values, np.float64)), len(values)
    found = []
    for k in numbers:
        before = np.arange(n - k)
        ratios = (n - k - before) / (n - 1 - before)
        chances = k / n * np.cumprod(np.append(1.0, ratios))
        found.append(chances @ ordered[: n - k + 1])
    return np.array(found)
