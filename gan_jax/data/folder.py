"""Somebody's own pictures: a folder of image files, in which a subfolder is a class.

They are read once, in threads, and kept as one ``.npy`` in the cache under a
fingerprint of the files (names, sizes, times of change) and of what is made of them.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import numpy as np

from gan_jax.data import npy
from gan_jax.data.dataset import (
    SPLITS,
    Dataset,
    Part,
    Pictures,
    check_count,
    hold_out,
    name_of,
)
from gan_jax.data.picture import read_picture
from gan_jax.errors import UserError
from gan_jax.system import files, progress
from gan_jax.system.paths import expand

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_BLOCK = 500  # pictures that are read before the next are looked at
_VERSION = 2  # of what is made of a picture: another one is read anew


def from_folder(
    folder: str | os.PathLike,
    how: Pictures,
    split: str = "train",
    num_examples: int | None = None,
) -> Dataset:
    """A data set of pictures: PNG, JPEG, WebP, BMP and the first frame of GIF.

    Each is turned as its EXIF says, put on the background, cropped to the square at its
    centre and resized with an antialiased bicubic filter, in floating point (Parmar et
    al. 2022, https://arxiv.org/abs/2104.11222). The order is that of hashes of their
    names: the first so many are of all classes.

    Args:
      folder: where they are. The subfolders of it are the classes, by name, whatever
        subfolders they have themselves; without any there are no labels. Where it has
        the subfolders ``train`` and ``test`` alone, these are the splits, and theirs
        are the classes.
      how: what is made of them.
      split: 'train' or 'test': what `hold_out` says, where the folder has none.
      num_examples: how many to use, the first of the split; all by default.

    Returns:
      The data set; its name tells it from others and is the same for both splits.
      Images are read when they are asked for.

    Raises:
      UserError: there is no such folder or no picture in it; some lie in subfolders and
        some beside them; one is damaged; there are fewer than asked for.
    """
    root = expand(folder)
    _check_background(how.background)
    sizes = _pictures(root)
    found = list(sizes)
    has_splits = {path.parts[0] for path in found} == {*SPLITS}
    names = _class_names(root, found, 1 if has_splits else 0)
    kept = files.cache_folder() / "folders" / f"{_fingerprint(root, sizes, how)}.npy"
    note = kept.with_suffix(".json")
    with files.writing(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
    import filelock  # slow to import

    with filelock.FileLock(kept.with_suffix(".lock")):
        try:
            whole, damaged, told = _what_was_kept(kept, note)
        except (UserError, OSError, ValueError):  # not there, or not whole
            _read_all(root, found, how, kept, note)
            whole, damaged, told = _what_was_kept(kept, note)
    found = [path for path in found if str(path) not in damaged]
    labels = None
    if names:
        number = {name: i for i, name in enumerate(names)}
        labels = np.array([number[path.parts[has_splits]] for path in found], np.int32)
    name = name_of("folder", whole, labels, held_out=not has_splits, told=told)
    source = f"read from {root}"
    if damaged:
        source += f", {len(damaged)} damaged left out"
    if has_splits:
        positions = np.flatnonzero([path.parts[0] == split for path in found])
    else:
        positions = hold_out(len(found), split, root)
        source += f", one in ten of {len(found):,} pictures held out"
    check_count(positions, num_examples, root)
    positions = positions[:num_examples]
    if labels is not None:
        labels = labels[positions]
    return Dataset(name, Part(whole, positions), labels, names, source)


def _check_background(background: str) -> None:
    from PIL import ImageColor

    try:
        ImageColor.getrgb(background)
    except ValueError as error:
        raise UserError(
            f"--background={background} is no colour: a name such as white, or #rrggbb"
        ) from error


def _pictures(root: pathlib.Path) -> dict[pathlib.Path, str]:
    """Paths below the folder, in the order of the data set; size and time of each."""
    if not root.is_dir():
        raise UserError(
            f"there is no readable folder {root}: name the one that holds the pictures"
            " with --data_dir"
        )
    found: dict[pathlib.Path, str] = {}
    others = 0
    with progress.bar("finding pictures", None, unit="file") as bar:
        for file in _files(root):
            bar.update(1)
            if not file.name.lower().endswith(SUFFIXES):
                others += 1
                continue
            path = pathlib.Path(file.path).relative_to(root)
            found[path] = "a link to nothing"
            with contextlib.suppress(OSError):
                about = file.stat()
                found[path] = f"{about.st_size} {about.st_mtime_ns}"
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise UserError(
            f"{root} holds no pictures ({kinds}), but {others} other files: name the"
            " folder of the pictures with --data_dir"
        )
    key = {
        path: hashlib.sha256(os.fsencode(path.as_posix())).digest() for path in found
    }
    return {path: found[path] for path in sorted(found, key=key.__getitem__)}


def _files(folder: pathlib.Path | str) -> Iterator[os.DirEntry[str]]:
    """Those of a folder and of its subfolders, one at a time.

    But for hidden ones, and for those of a run or a study, whose samples are no data.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
            names = {entry.name for entry in entries}
            if "config.json" in names and names & {".lock", "metrics.jsonl"}:
                return
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(entry.path)
                else:
                    yield entry
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror or error}): make it readable, or"
            " name another --data_dir"
        ) from error


