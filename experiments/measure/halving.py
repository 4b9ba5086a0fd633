"""Does successive halving find the best of 27 settings, and in how many of the steps?

    python -m experiments.measure.halving --dataset=fashion_mnist --output=halving.json

Trains all settings of a random search to their end and measures each at every rung. A
GAN does not depend on which others go on, so that what any --halving, --rungs and
--keep of experiments.study would have kept can be read from these numbers.
"""

import itertools
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from experiments.common import cli, data_flags, results, searching, tables
from gan_jax.devices import available
from gan_jax.errors import UserError
from gan_jax.evaluation import references
from gan_jax.losses import LOSSES
from gan_jax.study import engines, halving, sweep, waves
from gan_jax.study.halving import Halving

_LOSS = flags.DEFINE_enum("loss", "wasserstein_gp", sorted(LOSSES), "Of all GANs.")
_SWEEP = flags.DEFINE_string(
    "sweep",
    "network:mlp,width:64,generator_lr:1e-4..1e-2:log,discriminator_lr:1e-4..1e-2:log",
    "As in experiments.study, without seeds: each seed draws a setting.",
)
_SETTINGS = flags.DEFINE_integer("settings", 27, "Of each repetition.")
_REPETITIONS = flags.DEFINE_integer(
    "repetitions", 5, "Searches, each of its own draws."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of the first setting; the others count on from it."
)
_STEPS = flags.DEFINE_integer("steps", 540, "Generator steps of each GAN.")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 2000, "Samples for each FCD.")
_QUICK = flags.DEFINE_boolean("quick", False, "Drawn images, few steps: for tests.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for every number.")

flags.adopt_module_key_flags(data_flags)

_TRIED = (Halving(3, 4), Halving(3, 3), Halving(3, 4, 2), Halving(3, 3, 2))


class _All(Halving):
    """Measures at the rungs of every halving that is tried, and stops none."""

    def steps(self, total: int) -> list[int]:
        """The rungs of all of them."""
        return sorted({step for each in _TRIED for step in each.steps(total)})

    def go_on(self, values: Mapping[Any, Sequence[float | None]], of: int) -> list[Any]:
        """All."""
        return [*values]


def main() -> None:
    """Prints the table and writes what was asked for."""
    for flag in (_SETTINGS, _REPETITIONS, _STEPS):
        cli.require_positive(flag)
    cli.require_in(_NUM_SAMPLES, 2, references.MOST)
    cli.require_writable(_OUTPUT)
    data_flags.check()
    quick = _QUICK.value
    steps = cli.unless_quick(_STEPS, 54, quick)
    settings = cli.unless_quick(_SETTINGS, 4, quick)
    repetitions = cli.unless_quick(_REPETITIONS, 1, quick)
    cli.require_seed(_SEED, settings * repetitions)
    for each in _TRIED:
        each.steps(steps)
    axes = searching.axes_without_seeds(_SWEEP.value)
    seeds = [_SEED.value + settings * n for n in range(repetitions + 1)]
    searches = [
        sweep.expand([_LOSS.value], "tuned", axes | {"seed": tuple(range(*ends))})
        for ends in itertools.pairwise(seeds)
    ]
    dataset = cli.unless_quick(data_flags.DATASET, "garments", quick)
    count = cli.unless_quick(_NUM_SAMPLES, 100, quick)
    cli.a_device_a_core()
    devices = len(available.find_devices())
    subject = engines.load(dataset, count, quick=quick, **data_flags.where())
    warned = results.warn(subject.images.warning)
    plan = waves.Plan(subject.images, 1, steps, devices, 1, steps)
    found = []
    for repetition, runs in enumerate(searches):
        search = train(subject, plan, runs)
        print(f"search {repetition}: {_line(search, steps)}", flush=True)
        if any(gan["fcd_train"][steps] is not None for gan in search):
            found.append(search)
    if not found:
        raise UserError("no setting of any search has an FCD: narrow --sweep")
    curves = [[gan["fcd_train"] for gan in search] for search in found]
    rows = [halving.replay(curves, each, steps) for each in _TRIED]
    header = (
        "--halving",
        "--rungs",
        "--keep",
        "steps",
        "best found",
        "FCD above the best's",
    )
    cells = [
        [
            str(row["halving"]),
            str(row["rungs"]),
            str(row["keep"]),
            f"{row['share']:.0%}",
            f"{row['hits']} of {len(found)}",
            ", ".join("-" if r is None else f"{r:.1%}" for r in row["regrets"]),
        ]
        for row in rows
    ]
    print(tables.as_text(header, cells))
    document = {
        **results.begin("measure.halving"),
        **warned,
        "dataset": subject.images.name,
        "halvings": rows,
        "searches": found,
    }
    cli.write(_OUTPUT, results.as_json(document))


def train(
    subject: engines.Subject, plan: waves.Plan, runs: Sequence[sweep.Run]
) -> list[dict[str, Any]]:
    """Trains the settings of a search.

    Returns:
      Of each what was drawn, and the distance to the training split by the steps.
    """
    rungs = _All(3, len(_All().steps(plan.steps)))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = searching.search(subject, plan, runs, rungs, folder)
        if rows is None:
            cli.stopped("nothing is kept of a search", "measure.halving")
    return [
        {
            "drawn": {name: row["swept"][name] for name in runs[0].drawn},
            "fcd_train": searching.distances(row),
        }
        for row in rows
    ]


def _line(search: Sequence[Mapping[str, Any]], steps: int) -> str:
    ends = [gan["fcd_train"][steps] for gan in search]
    known = sorted(end for end in ends if end is not None)
    if not known:
        return "no setting has an FCD, left out"
    return f"FCD {', '.join(f'{end:.1f}' for end in known[:3])} ... {known[-1]:.1f}"


if __name__ == "__main__":
    cli.run(main)
