"""Draws images from a trained run.

    python -m experiments.sample --workdir=runs/wasserstein_gp --num_samples=1000 \\
        --output=samples.npz

An .npz holds `images`, uint8 [N, 28, 28, 1]; a .png shows them ten a row.
"""

import pathlib
import sys

import jax
import numpy as np
from absl import flags

from experiments import cli
from gan_jax import plots, recipes, runs, training
from gan_jax.errors import UserError

_WORKDIR = flags.DEFINE_string("workdir", None, "Run folder of experiments.train.")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 100, "How many images to draw.")
_OUTPUT = flags.DEFINE_string("output", None, "File to write: .npz or .png.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")

_BATCH = 500
_SHAPE = (28, 28, 1)
_MOST = 1_000_000  # all in memory: 784 MB
_MOST_IN_A_PICTURE = 10_000


def draw(workdir: pathlib.Path, num_samples: int, seed: int = 0) -> np.ndarray:
    """Draws images from the newest checkpoint of a run.

    The first n images of a seed are the same, however many are drawn.

    Args:
      workdir: run folder.
      num_samples: how many.
      seed: of the latents.

    Returns:
      uint8, ``[num_samples, 28, 28, 1]``.

    Raises:
      UserError: there is no run, or no checkpoint in it yet.
    """
    config = runs.read_config(workdir)
    gan = recipes.make_gan(config.recipe)
    if runs.latest_checkpoint(workdir) is None:
        raise UserError(
            f"the run in {workdir} has no checkpoint yet: let experiments.train reach"
            " its first --checkpoint_every"
        )
    checkpoints = runs.Checkpoints(workdir)
    state = checkpoints.restore(
        jax.eval_shape(lambda: training.init_state(gan, jax.random.key(0), _SHAPE))
    )
    checkpoints.close()

    @jax.jit
    def sample(key: jax.Array) -> jax.Array:
        z = jax.random.normal(key, (_BATCH, gan.latent_size))
        return training.to_uint8(training.generate(gan, state, z))

    key = jax.random.key(seed)
    batches = [
        np.asarray(sample(jax.random.fold_in(key, i)))
        for i in range(-(-num_samples // _BATCH))
    ]
    return np.concatenate(batches)[:num_samples]


def main() -> None:
    """Checks the flags, draws, and writes the file whole or not at all."""
    if not _WORKDIR.value:
        raise UserError("--workdir is missing: name a run folder of experiments.train")
    cli.require_positive(_NUM_SAMPLES)
    cli.require_seed(_SEED)
    output = pathlib.Path(_OUTPUT.value or "").expanduser()
    if output.suffix not in (".npz", ".png"):
        raise UserError("--output must name a file that ends in .npz or .png")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output: there is no folder {output.parent}: make it first")
    if output.suffix == ".png" and _NUM_SAMPLES.value > _MOST_IN_A_PICTURE:
        raise UserError(f"a .png shows at most {_MOST_IN_A_PICTURE} images: use .npz")
    if _NUM_SAMPLES.value > _MOST:
        raise UserError(f"--num_samples={_NUM_SAMPLES.value} is more than {_MOST}")
    workdir = pathlib.Path(_WORKDIR.value).expanduser()
    images = draw(workdir, _NUM_SAMPLES.value, _SEED.value)
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as file:
            if output.suffix == ".npz":
                np.savez_compressed(file, images=images)
            else:
                plots.save_grid(file, images)
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"cannot write {output}: {error.strerror}") from error
    print(f"{len(images)} images in {output}")
    if warning := runs.read_warning(workdir):
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
