"""What every experiment on the theory shares: flags, tables, figure, exit status."""

import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from absl import flags

from experiments.common import cli, results, tables
from gan_jax import backend, plots
from gan_jax.errors import UserError
from gan_jax.system import progress
from gan_jax.system.files import PART, whole_file, write_text, writing
from gan_jax.theory import theory_table
from gan_jax.theory.theory_table import Row

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the results. Default: runs/ and the experiment's name."
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of every random number.")
_QUICK = flags.DEFINE_boolean(
    "quick", False, "Fewer steps and wider tolerances: seconds, for tests."
)


class Findings(NamedTuple):
    """What an experiment has measured.

    Attributes:
      rows: of the theory, beside what came out.
      figure: of matplotlib.
      tables: text to print before that of the theory.
      details: more for results.json; can be written as JSON.
    """

    rows: Sequence[Row]
    figure: Any
    tables: Sequence[str] = ()
    details: Mapping[str, Any] = {}


Measure = Callable[[int, bool], tuple[Any, ...]]


def main(name: str, measure: Measure) -> None:
    """Measures, prints the table, saves ``results.json`` and ``NAME.png``.

    The exit status is 1 where a value lies outside of its tolerance.

    Args:
      name: of the experiment, its folder and its figure.
      measure: ``(seed, quick) -> Findings``, or a tuple of its first attributes.
    """
    cli.require_seed(SEED)
    workdir = results.folder(_WORKDIR, f"theory.{name}", f"runs/{name}")
    _check_folder(workdir, name)
    started = time.perf_counter()
    # Theory is compared in float32: a GPU's TF32 has 10 bits, and tolerances are less.
    with progress.clock("measuring"), backend.products("highest"):
        found, figure, shown, details = Findings(*measure(SEED.value, _QUICK.value))
    seconds = time.perf_counter() - started
    for table in shown:
        print(table, end="\n\n")
    print(
        tables.as_text(theory_table.HEADER, [theory_table.cells(row) for row in found])
    )
    with writing(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
    document = {
        "experiment": name,
        **results.begin(f"theory.{name}"),
        "seed": SEED.value,
        "quick": _QUICK.value,
        "seconds": round(seconds, 1),
        "table": theory_table.as_json(found),
        **jax.tree.map(theory_table.plain, dict(details)),
    }
    with whole_file(workdir / f"{name}.png") as file:
        plots.save(file, figure)
    write_text(workdir / "results.json", results.as_json(document))
    print(f"{seconds:.0f} s  {workdir / 'results.json'}  {workdir / f'{name}.png'}")
    wrong = [row.quantity for row in found if not row.ok]
    for quantity in wrong:
        print(f"{name}: outside of its tolerance: {quantity}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


def _check_folder(workdir: pathlib.Path, name: str) -> None:
    """Refuses, before anything is measured, a folder that holds something else.

    Raises:
      UserError: there are other files in it.
    """
    expected = {"results.json", f"{name}.png"}
    there = workdir.iterdir() if workdir.exists() else ()
    for path in there:
        abandoned = path.name.endswith(PART)  # by a process that was killed
        if path.is_dir() or not (path.name in expected or abandoned):
            raise UserError(
                f"--workdir={workdir} holds {path.name}, which is not of this"
                " experiment: name an empty or a new folder"
            )
