"""Damage of known size: a measure of quality must grow with each of these.

Pure functions of uint8 images ``[N, height, width, channels]`` to such images; a level
of 0 changes nothing. Those that draw random numbers take a seed, and a higher level
with the same seed is more of the same damage.
"""

import math
from collections.abc import Callable

import numpy as np

# scipy.ndimage takes a while to import: where it is used, not here.
from gan_jax.errors import UserError


def noise(images: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    """Gaussian noise of standard deviation ``level``, in grey levels of 0 to 255.

    Raises:
      UserError: the level is negative, or the images are as `_check` says.
    """
    _check(images, level, math.inf)
    drawn = np.random.default_rng(seed).standard_normal(images.shape, np.float32)
    return _round(images + level * drawn)


def blur(images: np.ndarray, level: float) -> np.ndarray:
    """Gaussian blur of standard deviation ``level``, in pixels.

    What lies beyond the border is taken to be as the border is.

    Raises:
      UserError: the level is negative, or the images are as `_check` says.
    """
    from scipy import ndimage

    _check(images, level, math.inf)
    sigma = (0, level, level, 0)
    blurred = ndimage.gaussian_filter(images.astype(np.float32), sigma, mode="nearest")
    return _round(blurred)


def crop(images: np.ndarray, level: int) -> np.ndarray:
    """``level`` pixels of each border cut off, and the rest enlarged to fit.

    Bilinear; pixels are squares, so the corners of what is left stay corners.

    Raises:
      UserError: the level is not an integer below half of the shorter side, or the
        images are as `_check` says.
    """
    from scipy import ndimage

    height, width = images.shape[1:3]
    _check(images, level, min(height, width) // 2 - 1)
    if level != int(level):
        raise UserError(f"the level is {level}: give a whole number of pixels")
    cut = int(level)
    rest = images[:, cut : height - cut, cut : width - cut].astype(np.float32)
    factors = (1, height / rest.shape[1], width / rest.shape[2], 1)
    enlarged = ndimage.zoom(rest, factors, order=1, mode="nearest", grid_mode=True)
    return _round(enlarged)


def swap(images: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    """A share ``level`` of the images gets one half from another image.

    Which half, left, right, top or bottom, and which other image, is drawn for each;
    ``round(level * N)`` images are changed.

    Raises:
      UserError: the level is not within 0 and 1, there is no other image, or the
        images are as `_check` says.
    """
    _check(images, level, 1.0)
    count, (height, width) = len(images), np.array(images.shape[1:3]) // 2
    if count < 2:
        raise UserError("swap needs at least 2 images, and there is 1: give more")
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    donors = (np.arange(count) + rng.integers(1, count, count)) % count
    halves = [np.s_[:, :width], np.s_[:, width:], np.s_[:height], np.s_[height:]]
    choices = rng.integers(len(halves), size=count)
    swapped = images.copy()
    for i in order[: round(level * count)]:
        half_of = halves[choices[i]]
        swapped[i][half_of] = images[donors[i]][half_of]
    return swapped


# By name: the function, called with images and level, and four growing levels.
CORRUPTIONS: dict[str, tuple[Callable[..., np.ndarray], tuple[float, ...]]] = {
    "noise": (noise, (8, 16, 32, 64)),
    "blur": (blur, (0.5, 1.0, 1.5, 2.0)),
    "crop": (crop, (1, 2, 4, 6)),
    "swap": (swap, (0.125, 0.25, 0.5, 1.0)),
}


def _check(images: np.ndarray, level: float, most: float) -> None:
    """Refuses what is not uint8 ``[N, height, width, channels]``, and other levels."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise UserError(
            f"the images are {images.dtype} {list(images.shape)}: give uint8"
            " [N, height, width, channels]"
        )
    if not (math.isfinite(level) and 0 <= level <= most):
        limit = "0 or more" if most == math.inf else f"0 to {most}"
        raise UserError(f"the level is {level}: give {limit}")


def _round(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
