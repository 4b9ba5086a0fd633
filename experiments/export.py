"""Writes the generator of a trained run as one file, for others.

    python -m experiments.export --workdir=runs/wasserstein_gp --format=onnx
    python -m experiments.export --workdir=runs/wasserstein_gp --output=shared/coats.npz

onnx and stablehlo are programs: latents, float32 [batch, latent], and of a conditional
GAN labels, int32 [batch], to images of uint8 [batch, height, width, channels].
safetensors and npz are the weights. All hold what they were made of. Each is read again
and compared with the run, on a thousand latents, before it is written (docs/export.md).

In Python, gan_jax.load_exported(FILE).draw(16).images reads any of them.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from gan_jax import export
from gan_jax.errors import UserError
from gan_jax.system.paths import expand

_WORKDIR = flags.DEFINE_string("workdir", None, "Run folder of experiments.train.")
_FORMAT = flags.DEFINE_enum(
    "format",
    None,
    export.FORMATS,
    "What to write. Default: what --output ends in, or else onnx.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "File to write. Default: generator.FORMAT in --workdir."
)
_PIXELS = flags.DEFINE_enum(
    "pixels",
    "uint8",
    export.PIXELS,
    "What a program's images are: uint8, or float32 in [-1, 1].",
)


def main() -> None:
    """Checks the flags, exports, compares, and writes whole or not at all."""
    if not _WORKDIR.value:
        raise UserError("--workdir is missing: name a run folder of experiments.train")
    workdir = expand(_WORKDIR.value)
    output, form = _output(workdir)
    written = export.write(workdir, output, form, _PIXELS.value)
    about = written.about
    unit = "levels of 255" if _PIXELS.value == "uint8" else "in [-1, 1]"
    print(
        f"{about['loss']}, step {about['step']}, weights {about['weights']}:"
        f" {written.size / 1e6:.1f} MB in {output}"
    )
    print(
        f"read again, a thousand images differ by at most {written.difference:.2g}",
        unit,
    )
    print(f"made of {about['dataset']}; licence of the data: {about['licence']}")
    if about["warning"]:
        print(f"warning: {about['warning']}", file=sys.stderr)


def _output(workdir: pathlib.Path) -> tuple[pathlib.Path, str]:
    """Where to write, and in which format.

    Raises:
      UserError: the two flags contradict each other, or there is no such folder.
    """
    given = _OUTPUT.value
    form = _FORMAT.value
    if given is None:
        form = form or "onnx"
        output = workdir / f"generator.{form}"
    else:
        output = cli.path_of(_OUTPUT)
        ending = output.suffix[1:]
        if ending not in export.FORMATS or ending != (form or ending):
            wanted = form or ", .".join(export.FORMATS)
            raise UserError(f"--output={given} must end in .{wanted}")
        form = ending
    if flags.FLAGS[_PIXELS.name].present and form in export.WEIGHTS:
        raise UserError(
            f"--pixels is for {' and '.join(export.PROGRAMS)}: leave it out"
        )
    if given is not None:
        cli.require_writable(_OUTPUT)
    return output, form


if __name__ == "__main__":
    cli.run(main)
