"""The figure of a study, of ten GANs or of ten thousand.

Few GANs are drawn one by one. Of many with the same settings some are, beside the
quartiles of all; of many over a number that each drew, how many there are where.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common.study_arrays import Seen, is_wide, some_of
from gan_jax import plots
from gan_jax.evaluation.features import DISTANCES, distance_in
from gan_jax.study import ledger, sweep

_COLORS = 10  # groups that have one of their own
_NAMED = 4  # groups that stand in a legend
_CROWD = 50  # GANs that are drawn large
_POINTS = 200  # of a group, at most
_SCATTERED = 2000  # of a panel, at most
_FEWEST = 5  # GANs that have quartiles
_BINS = 20  # of a number that was drawn
_MARKS = {  # of a GAN that has collapsed or not
    False: {"marker": ".", "ls": "", "ms": 8, "alpha": 0.7, "mew": 0},
    True: {"marker": "x", "ls": "", "ms": 4, "alpha": 0.7},
}
_PALE = {"marker": ".", "ls": "", "ms": 5, "alpha": 0.4, "mew": 0}  # was stopped

Group = tuple[Any, ...]


def draw(
    groups: Mapping[Group, Sequence[ledger.Row]],
    shown: Sequence[Group],
    drawn: Mapping[str, sweep.Range],
) -> Any:
    """Distributions, the best of k, and the distance against what was drawn.

    GANs that were stopped before their end are pale points, and count in no box, curve
    or density.

    Args:
      groups: GANs with the same settings.
      shown: those groups that have a line of their own, in order.
      drawn: numbers that each GAN drew.

    Returns:
      The matplotlib figure.
    """
    rows = [row for group in groups.values() for row in group]
    title = DISTANCES[distance_in(rows[0])]
    every = Seen.of(rows, tuple(drawn))
    seen = {group: Seen.of(groups[group], tuple(drawn)) for group in shown}
    hidden = len(groups) > len(shown)
    first = (
        f"the best {len(shown)} of {len(groups)} settings"
        if hidden
        else "distribution over GANs"
    )
    titles = (first, "best of k GANs, on average", *drawn)
    columns = 2 if len(titles) == 4 else min(len(titles), 3)
    figure, (each, best, *others) = plots.subplots(titles, columns=columns)
    colors = _colors(len(shown))
    _draw_each(each, seen, colors, title)
    _draw_best(best, seen, every if len(groups) > _COLORS else None, colors)
    for (name, interval), axes in zip(drawn.items(), others, strict=True):
        _draw_against(axes, name, interval, seen, every, colors)
    values = np.append(every.distance, every.stopped)
    own = [gans.distance for gans in seen.values()]
    _scale(each, "x", np.concatenate([*own, *(g.stopped for g in seen.values())]))
    for axes in others:
        _scale(axes, "y", values)
    _scale(best, "y", np.concatenate([line.get_ydata() for line in best.lines]))
    for axes in (best, *others):
        axes.set_ylabel(title)
    if len(shown) > _COLORS:
        _enlarge(figure, each, len(shown))
    return figure


def _scale(axes: Any, letter: str, values: np.ndarray) -> None:
    """From zero or, where values are wide apart, logarithmic: "x" or "y"."""
    from matplotlib import ticker  # slow to import

    if not is_wide(values):
        axes.set(**{f"{letter}lim": (0, None)})
        return
    axes.set(**{f"{letter}scale": "log"})
    axis = {"x": axes.xaxis, "y": axes.yaxis}[letter]
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(ticker.NullFormatter())


def _enlarge(figure: Any, each: Any, lines: int) -> None:
    """Room for a line of text for each group."""
    width, height = figure.get_size_inches()
    rows = each.get_gridspec().nrows
    figure.set_size_inches(width + 2.5, max(height, rows * (0.17 * lines + 1)))
    each.get_gridspec().set_width_ratios(
        [1.7, *[1.0] * (each.get_gridspec().ncols - 1)]
    )


def _colors(groups: int) -> list[Any]:
    """One for each; of many, from dark to light."""
    if groups <= _COLORS:
        return [f"C{i}" for i in range(groups)]
    from matplotlib import colormaps  # slow to import

    return list(colormaps["viridis"](np.linspace(0, 0.85, groups)))


def _draw_each(
    axes: Any, seen: Mapping[Group, Seen], colors: Sequence[Any], title: str
) -> None:
    """A line for each group: some of its GANs, and the quartiles of all of them."""
    random, thinned = np.random.default_rng(0), False
    for place, (gans, color) in enumerate(zip(seen.values(), colors, strict=True)):
        if len(gans.distance) >= _FEWEST:
            axes.boxplot(
                gans.distance,
                positions=[place],
                orientation="horizontal",
                showfliers=False,
                widths=0.6,
                manage_ticks=False,
                medianprops={"color": "k", "lw": 2},
                zorder=3,
            )
        some = some_of(len(gans.distance), _POINTS)
        thinned |= len(some) < len(gans.distance)
        # Beside one another, in an order that says nothing.
        heights = random.uniform(place - 0.25, place + 0.25, len(gans.distance))
        for collapsed, mark in _MARKS.items():
            chosen = some[gans.collapsed[some] == collapsed]
            mark = _marked(mark, len(gans.distance))
            axes.plot(gans.distance[chosen], heights[chosen], color=color, **mark)
        some = some_of(len(gans.stopped), _POINTS)
        heights = random.uniform(place - 0.25, place + 0.25, len(some))
        mark = _marked(_PALE, len(gans.stopped))
        axes.plot(gans.stopped[some], heights, color=color, **mark)
    if any(gans.collapsed.any() for gans in seen.values()):
        axes.plot([], [], color="0.3", label="collapsed", **_MARKS[True])
    if any(len(gans.stopped) for gans in seen.values()):
        axes.plot([], [], color="0.3", label="stopped early", **(_PALE | {"ms": 8}))
    axes.set(xlabel=title + (f" (points: {_POINTS} of each)" if thinned else ""))
    labels = [
        _label(group, seen) + (f" ({gans.lost} without {title})" if gans.lost else "")
        for group, gans in seen.items()
    ]
    axes.set_yticks(range(len(labels)), labels, fontsize="x-small")
    for text, color in zip(axes.get_yticklabels(), colors, strict=True):
        text.set_color(color)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _marked(mark: dict[str, Any], count: int) -> dict[str, Any]:
    """The same mark; smaller, where there are many."""
    small = {"ms": 0.6 * mark["ms"], "alpha": 0.7 * mark["alpha"]}
    return mark if count <= _CROWD else mark | small


def _label(group: Group, seen: Mapping[Group, Any]) -> str:
    loss, *settings = group
    words = [f"{name}={sweep.short(value)}" for name, value in settings]
    if len({other[0] for other in seen}) > 1 or not words:
        words.insert(0, loss)
    return " ".join(words)


def _draw_best(
    axes: Any, seen: Mapping[Group, Seen], every: Seen | None, colors: Sequence[Any]
) -> None:
    """Curves of the groups and, where they are many, of all GANs together."""
    from matplotlib.ticker import MaxNLocator  # slow to import

    most = 1
    for (group, gans), color in zip(seen.items(), colors, strict=True):
        k, expected = gans.expected_best()
        most = max(most, *k) if len(k) else most
        # More names would hide the curves; the colours are those of the other panel's.
        label = _label(group, seen) if len(seen) <= _NAMED else None
        marker = "." if len(k) <= 20 else None
        axes.plot(k, expected, marker=marker, color=color, label=label)
    if every is not None:
        k, expected = every.expected_best()
        most = max(most, *k) if len(k) else most
        axes.plot(k, expected, "k--", label="all GANs of the study")
    axes.set(xlabel="k")
    if most > 50:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        axes.set(xlim=(0.5, most + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_against(
    axes: Any,
    name: str,
    interval: sweep.Range,
    seen: Mapping[Group, Seen],
    every: Seen,
    colors: Sequence[Any],
) -> None:
    """The distance over a number that was drawn: points or, of many, their density."""
    some = some_of(len(every.stopped), _SCATTERED)
    mark = _marked(_PALE, len(every.stopped))
    axes.plot(every.stopped_at[name][some], every.stopped[some], color="0.5", **mark)
    if len(every.distance) <= _SCATTERED:
        if len(every.distance) > sum(len(gans.distance) for gans in seen.values()):
            axes.plot(every.drawn[name], every.distance, ".", color="0.8")
        for gans, color in zip(seen.values(), colors, strict=True):
            for collapsed, mark in _MARKS.items():
                chosen = gans.collapsed == collapsed
                drawn, distance = gans.drawn[name][chosen], gans.distance[chosen]
                mark = _marked(mark, len(every.distance))
                axes.plot(drawn, distance, color=color, **mark)
    else:
        _draw_density(axes, every.drawn[name], every.distance, interval)
        if len(seen) > _COLORS:
            seen, colors = {("all",): every}, ["k"]
        for gans, color in zip(seen.values(), colors, strict=True):
            _draw_quantiles(axes, gans, name, interval, color)
        axes.plot([], [], "k-", label="median")
        axes.plot([], [], "k:", label="a tenth is below")
    axes.set_xscale("log" if interval.log else "linear")
    axes.set(xlim=(interval.low, interval.high))
    axes.tick_params(axis="x", which="both", labelsize="x-small", rotation=30)


def _draw_density(
    axes: Any, drawn: np.ndarray, distance: np.ndarray, interval: sweep.Range
) -> None:
    """How many GANs there are where: the darker, the more."""
    space = np.geomspace if is_wide(distance) else np.linspace
    heights = space(distance.min(), distance.max(), 2 * _BINS + 1)
    places = _edges(interval, 2 * _BINS)
    counts, _, _ = np.histogram2d(drawn, distance, bins=(places, heights))
    counts = np.where(counts > 0, np.sqrt(counts), np.nan)
    axes.pcolormesh(places, heights, counts.T, cmap="Greys", vmin=0, alpha=0.6)


def _edges(interval: sweep.Range, bins: int) -> np.ndarray:
    return np.array([interval.at(share) for share in np.linspace(0, 1, bins + 1)])


def _draw_quantiles(
    axes: Any, gans: Seen, name: str, interval: sweep.Range, color: Any
) -> None:
    """The median, and what one GAN in ten is better than, along a drawn number."""
    edges = _edges(interval, _BINS)
    place = np.clip(np.digitize(gans.drawn[name], edges) - 1, 0, _BINS - 1)
    middles = [interval.at(share) for share in (np.arange(_BINS) + 0.5) / _BINS]
    found = [gans.distance[place == i] for i in range(_BINS)]
    for share, style in ((0.5, "-"), (0.1, ":")):
        line = [
            np.quantile(some, share) if len(some) >= 2 * _FEWEST else math.nan
            for some in found
        ]
        axes.plot(middles, line, style, color=color)
