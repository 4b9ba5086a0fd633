"""Writes an exported generator, once it is known to be the run's; reads one again."""

import dataclasses
import os
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import training
from gan_jax.errors import UserError, quote
from gan_jax.export import arrays, programs
from gan_jax.export.about import describe
from gan_jax.run import configuration, run_folder, sampling
from gan_jax.system.files import whole_file
from gan_jax.system.paths import expand

FORMATS = run_folder.EXPORTED
PROGRAMS, WEIGHTS = FORMATS[:2], FORMATS[2:]
PIXELS = ("uint8", "float32")
_CHECKED = 1000  # latents
_MOST = {"uint8": 1.0, "float32": 1e-4}  # levels of 255; of [-1, 1]


class Written(NamedTuple):
    """What was written.

    Attributes:
      about: what the file says of itself.
      size: of the file, in bytes.
      difference: the largest to the run's own images, of `_CHECKED` latents: in levels
        of 255, or in [-1, 1] where that is what comes out.
    """

    about: dict[str, Any]
    size: int
    difference: float


def write(
    workdir: pathlib.Path, output: pathlib.Path, form: str, pixels: str = "uint8"
) -> Written:
    """Exports the generator of a run's newest checkpoint.

    The file is read again and compared with the run, on a thousand latents in batches
    of two sizes, before it is there.

    Args:
      workdir: run folder; nothing in it is changed.
      output: file to write, whole or not at all.
      form: one of `FORMATS`.
      pixels: of a program, "uint8", or "float32" for [-1, 1].

    Raises:
      UserError: there is no run, or no checkpoint that can be read; a library is not
        installed; what was exported is not the run's generator; the file cannot be
        written.
    """
    config = configuration.read_config(workdir)
    gan, state = sampling.restore(workdir)
    said = describe(workdir, config, state)
    if form in PROGRAMS:
        said["pixels"] = pixels
        gan = _in_float32(config).make_gan()
        make = {"onnx": programs.to_onnx, "stablehlo": programs.to_stablehlo}[form]
        content = make(gan, state, pixels, said)
    else:
        pixels = "uint8"  # as `sampling.images_of` has them
        make = {"safetensors": arrays.to_safetensors, "npz": arrays.to_npz}[form]
        content = make(state, said)
    found = _sampler(content, form, own_code=True)
    difference = largest_difference(found, gan, state)
    if not difference <= _MOST[pixels]:
        raise UserError(
            f"the exported generator's images differ from the run's by up to"
            f" {difference:.2g}, and may by {_MOST[pixels]:g}: nothing is written; use"
            " another --format"
        )
    with whole_file(output) as file:
        file.write(content)
    return Written(said, len(content), difference)


def _in_float32(config: configuration.Config) -> configuration.Config:
    recipe = dataclasses.replace(config.recipe, precision="float32")
    return dataclasses.replace(config, recipe=recipe)


def largest_difference(
    sampler: sampling.Sampler, gan: training.GAN, state: training.GANState
) -> float:
    """How far a sampler's images are from those of a state, at most.

    Of `_CHECKED` latents, in a batch of one and one of all others.

    Args:
      sampler: of the same generator.
      gan: what is trained.
      state: at any step.

    Returns:
      In levels of 255 where the sampler makes uint8, else in [-1, 1].
    """
    z = sampling.first_latents(gan.latent_size, 0, _CHECKED)
    labels = None
    if gan.num_classes is not None:
        labels = np.arange(_CHECKED, dtype=np.int32) % gan.num_classes
    found = [
        np.asarray(sampler.generate(z[part], None if labels is None else labels[part]))
        for part in (slice(1), slice(1, None))
    ]
    got = np.concatenate(found)
    wanted = np.asarray(_images(gan, state, got.dtype.name, z, labels), np.float64)
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return np.inf
    return float(np.abs(got - wanted).max())


_images = jax.jit(programs.images, static_argnums=(0, 2))


def load_run(workdir: str | os.PathLike) -> sampling.Sampler:
    """The generator of a run's newest checkpoint: `gan_jax.load`."""
    folder = expand(workdir)
    gan, state = sampling.restore(folder)
    said = describe(folder, configuration.read_config(folder), state)
    return sampling.sampler(gan, state, said)


def load_exported(
    path: str | os.PathLike, *, own_code: bool = False
) -> sampling.Sampler:
    """The generator of a file that `write` wrote: `gan_jax.load_exported`."""
    file = expand(path)
    form = file.suffix[1:]
    if form not in FORMATS:
        endings = ", ".join(f".{each}" for each in FORMATS)
        raise UserError(f"{file} is no exported generator: they end in {endings}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {file} ({error.strerror}): export a run with"
            f" python -m experiments.export --output={file}"
        ) from error
    try:
        return _sampler(content, form, own_code=own_code)
    except UserError:
        raise
    except Exception as error:  # whatever the bytes of a stranger make a reader raise
        raise UserError(
            f"{file} is damaged, or is not of gan_jax ({quote(error)}): export it again"
        ) from error


def _sampler(content: bytes, form: str, *, own_code: bool) -> sampling.Sampler:
    if form in PROGRAMS:
        read = {"onnx": programs.from_onnx, "stablehlo": programs.from_stablehlo}[form]
        said, generate = read(content)
    else:
        read = {"safetensors": arrays.from_safetensors, "npz": arrays.from_npz}[form]
        said, found = read(content)
        generate = arrays.generator(said, found, own_code=own_code)
    return sampling.Sampler(generate, said["latent_size"], said["num_classes"], said)
