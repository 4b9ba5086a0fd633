"""What there is to see of a GAN in the plane, as one picture, in a few milliseconds."""

import numpy as np

from gan_jax.explore import plane

SIDE = 560  # pixels
_FINER = 2  # drawn larger, and reduced: smooth edges
_ARROWS = 80
_ARROW = 0.4  # their length on average, in the plane's units
_RED, _WHITE, _BLUE = (214, 96, 77), (247, 247, 247), (67, 147, 195)
REAL, SAMPLES, PULL = (20, 20, 20), (255, 127, 14), (0, 110, 40)


def draw(look: plane.Look) -> np.ndarray:
    """Draws the surface, the points and the arrows.

    The surface goes from red, the discriminator's lowest score on the square, through
    white to blue, its highest. Arrows have the lengths of the pull relative to its
    mean square; those much longer are cut.

    Args:
      look: what to draw.

    Returns:
      uint8 ``[560, 560, 3]``, the y axis upwards.
    """
    from PIL import Image, ImageDraw

    side = SIDE * _FINER
    canvas = Image.fromarray(colours(look.surface[::-1])).resize(
        (side, side), Image.Resampling.BILINEAR
    )
    pen = ImageDraw.Draw(canvas)

    def pixels(points: np.ndarray) -> np.ndarray:
        scaled = np.clip(points, -1e3, 1e3) / (2 * plane.EXTENT) + 0.5
        return np.stack([scaled[:, 0], 1 - scaled[:, 1]], axis=1) * side

    def dots(points: np.ndarray, colour: tuple[int, int, int], radius: float) -> None:
        for x, y in pixels(points).tolist():
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    dots(look.real, REAL, 2.2 * _FINER)
    dots(look.samples, SAMPLES, 2.8 * _FINER)
    starts, pull = look.samples[:_ARROWS], look.pull[:_ARROWS]
    size = np.sqrt(np.mean(np.square(pull).sum(axis=1)))
    steps = pull * (_ARROW / size if size > 0 else 0.0)
    lengths = np.linalg.norm(steps, axis=1, keepdims=True)
    steps = steps * np.minimum(1, 3 * _ARROW / np.maximum(lengths, 1e-9))
    ends = pixels(starts + steps)
    for start, end in zip(pixels(starts), ends, strict=True):
        if np.hypot(*(end - start)) > _FINER:
            pen.line((*start, *end), PULL, 2 * _FINER)
            pen.polygon(_head(start, end), PULL)
    return np.asarray(canvas.reduce(_FINER))


def colours(values: np.ndarray) -> np.ndarray:
    """Values as colours, from red, the lowest, through white to blue, the highest.

    Args:
      values: ``[rows, columns]``; what is not finite is white.

    Returns:
      uint8 ``[rows, columns, 3]``.
    """
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    width = high - low if high > low else 1.0
    share = np.where(np.isfinite(values), (values - low) / width, 0.5)
    stops = np.array([_RED, _WHITE, _BLUE], np.float64)
    channels = [np.interp(share, (0, 0.5, 1), stops[:, i]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _head(start: np.ndarray, end: np.ndarray) -> list[tuple[float, float]]:
    """The corners of the head of an arrow, in pixels."""
    along = (end - start) / np.hypot(*(end - start)) * 5 * _FINER
    across = np.array([-along[1], along[0]]) / 2
    corners = (end + along / 2, end - along / 2 + across, end - along / 2 - across)
    return [tuple(corner.tolist()) for corner in corners]
