"""The numbers of `experiments.measure.benchmark` as a figure."""

import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from experiments.measure.peers import report, worker
from gan_jax import plots

Point = tuple[float, dict[str, float]]  # x; median, min and max of y
Lines = dict[str, list[Point]]  # label to points
Labelled = Iterator[tuple[tuple[str, ...], Point]]

TIME = "ms a step"
SHARE = "share of the roofline"
DEVICES = "ms a step, by devices"
RELATIVE = "time a GAN / alone"
MANY = f"{SHARE}, many GANs"


def save(path: pathlib.Path | BinaryIO, results: Sequence[dict[str, Any]]) -> None:
    """Draws time and share of the roofline against batch, GANs at once and devices.

    Args:
      path: PNG to write, or a file that is open for that.
      results: of `turns.measure`, one for each setting.
    """
    from matplotlib.ticker import LogLocator

    found = panels(results)
    figure, grid = plots.subplots(tuple(found), columns=min(len(found), 2))
    last = dict.fromkeys(xlabel for xlabel, _ in found.values())
    for title, (xlabel, _) in found.items():
        last[xlabel] = title  # which has the legend of all with the same lines
    for axes, (title, (xlabel, lines)) in zip(grid, found.items(), strict=True):
        _draw(axes, lines, legend=title == last[xlabel])
        axes.set_xscale("log", base=2)
        places = sorted({x for points in lines.values() for x, _ in points})
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.set(xlabel=xlabel)
        if title.startswith(TIME) and title != DEVICES:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(bottom=0)
        axes.minorticks_off()
        if title == RELATIVE:
            axes.axhline(1, **plots.THEORY)
    plots.save(path, figure)


def panels(results: Sequence[dict[str, Any]]) -> dict[str, tuple[str, Lines]]:
    """What is drawn: title to the label of x and the lines; nothing that did not vary.

    Where nothing did, the times are drawn.
    """
    precisions = {result["precision"]: None for result in results}
    drawn = {}
    for title, y in ((TIME, "ms_a_step"), (SHARE, "roofline_share")):
        for precision in precisions:
            of = [result for result in results if result["precision"] == precision]
            suffix = f", {precision}" if len(precisions) > 1 else ""
            drawn[title + suffix] = ("batch", _lines(_by_batch(of, y)))
    drawn[DEVICES] = ("devices", _lines(_by_devices(results)))
    drawn[RELATIVE] = ("GANs at once", _lines(_by_gans(results, "over_gan_jax")))
    drawn[MANY] = ("GANs at once", _lines(_by_gans(results, "roofline_share")))
    varied = {
        title: (x, lines)
        for title, (x, lines) in drawn.items()
        if any(len(points) > 1 for points in lines.values())
    }
    return varied or {TIME: drawn[next(iter(drawn))]}


def _by_batch(results: Sequence[dict[str, Any]], y: str) -> Labelled:
    for result in results:
        for name, program in result["programs"].items():
            if name == "gan_jax" or name in worker.PEERS:
                network = report.cell(result)[0]
                label = (report.title(name, program), network, result["loss"])
                yield label, (result["batch_size"], program[y])


def _by_devices(results: Sequence[dict[str, Any]]) -> Labelled:
    for result in results:
        programs = report.variants(result, of_gans=False)
        for program in programs if len(programs) > 1 else []:
            label = ("gan_jax", *report.cell(result))
            yield label, (program["num_devices"], program["ms_a_step"])


def _by_gans(results: Sequence[dict[str, Any]], y: str) -> Labelled:
    for result in results:
        programs = report.variants(result, of_gans=True)
        varied = len({program["gans"] for program in programs}) > 1
        for program in programs if varied else []:
            devices = f"devices: {program['num_devices']}"
            label = ("gan_jax", *report.cell(result), devices)
            yield label, (program["gans"], program[y])


def _lines(points: Labelled) -> Lines:
    """Points by label; single ones only where there is no line.

    Of a label, only the parts are kept that differ between lines. Of what was measured
    more than once, the first is kept.
    """
    by_label: dict[tuple[str, ...], dict[float, dict[str, float]]] = {}
    for label, (x, y) in points:
        by_label.setdefault(label, {}).setdefault(x, y)
    lines = {label: of for label, of in by_label.items() if len(of) > 1} or by_label
    differs = [len(set(column)) > 1 for column in zip(*lines, strict=True)]
    return {
        ", ".join(itertools.compress(label, differs)) or label[0]: sorted(
            of.items(), key=lambda point: point[0]
        )
        for label, of in lines.items()
    }


def _draw(axes: Any, lines: Lines, *, legend: bool) -> None:
    """Medians, with bars from the smallest to the largest."""
    for label, points in lines.items():
        x = [x for x, _ in points]
        middle, low, high = (
            np.array([y[end] for _, y in points]) for end in ("median", "min", "max")
        )
        bars = (middle - low, high - middle)
        name = label if legend else None
        axes.errorbar(x, middle, bars, label=name, lw=1, marker=".", capsize=2)
