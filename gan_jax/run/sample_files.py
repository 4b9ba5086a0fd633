"""Samples in files: an .npz, or a folder of pictures, of this project or of others."""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan_jax.data.picture import on_background
from gan_jax.errors import UserError
from gan_jax.run.sampling import Samples
from gan_jax.system import files, progress

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
# Names of arrays, the project's first, then those of guided-diffusion and clean-fid.
_NAMES = {"images": ("images", "arr_0"), "labels": ("labels", "arr_1")}


def write_npz(path: pathlib.Path, samples: Samples, **others: np.ndarray) -> None:
    """Writes ``images`` and, where there are any, ``labels``; whole or not at all.

    And the same as ``arr_0`` and ``arr_1``: the names that guided-diffusion reads; and
    others under names of their own.
    """
    arrays = {
        name: array
        for what, array in samples._asdict().items()
        if array is not None
        for name in _NAMES[what]
    }
    with files.whole_file(path) as file:
        np.savez_compressed(file, **arrays, **others)


def write_folder(path: pathlib.Path, samples: Samples) -> None:
    """Writes a PNG file for each image, ``000000.png`` on; all of them or none.

    What pytorch-fid, clean-fid and torch-fidelity read. Labels are part of the names:
    ``000000_3.png``.

    Raises:
      UserError: it cannot be written.
    """
    from PIL import Image

    def write(i: int) -> None:
        image = samples.images[i]
        label = "" if samples.labels is None else f"_{samples.labels[i]}"
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(pixels).save(part / f"{i:06d}{label}.png")

    count = len(samples.images)
    with (
        files.whole_folder(path) as part,
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.bar("writing pictures", count, unit="picture") as bar,
    ):
        for _ in pool.map(write, range(count)):
            bar.update(1)


def read(path: pathlib.Path, num_samples: int | None = None) -> Samples:
    """Reads samples: an .npz file, or a folder of pictures.

    Raises:
      UserError: as `read_npz` and `read_folder`.
    """
    if path.is_dir():
        return read_folder(path, num_samples)
    return read_npz(path)


def read_folder(path: pathlib.Path, num_samples: int | None = None) -> Samples:
    """Reads the pictures of a folder as they are, by name, those in subfolders as well.

    Transparent pixels are white; hidden files and folders are left out.

    Args:
      path: of the folder.
      num_samples: how many, the first by name; all by default.

    Returns:
      Images of one channel where all are gray, else of three; no labels.

    Raises:
      UserError: there are none, one cannot be read, or they differ in size.
    """
    from PIL import Image

    found = sorted(
        p
        for p in path.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in p.relative_to(path).parts)
    )
    if not found:
        raise UserError(f"{path} holds no pictures: write PNG files into it")

    def pixels(picture: pathlib.Path) -> np.ndarray:
        try:
            with Image.open(picture) as opened:
                shown = on_background(opened, "white")
        except Exception as error:  # Pillow raises many kinds
            raise UserError(
                f"{picture} cannot be read ({' '.join(str(error).split())[:100]}):"
                " write it again"
            ) from error
        image = np.rint(shown).clip(0, 255).astype(np.uint8)
        is_gray = (image == image[..., :1]).all()
        return image[..., :1] if is_gray else image

    chosen = found[:num_samples]
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.bar("reading pictures", len(chosen), unit="picture") as bar,
    ):
        images = []
        for image in pool.map(pixels, chosen):
            images.append(image)
            bar.update(1)
    channels = max(image.shape[-1] for image in images)
    sizes = sorted({image.shape[:2] for image in images})
    if len(sizes) > 1:
        raise UserError(
            f"the pictures in {path} differ in size ({sizes[0]} and {sizes[-1]}):"
            " samples are compared at one"
        )
    repeated = [np.repeat(x, channels // x.shape[-1], axis=-1) for x in images]
    return Samples(np.stack(repeated))


def read_npz(path: pathlib.Path) -> Samples:
    """Reads what `write_npz`, or another program, has written.

    Raises:
      UserError: there is no such file, it is damaged, or it holds something else than
        images uint8 [N, height, width, 1 or 3] and perhaps labels [N] from 0.
    """
    arrays = files.read_npz(path)
    images, labels = (
        next((arrays[name] for name in names if name in arrays), None)
        for names in _NAMES.values()
    )
    if images is None:
        raise UserError(
            f"{path} holds no array called images or arr_0 (but"
            f" {', '.join(arrays) or 'nothing'}): write uint8"
            " [N, height, width, 1 or 3] as that"
        )
    in_shape = images.ndim == 4 and images.shape[-1] in (1, 3)
    if images.dtype != np.uint8 or not in_shape:
        raise UserError(
            f"the images of {path} are {images.dtype} {list(images.shape)}: they must"
            " be uint8 [N, height, width, 1 or 3]"
        )
    if labels is None:
        return Samples(images)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise UserError(
            f"the labels of {path} are {labels.dtype} {list(labels.shape)}: they must"
            f" be int32 [{len(images)}], one for each image"
        )
    if len(labels) and labels.min() < 0:
        raise UserError(
            f"the labels of {path} go from {labels.min()} to {labels.max()}: they must"
            " be 0 or more"
        )
    return Samples(images, labels.astype(np.int32))
