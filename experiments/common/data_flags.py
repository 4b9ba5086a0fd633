"""The flags that name a data set, of every program that reads one."""

import os
from collections.abc import Mapping
from typing import Any

from absl import flags

from experiments.common import cli
from gan_jax import data
from gan_jax.errors import UserError

DATASET = flags.DEFINE_string(
    "dataset",
    "auto",
    f"Images: {', '.join(data.DATASETS)}. auto is Fashion-MNIST where it can be had,"
    " and the drawn garments, with a warning, where it cannot. stacked_NAME are triples"
    " of gray images, the channels of one. folder and npy are your own images in"
    " --data_dir: pictures, a subfolder a class, or NumPy's files. tfds:NAME is one"
    " that tensorflow-datasets has prepared in array_record form (docs/data.md).",
)
DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with the data set's published files, or a TFDS folder. Default:"
    " $GAN_JAX_DATA_DIR, then TFDS's own. Of one's own images, their folder or file.",
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 32, "Height and width of the pictures of --dataset=folder."
)
CHANNELS = flags.DEFINE_enum(
    "channels",
    "auto",
    ["auto", "1", "3"],
    "Channels of the pictures of --dataset=folder: 1, gray; 3, in colour; auto, gray"
    " where all of them are.",
)
BACKGROUND = flags.DEFINE_string(
    "background",
    "white",
    "What is behind transparent pictures of --dataset=folder: a name or #rrggbb.",
)
SKIP_DAMAGED = flags.DEFINE_boolean(
    "skip_damaged", False, "Leave out pictures of --dataset=folder that are damaged."
)
_PICTURES = (IMAGE_SIZE, CHANNELS, BACKGROUND, SKIP_DAMAGED)
_PLACE = (DATA_DIR, *_PICTURES)


def check(of_runs: bool = False) -> None:
    """Refuses flags that name no data set; looks at no file.

    Args:
      of_runs: without --dataset it will be that of a run: `check_pictures` follows.

    Raises:
      UserError: an unknown name; no --data_dir for one's own images; flags of pictures
        for other images.
    """
    cli.require_positive(IMAGE_SIZE)
    data.check_name(DATASET.value)
    if DATASET.value in data.OWN and not DATA_DIR.value:
        raise UserError(data.needs_folder(DATASET.value))
    if flags.FLAGS[DATASET.name].present or not of_runs:
        check_pictures(DATASET.value)


def check_pictures(dataset: str) -> None:
    """Refuses flags that say how pictures are read where there are none.

    Args:
      dataset: name of the data set.

    Raises:
      UserError: one is given, and the data set is not "folder".
    """
    given = [flag for flag in _PICTURES if flags.FLAGS[flag.name].present]
    if given and dataset != "folder":
        raise UserError(
            f"--{given[0].name} is for the pictures of --dataset=folder, and not for"
            f" {dataset}: leave it out"
        )


def name_or(default: str) -> str:
    """What --dataset says, or another default than auto where it is not given."""
    return DATASET.value if flags.FLAGS[DATASET.name].present else default


def where() -> dict[str, Any]:
    """Where the data set is and what is made of it: arguments of `data.load`."""
    return where_of({})


def name_of(dataset: data.Dataset) -> str:
    """What --dataset has to be for the data set that is really there."""
    return DATASET.value if data.about(dataset.name) is None else dataset.name


def place(dataset: data.Dataset) -> dict[str, Any]:
    """Where another program finds it: the flags, those that are not at their defaults.

    Args:
      dataset: that the flags have named.
    """
    given = {"dataset": name_of(dataset)}
    given |= {flag.name: flag.value for flag in _PLACE if flag.value != flag.default}
    if DATA_DIR.value:
        given["data_dir"] = absolute(DATA_DIR.value)
    return given


def absolute(data_dir: str | None) -> str | None:
    """The same place, whatever folder another process is started in."""
    return os.path.abspath(os.path.expanduser(data_dir)) if data_dir else data_dir


def where_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """The place of a run's data set, as `place` has recorded it, and `where` has it.

    Flags that are given replace what was recorded.
    """
    values = {flag.name: flag.value for flag in _PLACE}
    values |= {
        flag.name: run[flag.name]
        for flag in _PLACE
        if flag.name in run and not flags.FLAGS[flag.name].present
    }
    pictures = data.Pictures(*(values[flag.name] for flag in _PICTURES))
    return {"data_dir": values["data_dir"], "pictures": pictures}
