"""Data sets that TFDS has prepared, written here without TensorFlow."""

import io
import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_generated_pb2

from gan_jax import data
from gan_jax.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (27, 8, 8, 3), np.uint8)
LABELS = np.arange(27) % 3
NAMES = ["cat", "dog", "bird"]


def prepare(folder, splits, *, name="mine", image=None, labelled=True):
    """Leaves a data set as `download_and_prepare` does; splits are slices."""
    root = folder / name / "1.0.0"
    root.mkdir(parents=True)
    features = {"image": image or tfds.features.Image(shape=(8, 8, 3))}
    if labelled:
        features["label"] = tfds.features.ClassLabel(names=NAMES)
    tfds.features.FeaturesDict(features).save_config(root)
    infos = []
    for split, part in splits.items():
        file = root / f"{name}-{split}.array_record-00000-of-00001"
        writer = array_record_module.ArrayRecordWriter(str(file), "group_size:1")
        for image, label in zip(IMAGES[part], LABELS[part], strict=True):
            writer.write(record(image, label if labelled else None))
        writer.close()
        infos.append(
            {
                "name": split,
                "shardLengths": [str(len(LABELS[part]))],
                "numBytes": "1",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    about = {"name": name, "version": "1.0.0", "fileFormat": "array_record"}
    (root / "dataset_info.json").write_text(json.dumps(about | {"splits": infos}))


def record(image, label):
    example, png = tf_example_generated_pb2.Example(), io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    feature = example.features.feature
    feature["image"].bytes_list.value.append(png.getvalue())
    if label is not None:
        feature["label"].int64_list.value.append(int(label))
    return example.SerializeToString()


def test_both_splits_are_read_without_tensorflow(tmp_path):
    prepare(tmp_path, {"train": slice(20), "test": slice(20, 27)})
    for split, part in (("train", slice(20)), ("test", slice(20, 27))):
        found = data.load("tfds:mine", split, data_dir=tmp_path)
        np.testing.assert_array_equal(found.images[:], IMAGES[part])
        np.testing.assert_array_equal(np.asarray(found.images), IMAGES[part])
        np.testing.assert_array_equal(found.images[[3, 1]], IMAGES[part][[3, 1]])
        np.testing.assert_array_equal(found.labels, LABELS[part])
        assert found.labels.dtype == np.int32
        assert found.shape == (8, 8, 3)
        assert found.class_names == tuple(NAMES)
        assert found.name == "tfds:mine/1.0.0"
        assert found.source == f"prepared in {tmp_path / 'mine' / '1.0.0'}"
    few = data.load("tfds:mine", data_dir=tmp_path, num_examples=5)
    assert (len(few.images), len(few.labels)) == (5, 5)
    assert "tensorflow" not in sys.modules


def test_without_a_test_split_one_image_in_ten_is_held_out(tmp_path, monkeypatch):
    prepare(tmp_path, {"train": slice(27)}, labelled=False)
    monkeypatch.setenv("GAN_JAX_DATA_DIR", str(tmp_path))
    test = data.load("tfds:mine", "test")
    held = data.hold_out(27, "test", "here")
    np.testing.assert_array_equal(test.images[:], IMAGES[held])
    assert test.labels is None
    assert "one in ten of 27 images held out" in test.source
    assert len(data.load("tfds:mine").images) == 25


def test_what_cannot_be_read_is_one_line_that_says_what_to_do(tmp_path):
    def fails(name, words):
        with pytest.raises(UserError, match=words) as caught:
            data.load(name, data_dir=tmp_path)
        assert "\n" not in str(caught.value)

    fails("tfds:nothing", r"tfds:nothing is not prepared .*download_and_prepare")
    fails("tfds:cifar10", r"is not prepared in array_record form in .*--data_dir")
    fails("tfds:", "unknown data set 'tfds:'")
    odd = {"name": "odd", "image": tfds.features.Image(shape=(None, None, 3))}
    prepare(tmp_path, {"train": slice(5)}, **odd)
    fails("tfds:odd", r"shape \[None, None, 3\], .*--dataset=folder")
    deep = {
        "name": "deep",
        "image": tfds.features.Image(shape=(8, 8, 3), dtype=np.uint16),
    }
    prepare(tmp_path, {"train": slice(5)}, **deep)
    fails("tfds:deep", r"images uint16 of the shape \[8, 8, 3\], .*uint8")
