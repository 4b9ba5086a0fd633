"""Runs of a few steps on images of noise."""

import dataclasses

import jax
import numpy as np

from gan_jax.data import Dataset
from gan_jax.devices import parallel
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


def compile_once(set_attribute):
    """From now on, runs that differ in no more than their optimisers' numbers share
    the program of their steps."""
    kept = {}

    def once(compile_steps):
        def compiled(gan, state, examples, devices, **sizes):
            shapes = jax.tree.map(lambda a: (a.shape, a.dtype), (state, examples))
            optimisers = {"generator_optimiser": None, "discriminator_optimiser": None}
            same = dataclasses.replace(gan, **optimisers), str(shapes)
            key = (compile_steps, *same, *devices, *sizes.items())
            if key not in kept:
                kept[key] = compile_steps(gan, state, examples, devices, **sizes)
            return kept[key]

        return compiled

    for name in ("compile_train_steps", "compile_block_steps"):
        set_attribute(parallel, name, once(getattr(parallel, name)))
