"""One picture as a data set has it: square, of three channels, on a background."""

import pathlib
from typing import Any

import numpy as np

from gan_jax.data.dataset import Pictures


def read_picture(path: pathlib.Path, how: Pictures) -> np.ndarray:
    """A picture as the data set has it.

    Args:
      path: of the file.
      how: what to make of it.

    Returns:
      uint8, ``[size, size, 3]``; gray ones have three equal channels.

    Raises:
      Exception: Pillow cannot read it; of any kind.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        if opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
            raise ValueError(f"{opened.width} x {opened.height} pixels are too many")
        pixels = on_background(ImageOps.exif_transpose(opened), how.background)
    if how.channels == "1":  # luma, as Pillow's mode L
        luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = np.repeat(luma[..., None], 3, axis=2)
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    resized = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(square[..., channel])).resize(
                (how.size, how.size), Image.Resampling.BICUBIC
            )
        )
        for channel in range(3)
    ]
    return np.rint(np.stack(resized, axis=-1)).clip(0, 255).astype(np.uint8)


def on_background(picture: Any, background: str) -> np.ndarray:
    """Any of Pillow's modes as float32 ``[height, width, 3]``, 0 to 255.

    Args:
      picture: of Pillow.
      background: what is behind transparent pixels, a name or #rrggbb.
    """
    from PIL import ImageColor

    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):  # 16 bits
        gray = np.asarray(picture, np.float32)
        scale = 1.0 if picture.mode == "F" else 257.0
        return np.repeat((gray / scale)[..., None], 3, axis=2)
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("RGB"), np.float32)
    pixels = np.asarray(picture.convert("RGBA"), np.float32)
    behind = np.array(ImageColor.getrgb(background)[:3], np.float32)
    opaque = pixels[..., 3:] / 255
    return pixels[..., :3] * opaque + behind * (1 - opaque)
