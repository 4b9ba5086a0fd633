"""What is known of a reference data set, kept in the user's cache folder.

Its features and its own scores, which are the same for every run that is measured
against it. A file is of one network, data set, platform and version of this package:
another of any of these is another file. A damaged one is made again; a folder that
cannot be written is no error, it takes the time again.
"""

import contextlib
import functools
import hashlib
import json
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import gan_jax
from gan_jax.data import Dataset
from gan_jax.data.dataset import fingerprint
from gan_jax.errors import UserError
from gan_jax.evaluation import frechet
from gan_jax.evaluation.features import Features
from gan_jax.system.files import (
    cache_folder,
    keyed_name,
    make_folder,
    read_npz,
    whole_file,
    write_text,
)


def features_of(measured_in: Features, split: Dataset) -> np.ndarray:
    """Features of a split: float64 ``[N, dimension]``."""
    path = _path("features", measured_in, [split], ".npz")
    with contextlib.suppress(UserError, KeyError, ValueError):
        found = read_npz(path)["features"].astype(np.float64)
        if found.ndim == 2 and len(found) == len(split.images):
            return found
    found, _ = measured_in.extract(split.images)
    small = found.astype(np.float32)  # what networks compute in
    _write(path, features=small if np.array_equal(small, found) else found)
    return found


def moments_of(measured_in: Features, split: Dataset) -> frechet.Moments:
    """Moments of a split's features, which are not kept themselves: they are many."""
    path = _path("moments", measured_in, [split], ".npz")
    with contextlib.suppress(UserError, KeyError, ValueError):
        arrays = read_npz(path)
        mean, covariance = arrays["mean"], arrays["covariance"]
        if covariance.shape == 2 * mean.shape:
            return frechet.Moments(mean, covariance, int(arrays["count"]))
    found = frechet.moments(measured_in.extract(split.images)[0])
    _write(path, **found._asdict())
    return found


def scores(
    what: str,
    measured_in: Features,
    splits: list[Dataset],
    make: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Measures of a data set itself.

    Args:
      what: tells these scores from others of the same data set.
      measured_in: the features that they are in.
      splits: what they are of.
      make: computes them, JSON values, where they are not kept.
    """
    path = _path(what, measured_in, splits, ".json")
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    found = make()
    with contextlib.suppress(UserError, ValueError):  # NaN is no JSON
        make_folder(path.parent)
        write_text(path, json.dumps(found, allow_nan=False))
    return found


def _write(path: pathlib.Path, **arrays: np.ndarray) -> None:
    with contextlib.suppress(UserError):
        make_folder(path.parent)
        with whole_file(path) as file:
            np.savez(file, **arrays)


def _path(
    what: str, measured_in: Features, splits: list[Dataset], suffix: str
) -> pathlib.Path:
    told = [
        what,
        jax.__version__,
        jax.default_backend(),  # a GPU may round products
        _sources(pathlib.Path(gan_jax.__file__).parent),
        measured_in.describe(),
        [(split.name, _sum(split)) for split in splits],
    ]
    name = keyed_name(splits[-1].name, told)
    return cache_folder() / "references" / f"{name}{suffix}"


def _sum(split: Dataset) -> str:
    """What tells a split from others: of images in memory a checksum of all."""
    told = fingerprint(split.images, split.labels).decode()
    if isinstance(split.images, np.ndarray):
        told += f" {zlib.crc32(np.ascontiguousarray(split.images))}"
    return told


@functools.cache
def _sources(package: pathlib.Path) -> str:
    """SHA-256 of the source of a package: what draws, computes and measures."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
