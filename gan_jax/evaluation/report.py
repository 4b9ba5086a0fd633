"""All measures of some samples at once, against a reference data set."""

from typing import Any

import numpy as np

from gan_jax.errors import UserError
from gan_jax.evaluation import (
    bootstrap,
    classes,
    extrapolation,
    features,
    frechet,
    kid,
    precision_recall,
    sliced,
)
from gan_jax.evaluation.references import FEWEST, MOST, NEIGHBOURS, Reference
from gan_jax.run.sampling import Samples

_MOST_DIMENSIONS = 512  # where a Frechet distance takes some 50 ms


def measure(
    samples: Samples,
    reference: Reference,
    *,
    uncertainty: bool = True,
) -> dict[str, Any]:
    """Every measure of some samples against the test split.

    Args:
      samples: images, and the labels that were asked for where conditional.
      reference: what to compare with.
      uncertainty: whether to give intervals and FCD-infinity as well.

    Returns:
      The Frechet distance under the name of the features: ``fcd`` in those of the
      classifier, ``frechet_random``, or ``fid``; ``kid`` and its ``kid_error``,
      ``precision``, ``recall``, ``density``, ``coverage`` in the same;
      ``sliced_wasserstein`` (of pixels, in grey levels of 0 to 255); and where the
      features come with classes ``class_histogram`` (shares), ``class_kl`` (nats from
      uniform), of stacked images ``modes`` (how many classes are found), and where
      there are labels ``class_accuracy``.

      Of uncertainty ``fcd_interval`` and ``kid_interval``, ``[lower, upper]``, which
      hold the mean over other draws of as many samples, against the same reference, in
      about 95 % of draws, or more; and with enough samples (`extrapolation.fewest`)
      ``fcd_infinity``, what infinitely many would score. Those of a Frechet distance
      are in its own name, and not there in Inception's 2,048 dimensions, where each
      distance takes seconds and there are hundreds.

    Raises:
      UserError: there are fewer samples than a measure needs, or of another shape.
    """
    check_count(len(samples.images))
    check_shape(samples.images.shape[1:], reference)
    measured_in = reference.measured_in
    fake, predicted = measured_in.extract(samples.images)
    values: dict[str, Any] = _frechet(fake, reference, uncertainty)
    values |= _kid(fake, reference, uncertainty)
    values |= precision_recall.precision_recall_density_coverage(
        reference.features, fake, neighbours=NEIGHBOURS
    )._asdict()
    values["sliced_wasserstein"] = sliced.sliced_wasserstein(
        samples.images, reference.test_split.images
    )
    if predicted is not None:
        values |= of_classes(predicted, samples.labels, measured_in)
    return {
        name: value if isinstance(value, list) else float(value)
        for name, value in values.items()
    }


def _frechet(
    fake: np.ndarray, reference: Reference, uncertainty: bool
) -> dict[str, Any]:
    key, real = reference.measured_in.distance, reference.moments
    distance = frechet.frechet_distance_of_moments(frechet.moments(fake), real)
    values: dict[str, Any] = {key: distance}
    count, dimension = fake.shape
    if uncertainty and dimension <= _MOST_DIMENSIONS:
        resampled = frechet.resampled_distances(fake, real, bootstrap.resamples(count))
        values[f"{key}_interval"] = list(bootstrap.interval(distance, resampled))
        if count >= extrapolation.fewest(dimension):
            values[f"{key}_infinity"] = extrapolation.frechet_infinity(fake, real)
    return values


def _kid(fake: np.ndarray, reference: Reference, uncertainty: bool) -> dict[str, Any]:
    counts = bootstrap.resamples(len(fake), bootstrap.REPLICATES * uncertainty)
    distance, resampled = kid.estimate_kid_resampled(fake, reference.features, counts)
    values: dict[str, Any] = {
        "kid": distance.value,
        "kid_error": distance.standard_error,
    }
    if uncertainty:
        values["kid_interval"] = list(bootstrap.interval(distance.value, resampled))
    return values


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
