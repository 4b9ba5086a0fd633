"""Pictures: grids of samples, and curves of a run's metrics."""

import pathlib
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from gan_jax.errors import UserError

# matplotlib takes half a second to import: where it is used, not here.

_BORDER = 2  # pixels between the images of a grid
_EMPTY = 64  # what is between them
_SCALE = 2  # screen pixels per image pixel


def image_grid(images: np.ndarray, columns: int = 10) -> np.ndarray:
    """Lays images out in rows.

    Args:
      images: uint8, ``[N, height, width, 1 or 3]``.
      columns: images in a row; the last row may be shorter.

    Returns:
      uint8, ``[rows * (height + 2) - 2, columns * (width + 2) - 2]``; of images in
      colour, with a last axis of 3.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cell_h, cell_w = height + _BORDER, width + _BORDER
    grid = np.full((rows * cell_h, columns * cell_w, channels), _EMPTY, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * cell_h, i % columns * cell_w
        grid[top : top + height, left : left + width] = image
    grid = grid[:-_BORDER, :-_BORDER]
    return grid[..., 0] if channels == 1 else grid


def save_grid(
    path: pathlib.Path | BinaryIO, images: np.ndarray, columns: int = 10
) -> None:
    """Writes `image_grid` as a PNG, each pixel two screen pixels wide.

    To a path, or to a file that is open. The same images give the same bytes.
    """
    from PIL import Image

    grid = image_grid(images, columns)
    grid = grid.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    # Runs of equal pixels alone: a quarter of the time of a search, and no more bytes.
    how = {"compress_level": 1, "compress_type": zlib.Z_RLE}
    Image.fromarray(grid).save(path, format="PNG", **how)


def split_grid(grid: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, int]:
    """The images of a picture that `save_grid` wrote, exactly as they were.

    Args:
      grid: uint8, ``[rows, columns]`` of pixels, of images in colour with a last axis.
      shape: of an image, ``(height, width, channels)``.

    Returns:
      uint8, ``[N, height, width, channels]``; and how many are in a row.

    Raises:
      ValueError: it is no grid of such images.
    """
    height, width, channels = shape
    pixels = np.atleast_3d(grid)[::_SCALE, ::_SCALE]
    rows, more_rows = divmod(pixels.shape[0] + _BORDER, height + _BORDER)
    columns, more_columns = divmod(pixels.shape[1] + _BORDER, width + _BORDER)
    if more_rows or more_columns or pixels.shape[2] != channels:
        raise ValueError(f"{list(grid.shape)} pixels, and images of {list(shape)}")
    pixels = np.pad(pixels, ((0, _BORDER), (0, _BORDER), (0, 0)))
    cells = pixels.reshape(rows, height + _BORDER, columns, width + _BORDER, channels)
    images = cells.swapaxes(1, 2)[:, :, :height, :width].reshape(-1, *shape)
    count = len(images)
    while count and (images[count - 1] == _EMPTY).all():  # of a shorter last row
        count -= 1
    return images[:count], columns


def save_film(
    file: BinaryIO, pictures: Sequence[pathlib.Path], milliseconds: int
) -> None:
    """Writes a GIF that shows pictures one after another, for ever.

    Args:
      file: open for writing.
      pictures: PNG files of equal size, in order.
      milliseconds: how long each is shown; the last, ten times as long.

    Raises:
      UserError: one of them is damaged.
    """
    from PIL import Image

    frames = []
    for path in pictures:
        try:
            with Image.open(path) as picture:
                frames.append(picture.convert("L" if picture.mode == "L" else "RGB"))
        except OSError as error:
            raise UserError(f"{path} is damaged: delete it, and run again") from error
    duration = [milliseconds] * (len(frames) - 1) + [10 * milliseconds]
    frames[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=duration,
        loop=0,
    )


# Panels of the curves: title, and the metrics that share its axes.
_PANELS = (
    ("losses", ("d_loss", "g_loss")),
    ("mean logits", ("real_logit", "fake_logit")),
    ("gradient norms", ("d_gradient_norm", "g_gradient_norm")),
    ("penalty", ("penalty",)),
    ("FCD to training images", ("fcd",)),
    ("Frechet distance to training images, random features", ("frechet_random",)),
    ("modes found", ("modes",)),
    ("KL of the modes to uniform", ("class_kl",)),
)


def prepare() -> None:
    """Imports what draws curves, ahead of its use, where there is time to wait for."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure
    import matplotlib.ticker  # noqa: F401


