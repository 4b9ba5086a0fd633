"""How many kernels a training step launches on a GPU or TPU, counted without one.

    pip install 'jax[cuda13]'                       # 3 GB; for a TPU, libtpu
    python -m experiments.measure.count_kernels --loss=wasserstein_gp,nonsaturating
    python -m experiments.measure.count_kernels --card=v5e --worst=10

XLA compiles the training loop for a card that is described and not there, and one turn
of the loop is read from the program: a fusion, a matrix product, a convolution or a
copy is one launch. Nothing is run and nothing timed. XLA's search for the fastest
kernels needs a card, so it is off: which kernel a matrix product gets is a guess, that
it is one launch is not. Bytes are what a kernel is given and gives; where it takes a
few rows of the images, those of all images (47 MB) are counted. Where the packages are
missing, that is all that is said. On a TPU, bytes are of whole tiles of 8 x 128.
"""

import itertools
from typing import Any

import jax
from absl import flags

from experiments.common import cli, described_devices, launches, results, tables
from experiments.measure.peers import setting
from gan_jax import recipes
from gan_jax.losses import LOSSES
from gan_jax.networks.pairs import NETWORKS
from gan_jax.recipes.recipe import PRECISIONS

_LOSS = flags.DEFINE_list(
    "loss",
    ["wasserstein_gp", "nonsaturating", "relativistic"],
    f"Whose step, one or more with commas between: {', '.join(sorted(LOSSES))}.",
)
_RECIPE = flags.DEFINE_enum("recipe", "published", recipes.TABLES, "Whose numbers.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Real examples in a batch.")
_GANS = flags.DEFINE_integer("gans", 1, "How many GANs are trained at once, by vmap.")
_NETWORK = flags.DEFINE_enum("network", "reference", NETWORKS, "Of the step.")
_IMAGES = flags.DEFINE_list("images", ["28x28x1"], "Height, width and channels.")
_CARD = flags.DEFINE_enum(
    "card",
    "h200",
    [*described_devices.CARDS, *described_devices.TPUS],
    "What to compile for: a GPU, or one device of a TPU (pip install libtpu).",
)
_PRECISION = flags.DEFINE_enum("precision", "float32", PRECISIONS, "Of layers.")
_LIST = flags.DEFINE_bool("list", False, "Also list every launch, in order.")
_WORST = flags.DEFINE_integer("worst", 0, "Also list so many that move most bytes.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for every number.")


def main() -> None:
    """Counts each loss, prints the tables, and writes what was asked for."""
    cli.require_losses(_LOSS)
    for flag in (_BATCH_SIZE, _GANS):
        cli.require_positive(flag)
    images = setting.shapes(_IMAGES)
    cli.require_writable(_OUTPUT)
    platform = "cuda" if _CARD.value in described_devices.CARDS else "tpu"
    if install := described_devices.missing(platform):
        print(f"skipped: XLA cannot compile for a {_CARD.value} here; {install}")
        return
    described_devices.prepare(platform)
    device = described_devices.device(_CARD.value)
    found = [
        _count(device, loss, shape, _GANS.value)
        for shape, loss in itertools.product(images, _LOSS.value)
    ]
    about = results.begin("measure.count_kernels", _CARD.value)
    cli.write(_OUTPUT, results.as_json(about | {"results": found}))


def _count(
    device: jax.Device, loss: str, shape: tuple[int, int, int], gans: int
) -> dict[str, Any]:
    """Counts a step of one or more GANs, and prints what it launches."""
    recipe = recipes.recipe(
        loss,
        _RECIPE.value,
        network=_NETWORK.value,
        precision=_PRECISION.value,
        batch_size=_BATCH_SIZE.value,
    )
    program = described_devices.compile_loop(recipe, shape, [device], gans=gans)
    found = launches.of_loop(program.as_text())
    total, kinds = launches.count(found), launches.kinds(found)
    moved = sum(launch.bytes * launch.times for launch in found)
    padding = sum(launch.padding * launch.times for launch in found)
    many = f", {gans} GANs" if gans > 1 else ""
    of_it = f", {padding / 1e6:.1f} of it padding" if padding else ""
    print(f"{loss}{many}: {total} launches, {moved / 1e6:.1f} MB{of_it}")
    for kind, number in kinds.most_common():
        print(f"{number:7d}  {kind}")
    order = sorted(found, key=lambda launch: -launch.bytes * launch.times)
    shown = found if _LIST.value else order[: _WORST.value]
    rows = [
        [
            f"{launch.bytes / 1e6:.2f}",
            f"{launch.padding / 1e6:.2f}",
            f"{launch.times}",
            launch.kind,
            launch.name,
        ]
        for launch in shown
    ]
    if rows:
        print(tables.as_text(("MB", "padding", "times", "kind", "from"), rows))
    return {
        "loss": loss,
        "images": list(shape),
        "gans": gans,
        "launches": total,
        "kinds": dict(kinds.most_common()),
        "bytes": moved,
        "padding": padding,
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
    }


if __name__ == "__main__":
    cli.run(main)
