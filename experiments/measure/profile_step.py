"""Where a training step's time goes, piece by piece, beside the least it could take.

    python -m experiments.measure.profile_step --loss=wasserstein_gp

Each piece of a step of the published recipe is compiled alone, and the pieces take
turns with the whole step: what a piece takes is the median over rounds. Its floor is
the time that its floating-point operations need at the rate of a large matrix product
measured in the same rounds, or, of an optimiser, its bytes at the rate at which a large
array is read and written. The rest is what the whole takes beyond its pieces; below
zero where a piece alone takes longer, for the new memory of what it returns.
"""

import statistics
from typing import Any

from absl import flags

from experiments.common import cli, results, tables
from experiments.measure.peers import pieces
from experiments.measure.peers.setting import shapes
from gan_jax.losses import LOSSES

_LOSS = flags.DEFINE_list("loss", sorted(LOSSES), "Whose steps, with commas between.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Real examples in a batch.")
_IMAGES = flags.DEFINE_list(
    "images", ["28x28x1"], "Height, width and channels, one or more."
)
_ROUNDS = flags.DEFINE_integer("rounds", 15, "How often each piece has its turn.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for every number.")

_HEADER = ("loss", "piece", "times", "ms", "GFLOP", "MB", "floor ms")


def main() -> None:
    """Measures each loss, prints the table, and writes what was asked for."""
    cli.require_losses(_LOSS)
    for flag in (_BATCH_SIZE, _ROUNDS):
        cli.require_positive(flag)
    cli.require_writable(_OUTPUT)
    batch, rounds = _BATCH_SIZE.value, _ROUNDS.value
    found = [
        pieces.profile(loss, batch, rounds, shape)
        for shape in shapes(_IMAGES)
        for loss in _LOSS.value
    ]
    print(tables.as_text(_HEADER, [row for r in found for row in rows(r)]))
    for name, unit in (("gflop_per_s", "GFLOP/s"), ("gb_per_s", "GB/s")):
        print(f"{statistics.median(result[name] for result in found):.0f} {unit}")
    document = {**results.begin("measure.profile_step"), "results": found}
    cli.write(_OUTPUT, results.as_json(document))


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table's row of each piece."""
    keys = ("ms", "gflop", "mb", "floor_ms")
    return [
        [result["loss"], name, str(piece["times"]), *(f"{piece[k]:.1f}" for k in keys)]
        for name, piece in result["pieces"].items()
    ]


if __name__ == "__main__":
    cli.run(main)
