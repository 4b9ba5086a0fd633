"""Walks through the latent space of a trained run, and films its training.

    python -m experiments.interpolate --workdir=runs/wasserstein_gp

Leaves two pictures in the run folder: interpolation.png, a row for each pair of latents
with ten steps from one to the other along the great circle; and training.gif, the
sample grids of the run (the same latents each time) one after another.
"""

import sys

from absl import flags

from experiments.common import cli, results
from gan_jax import plots
from gan_jax.errors import UserError
from gan_jax.explore import pictures
from gan_jax.run import configuration, run_folder, sampling
from gan_jax.system.files import whole_file
from gan_jax.system.paths import expand

_WORKDIR = flags.DEFINE_string("workdir", None, "Run folder of experiments.train.")
_ROWS = flags.DEFINE_integer(
    "rows", 10, "Pairs of latents; of a conditional GAN, one class after another."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_MILLISECONDS = flags.DEFINE_integer(
    "milliseconds", 150, "How long each picture of training.gif is shown."
)

_MOST_ROWS = 100
_LONGEST = 60_000  # ten times that is what a GIF can hold


def main() -> None:
    """Checks the flags and draws both pictures."""
    if not _WORKDIR.value:
        raise UserError("--workdir is missing: name a run folder of experiments.train")
    cli.require_positive(_ROWS)
    cli.require_in(_MILLISECONDS, 10, _LONGEST)
    if _ROWS.value > _MOST_ROWS:
        raise UserError(f"--rows={_ROWS.value} is more than {_MOST_ROWS}")
    cli.require_seed(_SEED)
    workdir = expand(_WORKDIR.value)
    run_folder.check_place(workdir)
    gan, state = sampling.restore(workdir)
    results.warn(configuration.read_warning(workdir))
    images = sampling.interpolate(gan, state, _ROWS.value, seed=_SEED.value)
    path = workdir / "interpolation.png"
    with whole_file(path) as file:
        plots.save_grid(file, images.reshape(-1, *images.shape[2:]))
    print(path)
    grids = [pictures.grid_path(workdir, step) for step in pictures.steps(workdir)]
    if len(grids) < 2:
        print(
            f"no training.gif: {workdir / 'samples'} holds {len(grids)} grid: train"
            " with a smaller --sample_every",
            file=sys.stderr,
        )
    else:
        path = workdir / "training.gif"
        with whole_file(path) as file:
            plots.save_film(file, grids, _MILLISECONDS.value)
        print(path)


if __name__ == "__main__":
    cli.run(main)
