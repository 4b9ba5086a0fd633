"""The table, the figure and results.json of a study."""

import hashlib
import math
import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from experiments.common import data_flags, results, study_figure, tables
from gan_jax import data, plots
from gan_jax.evaluation.features import DISTANCES, distance_in
from gan_jax.study import ledger, populations, sweep
from gan_jax.system.files import whole_file, write_text
from gan_jax.theory import theory_table

_HEADER = ("loss", "settings", "GANs", "", "best", "25 %", "50 %", "75 %", "collapsed")
_SHOWN = 30  # groups, at most, in the table and in the figure
_LISTED = 1000  # GANs, at most, in results.json


def publish(
    folder: pathlib.Path,
    rows: Sequence[ledger.Row],
    members: Sequence[sweep.Run],
    drawn: Mapping[str, sweep.Range],
    images: data.Description,
    device: str,
    floor: float,
    shared: Mapping[str, Any],
) -> None:
    """Prints the table, writes results.json and study.png.

    Args:
      folder: of the study.
      rows: of all its GANs.
      members: what the sweep made of each.
      drawn: numbers that each GAN drew.
      images: that they were trained on.
      device: kind of the devices.
      floor: the Frechet distance of training images, as many as samples of a GAN.
      shared: other flags of `experiments.train` that all have in common.
    """
    groups: dict[study_figure.Group, list[ledger.Row]] = {}
    for row, run in zip(rows, members, strict=True):
        groups.setdefault(run.group(), []).append(row)
    summaries = {group: populations.summarise(r) for group, r in groups.items()}
    shown = _shown(summaries)
    print(_table({group: summaries[group] for group in shown}, _title(rows[0])))
    if hidden := len(groups) - len(shown):
        print(
            f"the {len(shown)} best of {len(groups)} settings, by their median:"
            f" {hidden} more are in results.json"
        )
    print(f"training images have {_title(rows[0])} {floor:.1f}")
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    for loss in losses:
        best = populations.best([row for row in rows if row["loss"] == loss])
        if best is not None:
            distance = f"{_title(best)} {best[distance_in(best)]:.1f}{_stopped(best)}"
            print(f"best {loss}: {distance}; alone: {command(best, shared)}")
    document = {
        **results.begin("study", device),
        "dataset": images.name,
        "floor": {distance_in(rows[0]): floor},
        "groups": [
            {"loss": group[0], "settings": dict(group[1:]), **summary}
            for group, summary in summaries.items()
        ],
    }
    if len(rows) <= _LISTED:
        document["gans"] = [
            {k: v for k, v in row.items() if k != "flags"} for row in rows
        ]
    else:
        document["note"] = f"each of the {len(rows)} GANs is in {ledger.LINES}"
    if images.warning:
        document["warning"] = images.warning
    document = jax.tree.map(theory_table.plain, document)
    write_text(folder / "results.json", results.as_json(document))
    with whole_file(folder / "study.png") as file:
        plots.save(file, study_figure.draw(groups, shown, drawn))
    print(f"{folder / ledger.TABLE}  {folder / 'results.json'}  {folder / 'study.png'}")
    if images.warning:
        print(f"warning: {images.warning}")


def _shown(summaries: Mapping[study_figure.Group, Any]) -> list[study_figure.Group]:
    """All groups in the order of the sweep or, of many, the best, the best first.

    By their median; of many, no group of which every GAN was stopped.
    """
    if len(summaries) <= _SHOWN:
        return list(summaries)
    there = [g for g, s in summaries.items() if s["stopped"] < s["gans"]]

    def rank(group: study_figure.Group) -> tuple[float, ...]:
        summary = summaries[group]
        numbers = (summary["quantiles"][1], summary["mean"])
        return tuple(math.inf if n is None else n for n in numbers)

    return sorted(there or summaries, key=rank)[:_SHOWN]


def _table(summaries: Mapping[study_figure.Group, Any], title: str) -> str:
    """A row for each group; how many were stopped, where any was."""
    header = [name or title for name in _HEADER]
    cells = [_cells(group, summary) for group, summary in summaries.items()]
    if any(summary["stopped"] for summary in summaries.values()):
        place = header.index("GANs") + 1
        header.insert(place, "stopped")
        for row, summary in zip(cells, summaries.values(), strict=True):
            row.insert(place, str(summary["stopped"]))
    return tables.as_text(header, cells)


def line(row: ledger.Row, *, so_far: bool = False) -> str:
    """A GAN that is done, in one line; or as far as it has come, at a rung."""
    title, value = _title(row), row[distance_in(row)]
    distance = f"no {title}" if value is None else f"{title} {value:.1f}"
    collapsed = "  collapsed" if row["collapsed"] else ""
    name = sweep.name_of(row["loss"], {**row["swept"], "seed": row["seed"]})
    if so_far and ledger.is_stopped(row):
        return f"{name}  {distance} at step {row['steps']}{collapsed}"
    return f"{name}  {distance}{_stopped(row)}{collapsed}"


def _stopped(row: ledger.Row) -> str:
    return f"  stopped at step {row['steps']}" if ledger.is_stopped(row) else ""


def _title(row: ledger.Row) -> str:
    """What the Frechet distance of a GAN is called."""
    return DISTANCES[distance_in(row)]


def file_name(row: ledger.Row) -> str:
    """What no other GAN of a study is called."""
    named = {**row["swept"], "seed": row["seed"]}
    name = "_".join([row["loss"], *(f"{name}={v}" for name, v in named.items())])
    short = re.sub(r"[^\w.,=+-]", "-", name)[-150:]  # code of one's own has a path
    if short == name:
        return name
    return f"{short}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _cells(group: tuple[Any, ...], summary: dict[str, Any]) -> list[str]:
    def cell(value: float | None) -> str:
        return "" if value is None else f"{value:.1f}"

    loss, *settings = group
    spread = "" if summary["std"] is None else f" ± {summary['std']:.1f}"
    return [
        loss,
        " ".join(f"{name}={sweep.short(value)}" for name, value in settings),
        str(summary["gans"]),
        cell(summary["mean"]) + spread,
        cell(summary["best"]),
        *map(cell, summary["quantiles"]),
        "" if summary["collapsed"] is None else f"{summary['collapsed']:.0%}",
    ]


def shared_flags(
    images: data.Description, recipe: str, conditional: bool, quick: bool
) -> dict[str, Any]:
    """Those of `experiments.train` that all GANs of a study have in common.

    Args:
      images: that they were trained on.
      recipe: table of their numbers.
      conditional: whether they are.
      quick: whether they were trained on some of the images alone.
    """
    return {
        "recipe": recipe,
        **data_flags.place(images),
        "conditional": conditional or None,
        "num_examples": images.size if quick else None,
        "num_devices": 1,
    }


def command(row: ledger.Row, shared: Mapping[str, Any]) -> str:
    """What trains the same GAN alone, to its end."""
    steps = row["flags"]["steps"]
    swept = {**row["swept"], "seed": row["seed"], "steps": steps}
    place = {"workdir": f"runs/{file_name(row)}"}
    flags = {"loss": row["loss"], **shared, **swept, **place}
    words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return shlex.join(["python", "-m", "experiments.train", *words])