def _class_names(
    root: pathlib.Path, found: Sequence[pathlib.Path], depth: int
) -> tuple[str, ...]:
    """Of the subfolders below so many others."""
    names = sorted({path.parts[depth] for path in found if len(path.parts) > depth + 1})
    alone = [path for path in found if len(path.parts) == depth + 1]
    if names and alone:
        raise UserError(
            f"{len(alone)} pictures lie beside the subfolders of {root}, which are the"
            f" classes ({alone[0]}...): move them into one"
        )
    return tuple(names)


def _fingerprint(
    root: pathlib.Path, sizes: Mapping[pathlib.Path, str], how: Pictures
) -> str:
    """Of one folder: another may have files of the same names, sizes and times."""
    sha = hashlib.sha256(f"{_VERSION} {how} ".encode() + os.fsencode(root.absolute()))
    for path, about in sizes.items():
        sha.update(os.fsencode(path.as_posix()))
        sha.update(f" {about}\n".encode())
    return sha.hexdigest()[:20]


def _what_was_kept(
    kept: pathlib.Path, note: pathlib.Path
) -> tuple[npy.Rows, set[str], str]:
    """The images, paths of pictures that are damaged, and a checksum of the images."""
    about = json.loads(note.read_text())
    return npy.Rows(kept), {*about["damaged"]}, about["sha256"]


def _read_all(
    root: pathlib.Path,
    found: Sequence[pathlib.Path],
    how: Pictures,
    kept: pathlib.Path,
    note: pathlib.Path,
) -> None:
    """Writes the images, and then what there is to say of them."""
    damaged: list[str] = []
    count, gray, sha = 0, how.channels != "3", hashlib.sha256()
    with files.writing(kept), tempfile.TemporaryFile(dir=kept.parent) as pixels:
        for path, image in zip(found, _images(root, found, how), strict=True):
            if isinstance(image, UserError):
                if not how.skip_damaged:
                    raise image
                damaged.append(str(path))
                continue
            count += 1
            gray = gray and bool((image == image[..., :1]).all())
            sha.update(image)
            pixels.write(image.tobytes())
        if not count:
            raise UserError(f"every picture in {root} is damaged: {damaged[0]}...")
        with files.whole_file(kept) as file:
            _write_npy(file, pixels, (count, how.size, how.size), 1 if gray else 3)
    about = {"folder": str(root), "damaged": damaged, "sha256": sha.hexdigest()}
    files.write_text(note, json.dumps(about))


def _write_npy(
    file: IO[bytes], pixels: IO[bytes], shape: tuple[int, ...], channels: int
) -> None:
    """Copies pixels of three channels, of which one is enough where all are gray."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (*shape, channels)}
    np.lib.format.write_array_header_1_0(file, header)
    pixels.seek(0)
    while block := pixels.read(3 * 2**20):
        file.write(
            np.frombuffer(block, np.uint8).reshape(-1, 3)[:, :channels].tobytes()
        )


def _images(
    root: pathlib.Path, found: Sequence[pathlib.Path], how: Pictures
) -> Iterator[np.ndarray | UserError]:
    """Each as uint8 ``[size, size, 3]``, or why it cannot be read, in order."""
    from PIL import Image

    def read(path: pathlib.Path) -> np.ndarray | UserError:
        try:
            return read_picture(root / path, how)
        except Exception as error:  # Pillow raises many kinds
            why = " ".join(str(error).split())[:150] or type(error).__name__
            return UserError(
                f"{root / path} cannot be read ({why}): mend or remove it, or leave"
                " such pictures out with --skip_damaged"
            )

    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.bar("reading pictures", len(found), unit="picture") as bar,
    ):
        # A picture of too many pixels is refused by its size, and not warned of.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for start in range(0, len(found), _BLOCK):
            for image in pool.map(read, found[start : start + _BLOCK]):
                yield image
                bar.update(1)
