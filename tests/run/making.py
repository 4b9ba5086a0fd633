"""Runs of a few steps on images of noise."""

import numpy as np

from gan_jax.data import Dataset
from gan_jax.run import configuration, loop, run_folder


def noise(size):
    """A data set of as many images, of ten classes in turn."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (size, 28, 28, 1)).astype(np.uint8)
    labels = np.arange(size, dtype=np.int32) % 10
    return Dataset("garments", images, labels, tuple("abcdefghij"), "made up")


def train(config, dataset, workdir, **how):
    """Begins a run, or goes on with it, as `loop.train` takes it; its state."""
    run_folder.prepare(workdir, config, overwrite=False)
    configuration.write_config(workdir, config)
    how = {"say": lambda line: None, **how}
    return loop.train(config, dataset, workdir, **how)
