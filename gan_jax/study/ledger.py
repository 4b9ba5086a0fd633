"""What a study has found: a line for each GAN that is done, and the same as a table.

runs.jsonl   settings and measures; while a study runs, lines are added at its end
runs.csv     the same, for a spreadsheet; written anew now and then, and at the end
"""

import codecs
import csv
import json
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from gan_jax.errors import UserError
from gan_jax.evaluation.features import DISTANCES, distance_in
from gan_jax.run import configuration
from gan_jax.study.sweep import Run
from gan_jax.system.files import is_remote, whole_file, writing

LINES = "runs.jsonl"
TABLE = "runs.csv"
_GROWTH = 1.1  # of runs.jsonl, after which runs.csv is written anew
_BLOCK = 4096  # bytes
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
    """A GAN that is done, or was stopped.

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


def key(config: configuration.Config) -> str:
    """What makes a GAN the same as another."""
    return _key(config.flags())


def _key(flags: dict[str, Any]) -> str:
    return json.dumps(flags, sort_keys=True)


def is_stopped(row: Row) -> bool:
    """Whether a GAN was stopped before its last step."""
    return row["steps"] < row["flags"]["steps"]


def read(folder: pathlib.Path) -> dict[str, Row]:
    """The GANs that there are, by their `key`; of one with several lines, the last.

    A last line without its end, which a killed process leaves, is not read.

    Raises:
      UserError: a line is damaged.
    """
    path = folder / LINES
    found: dict[str, Row] = {}
    if not path.exists():
        return found
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                row = json.loads(line)
                if not _is_whole(row):
                    raise ValueError("a line without settings or measures")
                found[_key(row["flags"])] = row
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())[:100]}): delete the bad"
            " line, or start again with --overwrite"
        ) from error
    return found


def _is_whole(row: Any) -> bool:
    if not isinstance(row, dict) or not row.keys() >= _NEEDED:
        return False
    flags = row["flags"]
    if not isinstance(flags, dict) or not isinstance(flags.get("steps"), int):
        return False
    kinds = {"steps": int, "swept": dict, "loss": str, "seed": int, "collapsed": bool}
    if not all(isinstance(row[name], kind) for name, kind in kinds.items()):
        return False
    keys = [key for key in DISTANCES if row.keys() >= {key, f"{key}_train"}]
    distances = [row[name] for key in keys for name in (key, f"{key}_train")]
    return bool(keys) and all(
        value is None or isinstance(value, int | float) for value in distances
    )


def append(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    """Adds lines to runs.jsonl, on the disk before it returns.

    What a killed process left of a line is cut off first. runs.csv follows whenever
    the lines have grown by a tenth, so that a study of many waves writes it few times.
    On a remote file system, whose files cannot grow, runs.jsonl is written whole.

    Args:
      folder: of the study.
      rows: new GANs, or old ones that have come further; at most one of each.

    Raises:
      UserError: the disk does not take them, or a line is damaged.
    """
    path = folder / LINES
    new = b"".join(map(_line, rows))
    if is_remote(path):
        old = path.read_bytes() if path.exists() else b""
        old = old[: old.rfind(b"\n") + 1]
        with whole_file(path) as file:
            file.write(old + new)
        size = len(old)
    else:
        with writing(path), path.open("a+b") as file:
            size = _cut(file)
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
    if _level(size + len(new)) > _level(size):
        _write_table(folder, list(read(folder).values()))


def _line(row: Row) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _cut(file: BinaryIO) -> int:
    """Cuts off what follows the last end of a line; the size that is left."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(end - _BLOCK, 0)
        file.seek(begin)
        newline = file.read(end - begin).rfind(b"\n")
        if newline >= 0:
            end = begin + newline + 1
            break
        end = begin
    file.truncate(end)
    return end


def _level(size: int) -> int:
    """Steps of `_GROWTH` in a number of bytes: a count that needs no memory."""
    return int(math.log(size, _GROWTH)) if size else -1


def write(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes both files, each whole or not at all: one line a GAN, in this order.

    Raises:
      UserError: the disk does not take them.
    """
    with whole_file(folder / LINES) as file:
        file.writelines(map(_line, rows))
    _write_table(folder, rows)


def _write_table(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    swept = list(dict.fromkeys(name for row in rows for name in row["swept"]))
    distance = distance_in(rows[0]) if rows else "fcd"
    names = ("seed", "steps", "seconds", distance, f"{distance}_train", *_MEASURES)

    def cells(row: Row) -> Iterable[Any]:
        yield row["loss"]
        yield from (row["swept"].get(name) for name in swept)
        yield from (row[name] for name in names)
        yield is_stopped(row)

    with whole_file(folder / TABLE) as file:
        table = csv.writer(codecs.getwriter("utf-8")(file))
        table.writerow(["loss", *swept, *names, "stopped"])
        table.writerows(map(cells, rows))
