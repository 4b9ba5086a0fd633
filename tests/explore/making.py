"""Run folders of untrained small networks, made in no time."""

import atexit
import functools
import json
import os
import pathlib
import shutil
import socket
import tempfile

import jax
import numpy as np

from gan_jax import plots, recipes, training
from gan_jax.run import checkpoints, configuration, run_folder
from gan_jax.run.sample_grids import grid_sampler

SHAPE = (28, 28, 1)
SMALL = {"network": "mlp", "width": 8, "latent_size": 8}


def config_of(loss="nonsaturating", *, steps=20, seed=0, **numbers):
    """Settings of a run of small networks on drawn garments."""
    recipe = recipes.recipe(loss, **(SMALL | numbers))
    return configuration.Config(recipe, "garments", seed, steps)


@functools.cache
def gan_and_state(config):
    """What is trained, as it is before the first step."""
    gan = config.make_gan()
    return gan, training.init_state(gan, jax.random.key(config.seed), config.shape)


def real(count=100):
    """Images of noise."""
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)


def save(folder, config, step, *, shift=0.0):
    """A checkpoint of a step, its weights moved by a number."""
    _, state = gan_and_state(config)
    state = jax.tree.map(
        lambda leaf: leaf + shift if leaf.dtype == np.float32 else leaf, state
    )
    about = {"flags": config.flags(), "versions": configuration.versions()}
    writer = checkpoints.Writer(folder, about, keep=2)
    writer.save(step, state.replace(step=state.step + step))
    writer.close()


def log(folder, steps):
    """Lines of metrics.jsonl."""
    lines = [
        {"step": s, "seconds": 0.1 * s, "d_loss": 1.0 / s, "g_loss": float(s)}
        for s in steps
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)


def make_run(folder, config=None, *, step=20, checkpoint=True):
    """A run that has come as far as a step, with two sample grids."""
    config = config or config_of()
    made = _made(config, step)
    shutil.copytree(made, folder)
    if not checkpoint:
        shutil.rmtree(folder / "checkpoints")
    return config


@functools.cache
def _made(config, step):
    """The same, made once: it is copied."""
    above = pathlib.Path(tempfile.mkdtemp(prefix="gan_jax_tests_"))
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    folder = above / "run"
    run_folder.prepare(folder, config, overwrite=False)
    configuration.write_config(folder, config)
    log(folder, range(5, step + 1, 5))
    gan, state = gan_and_state(config)
    images = np.array(grid_sampler(gan, jax.random.key(config.seed))(state))
    (folder / "samples").mkdir()
    for at in (step // 2, step):
        # One picture differs from the other: a bright line.
        images[:, at % 28] = 255
        plots.save_grid(folder / "samples" / f"step_{at:06d}.png", images)
    plots.save_grid(folder / "real.png", real())
    save(folder, config, step)
    return folder


def hold(folder, process=None, host=None):
    """The lock file of a process that trains there; by default of this one."""
    holder = {"process": process or os.getpid(), "host": host or socket.gethostname()}
    (folder / ".lock").write_text(json.dumps(holder))
