"""Which kernels a training step launches on this GPU, and how long each takes.

    python -m experiments.measure.trace_kernels --loss=wasserstein_gp

The training loop runs under JAX's profiler, and what its trace has on the streams of
the GPU is counted and added up, a step. `experiments.measure.count_kernels` says
without a GPU how many to expect.
"""

import pathlib
import tempfile

import jax
import numpy as np
from absl import flags

from experiments.common import cli, launches, results, tables
from experiments.measure.peers import jax_programs, worker
from experiments.measure.peers.setting import Setting
from gan_jax import training
from gan_jax.devices import available, placement
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES

_LOSS = flags.DEFINE_enum("loss", "wasserstein_gp", sorted(LOSSES), "Whose steps.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Real examples in a batch.")
_STEPS = flags.DEFINE_integer("steps", 50, "How many steps are traced.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for every number.")

_SHOWN = 20  # kernels of the printed table


def main() -> None:
    """Traces the steps, prints the table, and writes what was asked for."""
    for flag in (_BATCH_SIZE, _STEPS):
        cli.require_positive(flag)
    cli.require_writable(_OUTPUT)
    devices = available.choose_devices(1)
    if devices[0].platform != "gpu":
        raise UserError(
            f"the device is a {devices[0].platform}, and streams of kernels are a"
            " GPU's: experiments.measure.count_kernels counts without one"
        )
    with tempfile.TemporaryDirectory() as folder:
        trace(pathlib.Path(folder), devices)
        found = launches.of_trace(pathlib.Path(folder), "/device:GPU", "Stream")
    steps = _STEPS.value
    kernels = sum(count for count, _ in found.values()) / steps
    milliseconds = sum(ms for _, ms in found.values()) / steps
    print(f"{_LOSS.value}: {kernels:.1f} kernels a step, {milliseconds:.3f} ms in them")
    order = sorted(found.items(), key=lambda item: -item[1][1])
    rows = [
        [f"{ms / steps:.4f}", f"{count / steps:.2f}", name[:80]]
        for name, (count, ms) in order[:_SHOWN]
    ]
    print(tables.as_text(("ms a step", "times a step", "kernel"), rows))
    document = {
        **results.begin("measure.trace_kernels"),
        "loss": _LOSS.value,
        "batch_size": _BATCH_SIZE.value,
        "kernels_a_step": kernels,
        "ms_a_step": milliseconds,
        "kernels": {n: {"count": c / steps, "ms": t / steps} for n, (c, t) in order},
    }
    cli.write(_OUTPUT, results.as_json(document))


def trace(folder: pathlib.Path, devices: list[jax.Device]) -> None:
    """Takes the steps, and leaves a trace of them in a folder."""
    setting = Setting(loss=_LOSS.value, batch_size=_BATCH_SIZE.value)
    recipe = setting.recipe()
    images = worker.random_images(setting.num_examples)
    labels = np.zeros(len(images), np.int32)
    examples = placement.replicate(training.Examples(images, labels), devices)
    spec = {"capacity": _STEPS.value}
    run_steps = jax_programs.loop(recipe, spec, examples, devices)()
    run_steps(_STEPS.value)
    with jax.profiler.trace(str(folder)):
        run_steps(_STEPS.value)


if __name__ == "__main__":
    cli.run(main)
