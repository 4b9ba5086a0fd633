"""What a study has found: a line for each GAN that is done, and the same as a table.

runs.jsonl   settings and measures
runs.csv     the same, for a spreadsheet
"""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from gan_jax.errors import UserError
from gan_jax.evaluation.features import DISTANCES, distance_in
from gan_jax.run import configuration
from gan_jax.study.sweep import Run
from gan_jax.system.files import write_text

LINES = "runs.jsonl"
TABLE = "runs.csv"
_MEASURES = ("classes", "variety", "collapsed")  # besides the Frechet distance
_NEEDED = {"flags", "loss", "seed", "swept", "steps", "seconds", *_MEASURES}

Row = dict[str, Any]


def row(
    run: Run,
    config: configuration.Config,
    seconds: float | None,
    measures: dict[str, Any],
    steps: int,
) -> Row:
    """A GAN that is done, or was measured at a rung.

    Args:
      run: what the sweep made of it.
      config: the same GAN as `experiments.train` trains it alone.
      seconds: its share of the time of training, or None.
      measures: of `populations.Judge`.
      steps: generator steps that it was trained for.
    """
    return {
        "loss": run.recipe.loss,
        "swept": run.swept,
        "seed": run.seed,
        "steps": steps,
        "seconds": seconds,
        **measures,
        "flags": config.flags(),
    }


def is_stopped(row: Row) -> bool:
    """Whether a GAN was stopped before the end of its training."""
    return row["steps"] < row["flags"]["steps"]


def append(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    """Adds rows, or puts them in the place of earlier ones of the same GANs."""
    found = read(folder)
    for row in rows:
        found[json.dumps(row["flags"], sort_keys=True)] = row
    write(folder, list(found.values()))


def key(config: configuration.Config) -> str:
    """What makes a GAN the same as another."""
    return json.dumps(config.flags(), sort_keys=True)


def read(folder: pathlib.Path) -> dict[str, Row]:
    """The GANs that are done, by their `key`.

    Raises:
      UserError: a line is damaged.
    """
    path = folder / LINES
    found: dict[str, Row] = {}
    try:
        for line in path.read_bytes().splitlines() if path.exists() else ():
            row = json.loads(line)
            if not _is_whole(row):
                raise ValueError("a line without settings or measures")
            found[json.dumps(row["flags"], sort_keys=True)] = row
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())[:100]}): delete the bad"
            " line, or start again with --overwrite"
        ) from error
    return found


def _is_whole(row: Any) -> bool:
    if not isinstance(row, dict) or not row.keys() >= _NEEDED:
        return False
    return any(row.keys() >= {key, f"{key}_train"} for key in DISTANCES)


def write(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes both files, each whole or not at all.

    Raises:
      UserError: the disk does not take them.
    """
    lines = [json.dumps(row, allow_nan=False) + "\n" for row in rows]
    write_text(folder / LINES, "".join(lines))
    swept = list(dict.fromkeys(name for row in rows for name in row["swept"]))
    text = io.StringIO()
    table = csv.writer(text)
    distance = distance_in(rows[0]) if rows else "fcd"
    names = ("seed", "steps", "seconds", distance, f"{distance}_train", *_MEASURES)
    table.writerow(["loss", *swept, *names])
    for row in rows:
        settings = [row["swept"].get(name) for name in swept]
        measures = [row[name] for name in names]
        table.writerow([row["loss"], *settings, *measures])
    write_text(folder / TABLE, text.getvalue())
