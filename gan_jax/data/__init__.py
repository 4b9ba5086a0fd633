"""Data sets: published ones, drawn garments that need no download, and one's own."""

import dataclasses
import os
from typing import NamedTuple

from gan_jax import errors
from gan_jax.data import (
    cifar,
    folder,
    mnist_family,
    npy,
    prepared,
    published,
    stacked,
)
from gan_jax.data.dataset import (
    SPLITS,
    Dataset,
    Description,
    Part,
    Pictures,
    check_count,
    hold_out,
)

__all__ = [
    "DATASETS",
    "OWN",
    "SPLITS",
    "About",
    "Dataset",
    "Description",
    "Part",
    "Pictures",
    "about",
    "check_name",
    "hold_out",
    "load",
    "needs_folder",
]

OWN = ("folder", "npy")  # somebody's own images, in `data_dir`
_GRAY = (*mnist_family.NAMES, "garments")


class About(NamedTuple):
    """What is known of a published data set before it is read.

    Attributes:
      shape: of an image, ``(height, width, channels)``.
      num_classes: of its labels.
      size: images in the training split.
    """

    shape: tuple[int, int, int]
    num_classes: int
    size: int


_PUBLISHED = {
    **{name: About((28, 28, 1), 10, 60_000) for name in _GRAY},
    "emnist": About((28, 28, 1), 47, 112_800),
    "cifar10": About((32, 32, 3), 10, 50_000),
    "cifar100": About((32, 32, 3), 100, 50_000),
    **{
        stacked.PREFIX + name: About((28, 28, stacked.DEPTH), 1000, 60_000)
        for name in _GRAY
    },
}
_LICENCES = {
    "fashion_mnist": "MIT",
    "mnist": "CC-BY-SA-3.0",
    "kmnist": "CC-BY-SA-4.0",
    "emnist": "none is stated; made of NIST Special Database 19",
    "cifar10": "none is stated",
    "cifar100": "none is stated",
    "garments": "Apache-2.0",  # drawn by this project
}
DATASETS = ("auto", *_PUBLISHED, *OWN, f"{prepared.PREFIX}NAME")


def check_name(name: str) -> None:
    """Refuses what is no data set.

    Raises:
      UserError: the same, with the name that was perhaps meant.
    """
    if not (name.startswith(prepared.PREFIX) and name != prepared.PREFIX):
        errors.check_name("data set", name, DATASETS[:-1])


def about(name: str) -> About | None:
    """What is known of a data set before it is read.

    Returns:
      That of Fashion-MNIST for 'auto'; None of one's own images and of ``tfds:NAME``,
      which must be opened first.
    """
    return _PUBLISHED.get("fashion_mnist" if name == "auto" else name)


def licence(name: str) -> str:
    """What the publishers of a data set say of its use.

    Args:
      name: as a run's config.json has it: of one's own images with a fingerprint.

    Returns:
      An identifier of SPDX, or what there is to say instead.
    """
    if name.startswith(prepared.PREFIX):
        return f"see {name.removeprefix(prepared.PREFIX)} in the TFDS catalogue"
    return _LICENCES.get(name.removeprefix(stacked.PREFIX), "of whose images they are")


def needs_folder(name: str) -> str:
    """The message for one's own images that nobody has said the place of."""
    what = {"npy": "the file or its folder", "folder": "that of the pictures"}[name]
    return f"--dataset={name} needs --data_dir, {what}"


def load(
    name: str = "auto",
    split: str = "train",
    *,
    data_dir: str | os.PathLike | None = None,
    pictures: Pictures | None = None,
    garments_size: int | None = None,
    num_examples: int | None = None,
) -> Dataset:
    """Loads a split of a data set: into memory, or what reads it as it is asked for.

    'auto' is Fashion-MNIST where it is in `data_dir`, cached, or can be downloaded,
    and drawn garments with a warning elsewhere. A named data set never falls back.

    Args:
      name: one of `DATASETS`.
      split: 'train' or 'test'.
      data_dir: a folder that holds the published files, itself or in a folder called
        `name`, or a TFDS folder. By default $GAN_JAX_DATA_DIR, then TFDS's own. Drawn
        garments do not look at it. Of one's own images, their folder or file.
      pictures: what 'folder' makes of each; `Pictures()` by default.
      garments_size: how many garments to draw, if they are what is drawn.
      num_examples: how many images, the first of the split; all by default.

    Returns:
      The split.

    Raises:
      UserError: an unknown name or split; a `data_dir` that does not exist or holds
        a damaged or wrong file (under 'auto', too: a slip must not train on another
        data set); a named data set that is neither here nor can be downloaded; one's
        own images that are not what `npy.from_npy` and `folder.from_folder` say.
    """
    check_name(name)
    errors.check_name("split", split, SPLITS)
    if about(name) is None:
        return _open(name, split, data_dir, pictures, num_examples)
    if name.startswith(stacked.PREFIX):
        base = name.removeprefix(stacked.PREFIX)
        whole = load(base, split, data_dir=data_dir, garments_size=garments_size)
        return stacked.stack(whole, split, num_examples)
    garments_size = num_examples or garments_size
    if name == "garments":
        return _draw(split, garments_size)
    real = "fashion_mnist" if name == "auto" else name
    try:
        dataset = _read(real, split, data_dir)
    except published.Unavailable as error:
        if name != "auto":
            raise
        warning = f"drawn garments stand in for the real ones: {error}"
        return dataclasses.replace(_draw(split, garments_size), warning=warning)
    check_count(dataset.images, num_examples, name)
    return dataclasses.replace(
        dataset,
        images=dataset.images[:num_examples],
        labels=dataset.labels[:num_examples],
    )


def _read(name: str, split: str, data_dir: str | os.PathLike | None) -> Dataset:
    """A published data set."""
    if name.startswith("cifar"):
        images, labels, names, source = cifar.read(name, split, data_dir)
        return Dataset(name, images, labels, names, source)
    if name == "emnist":
        images, labels, source = mnist_family.read_emnist(split, data_dir)
    else:
        images, labels, source = mnist_family.read(name, split, data_dir)
    return Dataset(name, images, labels, mnist_family.CLASS_NAMES[name], source)


def _open(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None,
    pictures: Pictures | None,
    num_examples: int | None,
) -> Dataset:
    """One's own images, or what TFDS has prepared."""
    if name.startswith(prepared.PREFIX):
        return prepared.load(name, split, data_dir, num_examples)
    if not data_dir:
        raise errors.UserError(needs_folder(name))
    if name == "npy":
        return npy.from_npy(data_dir, split, num_examples)
    return folder.from_folder(data_dir, pictures or Pictures(), split, num_examples)


def _draw(split: str, size: int | None) -> Dataset:
    from gan_jax.data import garments  # late: it compiles programs

    seed = SPLITS.index(split)  # train is drawn from seed 0, test from seed 1
    images, labels = garments.make(seed, size or mnist_family.SIZES[split])
    source = f"drawn, seed {seed}"
    return Dataset("garments", images, labels, garments.CLASS_NAMES, source)
