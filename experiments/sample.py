"""Draws images from a trained run.

    python -m experiments.sample --workdir=runs/wasserstein_gp --num_samples=1000 \\
        --output=samples.npz
    python -m experiments.sample --workdir=runs/wasserstein_gp --output=samples/
    python -m experiments.sample --workdir=runs/wasserstein_gp --num_samples=10 \\
        --to_seed=1 --truncation=1.5 --along=2,-1 --output=walk.png

An .npz holds `images`, uint8 [N, height, width, channels], and of a conditional GAN
`labels`, int32 [N]; both again as `arr_0` and `arr_1`. A folder gets a PNG file for
each image. Either is what pytorch-fid, clean-fid and others read. A .png shows the
images ten a row.
"""

import math
import pathlib

from absl import flags

from experiments.common import cli, places, results
from gan_jax import plots, training
from gan_jax.errors import UserError
from gan_jax.explore import latents
from gan_jax.explore.directions import principal_directions
from gan_jax.run import configuration, sample_files, sampling
from gan_jax.system.files import whole_file
from gan_jax.system.paths import expand

_WORKDIR = flags.DEFINE_string("workdir", None, "Run folder of experiments.train.")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 100, "How many images to draw.")
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "What to write: a file that ends in .npz or .png, or a new or empty folder, with a"
    " slash at its end.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")

_LABEL = flags.DEFINE_integer(
    "label",
    None,
    "Class to draw, from 0, of a conditional GAN. Default: all, one after another.",
)
_TO_SEED = flags.DEFINE_integer(
    "to_seed",
    None,
    "Walk from the first latent of --seed to the first of this one, along the great"
    " circle.",
)
_TRUNCATION = flags.DEFINE_float(
    "truncation",
    None,
    "Bound of the latents' numbers, in deviations: less variety, better samples.",
)
_ALONG = flags.DEFINE_list(
    "along",
    [],
    "How far to move the latents along the principal directions of the generator's"
    " first layer, in deviations, with commas between.",
)

_MOST = 1_000_000
_MOST_BYTES = 4 * 2**30  # all are in memory
_MOST_IN_A_PICTURE = 10_000


def main() -> None:
    """Checks the flags, draws, and writes whole or not at all."""
    if not _WORKDIR.value:
        raise UserError("--workdir is missing: name a run folder of experiments.train")
    cli.require_positive(_NUM_SAMPLES)
    cli.require_seed(_SEED)
    output = _output()
    if output.suffix == ".png" and _NUM_SAMPLES.value > _MOST_IN_A_PICTURE:
        raise UserError(f"a .png shows at most {_MOST_IN_A_PICTURE} images: use .npz")
    if _NUM_SAMPLES.value > _MOST:
        raise UserError(f"--num_samples={_NUM_SAMPLES.value} is more than {_MOST}")
    workdir = expand(_WORKDIR.value)
    each = math.prod(configuration.read_config(workdir).shape)
    if _NUM_SAMPLES.value * each > _MOST_BYTES:
        raise UserError(
            f"--num_samples={_NUM_SAMPLES.value} of {each} bytes each do not fit:"
            f" at most {_MOST_BYTES // each}"
        )
    view = _view()
    gan, state = sampling.restore(workdir)
    results.warn(configuration.read_warning(workdir))
    samples = _draw(gan, state, view)
    place = cli.path_of(_OUTPUT)
    if _is_folder():
        sample_files.write_folder(place, samples)
    elif output.suffix == ".npz":
        sample_files.write_npz(place, samples)
    else:
        with whole_file(place) as file:
            plots.save_grid(file, samples.images)
    print(f"{len(samples.images)} images in {output}")


def _view() -> latents.View:
    """What the flags ask for.

    Raises:
      UserError: a number is out of range.
    """
    try:
        along = tuple(float(number) for number in _ALONG.value)
    except ValueError as error:
        raise UserError(
            f"--along={','.join(_ALONG.value)} must be numbers, with commas between"
        ) from error
    view = latents.View(
        seed=_SEED.value,
        count=_NUM_SAMPLES.value,
        truncation=_TRUNCATION.value,
        along=along,
        to_seed=_TO_SEED.value,
        label=_LABEL.value,
    )
    latents.check(view)
    return view


def _draw(
    gan: training.GAN, state: training.GANState, view: latents.View
) -> sampling.Samples:
    if view.is_plain:  # in larger batches, and without the latents in memory
        return sampling.draw(gan, state, view.count, seed=view.seed, label=view.label)
    directions = None
    if any(view.along):
        count = len(view.along)
        directions = principal_directions(gan, state, count=count)
    drawn = latents.draw(gan, state, view, directions)
    return sampling.Samples(drawn.images, drawn.labels)


def _is_folder() -> bool:
    named = _OUTPUT.value or ""
    return bool(named) and (named.endswith("/") or expand(named).is_dir())


def _output() -> pathlib.Path:
    """What --output names, once it is sure that it can be written there.

    Raises:
      UserError: it is missing, of another kind, or a folder that holds something.
    """
    output = expand(_OUTPUT.value or "").absolute()
    if not _is_folder() and output.suffix not in (".npz", ".png"):
        raise UserError(
            "--output must name a file that ends in .npz or .png, or a folder, with a"
            " slash at its end"
        )
    if not _is_folder():
        cli.require_writable(_OUTPUT)
        return output
    if output.exists() and (output.is_file() or any(output.iterdir())):
        raise UserError(f"--output={output} is there already: name a new folder")
    places.require("output", cli.path_of(_OUTPUT).absolute(), "folder")
    return output


if __name__ == "__main__":
    cli.run(main)
