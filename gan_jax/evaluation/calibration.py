"""Whether measures grow with damage that is known."""

import itertools
from typing import Any

from gan_jax.errors import UserError
from gan_jax.evaluation import corruptions, features, references, report
from gan_jax.run.sampling import Samples

DISTANCES = (*features.DISTANCES, "kid", "sliced_wasserstein")


def calibrate(
    reference: references.Reference, num_samples: int, seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Measures damaged images.

    Args:
      reference: whose training images are damaged, and whose test split they are
        compared with.
      num_samples: images of each.
      seed: of which ones.

    Returns:
      Damage -> values for each level from 0 (none) up, ``level`` among them.

    Raises:
      UserError: as `check_shape` and `report.measure`.
    """
    check_shape(reference.test_split.shape)
    clean = references.floor(reference, num_samples, seed)
    undamaged = {"level": 0.0} | report.measure(clean, reference, uncertainty=False)
    results = {}
    for name, (damage, levels) in corruptions.CORRUPTIONS.items():
        results[name] = [undamaged]
        for level in levels:
            damaged = Samples(damage(clean.images, level), clean.labels)
            values = report.measure(damaged, reference, uncertainty=False)
            results[name].append({"level": level} | values)
    return results


def check_shape(shape: tuple[int, int, int]) -> None:
    """Refuses images that are too small for the greatest damage.

    Args:
      shape: ``(height, width, channels)``.

    Raises:
      UserError: they are; nothing is left of them when they are cropped.
    """
    _, levels = corruptions.CORRUPTIONS["crop"]
    least, (height, width, _) = 2 * (max(levels) + 1), shape
    if min(height, width) < least:
        raise UserError(
            f"the images are {height} x {width}, and up to {max(levels)} pixels of each"
            f" border are cropped: use images with sides of {least} pixels or more"
        )


def failures(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A line for each step of a damage at which a distance does not grow."""
    return [
        f"{distance} does not grow from {name} {less['level']:g} to {more['level']:g}:"
        f" {less[distance]:.4g} to {more[distance]:.4g}"
        for name, values in results.items()
        for less, more in itertools.pairwise(values)
        for distance in DISTANCES
        if distance in less and not more[distance] > less[distance]  # or NaN
    ]