def save_curves(path: pathlib.Path | BinaryIO, lines: Sequence[dict[str, Any]]) -> None:
    """Draws a run's metrics against the generator steps.

    Args:
      path: PNG to write, or a file that is open.
      lines: the lines of ``metrics.jsonl``.
    """
    # Not every line has every metric: samples are measured at few steps.
    panels = {}
    for title, names in _PANELS:
        points = {
            name: [
                (line["step"], line[name])
                for line in lines
                if line.get(name) is not None
            ]
            for name in names
        }
        if drawn := {name: known for name, known in points.items() if known}:
            panels[title] = drawn
    logarithmic = ("gradient norms", "FCD to training images")
    save_panels(path, panels, xlabel="generator steps", logarithmic=logarithmic)


def save_panels(
    path: pathlib.Path | BinaryIO,
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    *,
    xlabel: str,
    columns: int | None = None,
    logarithmic: Collection[str] = (),
) -> None:
    """Draws lines, a panel for each title.

    Args:
      path: PNG to write, or a file that is open.
      panels: title -> label -> points (x, y); an axis is shared by the labels.
      xlabel: of every panel.
      columns: panels in a row; all in one by default.
      logarithmic: titles of the panels whose y axis is.
    """
    from matplotlib.ticker import MaxNLocator

    figure, grid = subplots(tuple(panels), columns=columns)
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        for label, points in lines.items():
            marker = "." if len(points) < 50 else None
            axes.plot(*zip(*points, strict=True), label=label, lw=1, marker=marker)
        axes.set(xlabel=xlabel)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if title in logarithmic:
            axes.set_yscale("log")
    save(path, figure)


THEORY: dict[str, Any] = {"color": "black", "ls": "--", "lw": 1, "zorder": 3}


def subplots(titles: Sequence[str], *, columns: int | None = None) -> tuple[Any, Any]:
    """A figure in this project's style, and its axes.

    Lines of closed forms are drawn with `THEORY`; `save` adds the legends.

    Args:
      titles: of the panels, in reading order.
      columns: panels in a row; all in one by default.

    Returns:
      The matplotlib figure, and one axes for each title.
    """
    columns = columns or max(len(titles), 1)
    rows = max(-(-len(titles) // columns), 1)
    figure, grid = _figure(rows, columns, width=4.2, height=3.2)
    grid = grid.ravel()
    for axes in grid[len(titles) :]:
        axes.set_axis_off()
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title)
        axes.grid(alpha=0.3)
    return figure, list(grid[: len(titles)])


def mosaic(rows: Sequence[str], columns: Sequence[str]) -> tuple[Any, Any]:
    """A figure of small square panels without scales, in this project's style.

    Args:
      rows: names, on the left.
      columns: titles, above the first row.

    Returns:
      The matplotlib figure, and its axes, ``[rows][columns]``.
    """
    figure, grid = _figure(len(rows), len(columns), width=1.5, height=1.5)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(title, fontsize="small")
    for axes, name in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(name, fontsize="small")
    return figure, grid


_BINS = 150


def draw_density(axes: Any, points: np.ndarray, extent: float) -> None:
    """Draws the root of the density of points in the plane, a binned kernel estimate.

    The root, so that a mode with few samples shows beside one with many; each panel has
    a scale of its own. The kernel is a Gaussian with a deviation of a hundredth of the
    square's side.

    Args:
      axes: panel of a figure.
      points: ``[n, 2]``; those outside are not seen.
      extent: the square goes from ``-extent`` to ``extent``.
    """
    from scipy.ndimage import gaussian_filter

    edges = np.linspace(-extent, extent, _BINS + 1)
    counts, _, _ = np.histogram2d(*np.asarray(points).T, bins=(edges, edges))
    smooth = gaussian_filter(counts, _BINS / 100)
    sides = (-extent, extent, -extent, extent)
    axes.imshow(np.sqrt(smooth.T), origin="lower", extent=sides, cmap="magma_r")


def draw_surface(
    axes: Any, values: np.ndarray, extent: float, points: np.ndarray
) -> None:
    """Draws contours of a function over a square, and points on it.

    Args:
      axes: panel of a figure.
      values: of the function, ``[n, n]``, the first index along y.
      extent: the square goes from ``-extent`` to ``extent``.
      points: ``[m, 2]``.
    """
    line = np.linspace(-extent, extent, len(values))
    axes.contourf(line, line, values, 20, cmap="viridis", alpha=0.6)
    axes.contour(line, line, values, 20, colors="k", linewidths=0.3)
    axes.plot(*np.asarray(points).T, ".", color="tab:red", ms=1)
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent))


def _figure(rows: int, columns: int, *, width: float, height: float) -> tuple[Any, Any]:
    """A figure that no window knows of, and its axes, ``[rows, columns]``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def save(path: pathlib.Path | BinaryIO, figure: Any) -> None:
    """Writes a figure of `subplots` as a PNG, with a legend where lines have labels."""
    for axes in figure.axes:
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize="small", framealpha=0.8, edgecolor="none")
    figure.savefig(path, dpi=110, format="png")
