"""The figure of `experiments.measure.training_length`."""

from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax import plots
from gan_jax.evaluation.averaged import LAST, RECIPE
from gan_jax.evaluation.features import DISTANCES, distance_in

Rows = Sequence[Mapping[str, Any]]


def distance(values: Mapping[str, Any]) -> float:
    """The Frechet distance among measures."""
    return values[distance_in(values)]


def own(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was measured of the weights that the run itself samples from."""
    return row["measured"].get(RECIPE) or row["measured"][LAST]


def draw(rows: Rows) -> Any:
    """Measures against epochs, and the distance against the length of the average.

    Args:
      rows: of all GANs: ``gan``, ``epochs``, ``seconds``, and ``measured`` by the names
        of averages.

    Returns:
      The matplotlib figure.
    """
    title = DISTANCES[distance_in(own(rows[0]))]
    titles = (
        f"{title}: own average (line), best average (dashes)",
        "precision (line), recall (dashes)",
        "overfitting (line), copying (dashes)",
        f"{title} at the end, by average (dots: own)",
    )
    figure, panels = plots.subplots(titles, columns=2)
    for i, gan in enumerate(dict.fromkeys(row["gan"] for row in rows)):
        of_gan = [row for row in rows if row["gan"] == gan]
        _draw_gan(panels, gan, of_gan, f"C{i}")
    for axes in panels[:3]:
        axes.set(xscale="log", xlabel="epochs")
        ticks = sorted({row["epochs"] for row in rows})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
    panels[3].set(xscale="log", xlabel="length of the average / training")
    for axes in (panels[0], panels[3]):  # one that breaks does not hide the others
        axes.set(yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    return figure


def _draw_gan(panels: Sequence[Any], gan: str, rows: Rows, color: str) -> None:
    fcd, quality, memory, lengths = panels
    epochs = [row["epochs"] for row in rows]
    line, dashes = (
        {"color": color, "marker": ".", "ls": style} for style in ["-", "--"]
    )
    fcd.plot(epochs, [distance(own(row)) for row in rows], label=gan, **line)
    best = [min(map(distance, row["measured"].values())) for row in rows]
    fcd.plot(epochs, best, **dashes)
    for axes, names in (
        (quality, ("precision", "recall")),
        (memory, ("overfitting", "copying")),
    ):
        for name, style in zip(names, (line, dashes), strict=True):
            axes.plot(
                epochs, [own(row).get(name, float("nan")) for row in rows], **style
            )
    measured = rows[-1]["measured"]
    shares = [name for name in measured if name not in (LAST, RECIPE)]
    values = [distance(measured[name]) for name in shares]
    lengths.plot([float(name) for name in shares], values, label=gan, **line)
    lengths.axhline(distance(own(rows[-1])), color=color, ls=":")
