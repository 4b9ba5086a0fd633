"""Data sets that tensorflow-datasets has prepared: ``tfds:NAME``, in array_record form.

They are read example by example, without TensorFlow
(https://www.tensorflow.org/datasets/data_source).
"""

import os

import numpy as np

from gan_jax.data import stream
from gan_jax.data.dataset import Dataset, Part, check_count, hold_out
from gan_jax.errors import UserError
from gan_jax.system import progress

PREFIX = "tfds:"
_BLOCK = 1000  # labels that are read before the progress bar moves


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None = None,
    num_examples: int | None = None,
) -> Dataset:
    """Opens a split; its images are read when they are asked for, its labels now.

    Args:
      name: as `tfds.builder` takes it: ``coil100``, ``mnist:3.0.1``, with a prefix or
        without.
      split: 'train' or 'test'; where there is no 'test', what `hold_out` says.
      data_dir: TFDS folder; by default $GAN_JAX_DATA_DIR, then TFDS's own.
      num_examples: how many to use, the first of the split; all by default.

    Returns:
      The data set. It has labels where it has a feature ``label`` of named classes.

    Raises:
      UserError: it is not prepared there, in this form, or has no images of one shape.
    """
    import tensorflow_datasets as tfds  # slow to import

    name = name.removeprefix(PREFIX)
    root = data_dir or os.environ.get("GAN_JAX_DATA_DIR")
    try:
        builder = tfds.builder(name, data_dir=root and os.path.expanduser(root))
        splits = {*builder.info.splits}
        there = split if split in splits else "train"
        whole = builder.as_data_source(there)
    except Exception as error:  # TFDS raises many kinds
        first = str(error).strip().partition("\n")[0][:150]
        raise UserError(
            f"{PREFIX}{name} is not prepared in array_record form in"
            f" {root or 'the folder of TFDS'} ({first}): prepare it with"
            f" tfds.builder({name!r}, file_format='array_record')"
            ".download_and_prepare() where TensorFlow is installed, and name its"
            " --data_dir"
        ) from error
    features = builder.info.features
    shape = features["image"].shape if "image" in features else ()
    kind = np.dtype(features["image"].np_dtype) if "image" in features else None
    fits = len(shape) == 3 and None not in shape and shape[2] in (1, 3)
    if not fits or kind != np.uint8:
        raise UserError(
            f"{PREFIX}{name} has images {kind} of the shape {list(shape)}, and training"
            " needs uint8 of one shape [height, width, 1 or 3]: write them as files and"
            " use --dataset=folder"
        )
    source, positions = f"prepared in {builder.data_dir}", np.arange(len(whole))
    if "test" not in splits:
        positions = hold_out(len(whole), split, f"{PREFIX}{name}")
        source += f", one in ten of {len(whole):,} images held out"
    check_count(positions, num_examples, builder.data_dir)
    positions = positions[:num_examples]
    labels, names = None, ()
    label = dict(features).get("label")
    if isinstance(label, tfds.features.ClassLabel):
        names = tuple(label.names)
        packed = {"image": tfds.decode.SkipDecoding()}
        packed_images = builder.as_data_source(there, decoders=packed)
        labels = _read(stream.Column(packed_images, "label"), positions)
    images = Part(stream.Column(whole, "image"), positions)
    full = f"{PREFIX}{builder.info.full_name}"  # with its version
    return Dataset(full, images, labels, names, source)


def _read(column: stream.Column, positions: np.ndarray) -> np.ndarray:
    labels = np.empty(len(positions), np.int32)
    with progress.bar("reading labels", len(positions), unit="label") as bar:
        for start in range(0, len(positions), _BLOCK):
            part = positions[start : start + _BLOCK]
            labels[start : start + len(part)] = column[part]
            bar.update(len(part))
    return labels
