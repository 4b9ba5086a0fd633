"""The pictures and curves of a run folder, as arrays."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_jax import plots
from gan_jax.errors import UserError, quote
from gan_jax.explore import folders
from gan_jax.run.metrics_log import read_metrics

_MOST_PIXELS = 2**26
_MOST_POINTS = 400  # of a curve
_NOT_CURVES = {"step", "epoch", "seconds"}


def steps(folder: pathlib.Path) -> list[int]:
    """Steps of a run's sample grids, ascending; empty where there are none."""
    names = (path.stem for path in (folder / "samples").glob("step_*.png"))
    numbers = (name.removeprefix("step_") for name in names)
    return sorted(int(n) for n in numbers if n.isascii() and n.isdecimal())


def grid_path(folder: pathlib.Path, step: int) -> pathlib.Path:
    """Where the sample grid of a step is."""
    return folder / "samples" / f"step_{step:06d}.png"


def read(root: pathlib.Path, path: pathlib.Path) -> np.ndarray:
    """A picture below a root.

    Returns:
      uint8, ``[height, width]`` of a gray one, else ``[height, width, 3]``.

    Raises:
      UserError: it leads outside of the root, is not there, is damaged, or is larger
        than 2^26 pixels.
    """
    from PIL import Image

    folders.require_inside(root, path)
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise UserError(f"{path} has more than {_MOST_PIXELS} pixels")
            return np.asarray(picture.convert("L" if picture.mode == "L" else "RGB"))
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there yet, or no longer") from error
    except Exception as error:  # Pillow raises many kinds
        raise UserError(f"{path} is damaged ({quote(error)})") from error


def real_images(
    root: pathlib.Path, folder: pathlib.Path, shape: tuple[int, int, int]
) -> tuple[np.ndarray, int]:
    """The training images that a run's real.png shows, and how many are a row.

    Of a data set with ten images of each class or more, a column is a class
    (`gan_jax.run.sample_grids.hundred_real`).

    Args:
      root: of all runs.
      folder: of the run.
      shape: of an image, ``(height, width, channels)``.

    Returns:
      uint8 ``[N, height, width, channels]``, exactly as they are; and the columns.

    Raises:
      UserError: as `read`, or it is no grid of such images.
    """
    path = folder / "real.png"
    grid = read(root, path)
    try:
        return plots.split_grid(grid, shape)
    except ValueError as error:
        raise UserError(f"{path} is no grid of the run's images ({error})") from error


class Curve(NamedTuple):
    """A metric over the steps of training.

    Attributes:
      steps: ``[n]``.
      values: ``[n]``, finite.
    """

    steps: np.ndarray
    values: np.ndarray


def curves(root: pathlib.Path, folder: pathlib.Path) -> dict[str, Curve]:
    """The metrics of a run's metrics.jsonl by their names, at most 400 points each.

    Longer ones are averaged over as many steps as that needs.

    Raises:
      UserError: it leads outside of the root, or a line is damaged.
    """
    folders.require_inside(root, folder / "metrics.jsonl")
    lines = read_metrics(folder)
    names = dict.fromkeys(name for line in lines for name in line)
    found = {name: _curve(lines, name) for name in names if name not in _NOT_CURVES}
    return {name: curve for name, curve in found.items() if len(curve.steps)}


def _curve(lines: Sequence[dict[str, Any]], name: str) -> Curve:
    points = [(x["step"], x[name]) for x in lines if x.get(name) is not None]
    table = np.array(points, np.float64).reshape(-1, 2)
    parts = np.array_split(table, min(len(table), _MOST_POINTS)) if points else []
    means = np.array([part.mean(axis=0) for part in parts]).reshape(-1, 2)
    return Curve(np.rint(means[:, 0]).astype(np.int64), means[:, 1])
