"""No measure needs memory for all pairs, or for all the images at once."""

import tracemalloc

import numpy as np
import pytest

from gan_jax.data.dataset import Indexed
from gan_jax.evaluation import (
    estimate_kid,
    precision_recall_density_coverage,
    sliced_wasserstein,
)
from gan_jax.system import cores

MB = 10**6


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(cores, "available", lambda: 2)  # each has a block in memory


@pytest.fixture
def peak():
    """Runs a function, and says how much memory it took at most, in bytes."""

    def measure(function, *args, **options):
        tracemalloc.start()
        try:
            function(*args, **options)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


class Noise(Indexed):
    """Images that are drawn when they are asked for, and are nowhere kept."""

    def __init__(self, seed, count):
        self.shape, self.dtype = (count, 64, 64, 3), np.dtype(np.uint8)
        self._seed = seed

    def __getitem__(self, index):
        chosen = range(len(self))[index]
        rng = np.random.default_rng([self._seed, chosen.start])
        size = (len(chosen), *self.shape[1:])
        return rng.integers(0, 256, size, dtype=np.uint8)


def test_images_are_projected_a_block_at_a_time(peak):
    x, y = Noise(0, 5000), Noise(1, 5000)  # 61 MB each, and 490 MB in float64
    assert peak(sliced_wasserstein, x, y, projections=8) < 100 * MB


@pytest.mark.parametrize("measure", [estimate_kid, precision_recall_density_coverage])
def test_pairs_are_looked_at_a_block_at_a_time(measure, peak):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6000, 8))  # all distances of one set are 288 MB
    assert peak(measure, x, y) < 100 * MB
