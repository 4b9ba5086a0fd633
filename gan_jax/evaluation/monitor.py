"""A GAN is measured while it trains."""

import numpy as np

from gan_jax.evaluation import frechet
from gan_jax.evaluation.features import DISTANCES
from gan_jax.evaluation.references import Reference
from gan_jax.evaluation.report import of_classes
from gan_jax.training import GAN, GANState


class Monitor:
    """Measures a GAN while it trains: its Frechet distance to the training images.

    To the training split, so that whoever chooses a recipe by it has not yet looked at
    the test split.

    Attributes:
      floor: the distance of images of the test split, as many as samples, or all there
        are. Samples as good as real images have it.
    """

    def __init__(
        self, reference: Reference, num_samples: int | None = None, seed: int = 0
    ) -> None:
        """Takes the moments of all the training images once.

        Args:
          reference: what to measure in.
          num_samples: 5,000 by default; 26,000 of stacked images, the number with
            which modes are counted in papers.
          seed: of the latents.
        """
        self._in, self._draw = reference.measured_in, reference.draw
        self._real = reference.training_moments
        usual = 26_000 if self._in.counts_modes else 5000
        self._num_samples, self._seed = num_samples or usual, seed
        chosen = np.random.default_rng(seed).permutation(len(reference.features))
        held_out = frechet.moments(reference.features[chosen[: self._num_samples]])
        self.floor = frechet.frechet_distance_of_moments(held_out, self._real)

    def describe(self) -> str:
        """What is measured, and the floor, in a line."""
        name = DISTANCES[self._in.distance]
        return (
            f"{name} of {self._num_samples} samples to the training images; test images"
            f" have {self.floor:.1f}"
        )

    def __call__(self, gan: GAN, state: GANState) -> dict[str, float]:
        """``{"fcd": ...}`` of a state's samples, or the distance in other features.

        Beside it the floor as ``fcd_floor``. Of stacked images ``modes`` and
        ``class_kl`` as well, as in `measure`.
        """
        samples = self._draw(gan, state, self._num_samples, seed=self._seed)
        fake, predicted = self._in.extract(samples.images)
        moments = frechet.moments(fake)
        distance = frechet.frechet_distance_of_moments(moments, self._real)
        values = {self._in.distance: distance}
        values[f"{self._in.distance}_floor"] = self.floor
        if self._in.counts_modes:
            found = of_classes(predicted, None, self._in)
            values |= {name: float(found[name]) for name in ("modes", "class_kl")}
        return values
