"""The table, the figure and results.json of a study."""

import datetime
import hashlib
import json
import math
import pathlib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from experiments.common import tables
from gan_jax import data, plots
from gan_jax.evaluation.features import DISTANCES, distance_in
from gan_jax.run import configuration
from gan_jax.study import ledger, populations, sweep
from gan_jax.system.files import whole_file, write_text
from gan_jax.theory import theory_table

_LEGEND = 10  # groups, at most; more are named on an axis alone
_HEADER = ("loss", "settings", "GANs", "", "best", "25 %", "50 %", "75 %", "lost")


def publish(
    folder: pathlib.Path,
    rows: Sequence[ledger.Row],
    members: Sequence[sweep.Run],
    drawn: Mapping[str, sweep.Range],
    images: data.Description,
    device: str,
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
      shared: other flags of `experiments.train` that all have in common.
    """
    groups: dict[Any, list[ledger.Row]] = {}
    for row, run in zip(rows, members, strict=True):
        groups.setdefault(run.group(), []).append(row)
    summaries = {group: populations.summarise(r) for group, r in groups.items()}
    title = _title(rows[0])
    header = [name or title for name in _HEADER]
    print(tables.as_text(header, [_cells(g, s) for g, s in summaries.items()]))
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    best = {
        loss: populations.best([r for r in rows if r["loss"] == loss])
        for loss in losses
    }
    for loss, row in best.items():
        if row is not None:
            distance = f"{title} {row[distance_in(row)]:.1f}"
            print(f"best {loss}: {distance}; alone: {command(row, shared)}")
    document = {
        "command": shlex.join(["python", "-m", "experiments.study", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "dataset": images.name,
        "device": device,
        "versions": configuration.versions(),
        "groups": [
            {"loss": group[0], "settings": dict(group[1:]), **summary}
            for group, summary in summaries.items()
        ],
        "gans": [{k: v for k, v in row.items() if k != "flags"} for row in rows],
    }
    if images.warning:
        document["warning"] = images.warning
    document = jax.tree.map(theory_table.plain, document)
    write_text(folder / "results.json", json.dumps(document, indent=1) + "\n")
    with whole_file(folder / "study.png") as file:
        plots.save(file, _figure(groups, drawn))
    print(f"{folder / ledger.TABLE}  {folder / 'results.json'}  {folder / 'study.png'}")
    if images.warning:
        print(f"warning: {images.warning}")


def line(row: ledger.Row) -> str:
    """A GAN that is done, in one line."""
    title, value = _title(row), row[distance_in(row)]
    distance = f"no {title}" if value is None else f"{title} {value:.1f}"
    lost = "  collapsed" if row["collapsed"] else ""
    named = {**row["swept"], "seed": row["seed"]}
    words = [row["loss"], *(f"{name}={_short(v)}" for name, v in named.items())]
    return f"{' '.join(words)}  {distance}{lost}"


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


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cells(group: tuple[Any, ...], summary: dict[str, Any]) -> list[str]:
    def cell(value: float | None) -> str:
        return "" if value is None else f"{value:.1f}"

    loss, *settings = group
    spread = "" if summary["std"] is None else f" ± {summary['std']:.1f}"
    return [
        loss,
        " ".join(f"{name}={_short(value)}" for name, value in settings),
        str(summary["gans"]),
        cell(summary["mean"]) + spread,
        cell(summary["best"]),
        *map(cell, summary["quantiles"]),
        f"{summary['collapsed']:.0%}",
    ]


def command(row: ledger.Row, shared: Mapping[str, Any]) -> str:
    """What trains the same GAN alone."""
    swept = {**row["swept"], "seed": row["seed"], "steps": row["steps"]}
    place = {"workdir": f"runs/{file_name(row)}"}
    flags = {"loss": row["loss"], **shared, **swept, **place}
    words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return shlex.join(["python", "-m", "experiments.train", *words])


def _figure(
    groups: Mapping[tuple[Any, ...], Sequence[ledger.Row]],
    drawn: Mapping[str, sweep.Range],
) -> Any:
    """Distributions, the best of k, and the FCD against what was drawn."""
    from matplotlib.ticker import MaxNLocator  # slow to import

    titles = ("each GAN", "best of k GANs, on average", *drawn)
    columns = 2 if len(titles) == 4 else min(len(titles), 3)
    figure, (each, best, *others) = plots.subplots(titles, columns=columns)
    labels, key = [], distance_in(next(iter(groups.values()))[0])
    for place, (group, rows) in enumerate(groups.items()):
        known = [row for row in rows if row[key] is not None]
        color, fcd = f"C{place % 10}", [row[key] for row in known]
        lost = len(rows) - len(known)
        labels.append(_label(group) + (f" ({lost} without)" if lost else ""))
        box = {"showfliers": False, "widths": 0.6, "manage_ticks": False}
        each.boxplot(fcd, positions=[place], **box, medianprops={"color": color})
        # One without a distance is worse than all others, here too.
        expected = populations.expected_best(fcd + [math.inf] * lost)
        k = np.arange(1, len(rows) + 1)[np.isfinite(expected)]
        label = labels[-1] if len(groups) <= _LEGEND else None
        best.plot(k, expected[k - 1], ".-", color=color, label=label)
        for row in known:
            marker = "x" if row["collapsed"] else "."
            # Beside one another, in an order that says nothing.
            shift = 0.4 * ((row["seed"] * 0.618034) % 1 - 0.5)
            each.plot(place + shift, row[key], marker, color=color, alpha=0.7)
            for name, axes in zip(drawn, others, strict=True):
                axes.plot(row["swept"][name], row[key], marker, color=color)
    many = len(groups) > _LEGEND
    turned = {"rotation": 90} if many else {"rotation": 20, "ha": "right"}
    each.set_xticks(range(len(labels)), labels, **turned, fontsize="x-small")
    if many:
        figure.set_size_inches(figure.get_size_inches() * (len(groups) / _LEGEND, 1.5))
    best.set(xlabel="k")
    best.xaxis.set_major_locator(MaxNLocator(integer=True))
    for interval, axes in zip(drawn.values(), others, strict=True):
        axes.set_xscale("log" if interval.log else "linear")
        axes.set(xlim=(interval.low, interval.high))
        axes.tick_params(axis="x", which="both", labelsize="x-small", rotation=30)
    for axes in (each, best, *others):
        axes.set(ylabel=DISTANCES[key], ylim=(0, None))
    return figure


def _label(group: tuple[Any, ...]) -> str:
    loss, *settings = group
    return " ".join([loss, *(f"{name}={_short(value)}" for name, value in settings)])
