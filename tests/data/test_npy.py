"""Data sets in .npy files: rows are read when asked for, mistakes are named."""

import gc
import threading

import numpy as np
import pytest

from gan_jax.data import SPLITS, hold_out, npy
from gan_jax.data.dataset import name_of
from gan_jax.errors import UserError
from gan_jax.run.sample_grids import hundred_real

IMAGES = np.random.default_rng(0).integers(0, 256, (120, 28, 28, 1), dtype=np.uint8)
HELD = np.isin(np.arange(120), hold_out(120, "test", "here"))
LABELS = np.arange(120) % 7
LABELS[~HELD] = np.random.default_rng(1).permutation(np.arange(108) % 10)


def save(folder, images=IMAGES, labels=LABELS):
    np.save(folder / "images.npy", images)
    if labels is not None:
        np.save(folder / "labels.npy", labels)
    return folder


def test_rows_are_indexed_like_the_array_that_was_saved(tmp_path):
    rows = npy.Rows(save(tmp_path) / "images.npy")
    assert (rows.shape, rows.dtype, len(rows)) == (IMAGES.shape, IMAGES.dtype, 120)
    some = np.array([[3, 119, -1], [0, 3, -120]])
    for index in (7, -2, slice(100), slice(5, 50, 7), slice(None, None, -1), some):
        np.testing.assert_array_equal(rows[index], IMAGES[index])
    np.testing.assert_array_equal(np.asarray(rows), IMAGES)
    for index in (120, -121, np.array([0, 120])):
        with pytest.raises(IndexError):
            rows[index]


def test_rows_of_numbers_of_several_bytes_are_found_as_well(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(20, 3))
    np.save(tmp_path / "a.npy", numbers)
    some = np.array([19, 0, 7])
    np.testing.assert_array_equal(npy.Rows(tmp_path / "a.npy")[some], numbers[some])


def test_several_threads_read_rows_at_once(tmp_path):
    rows, wrong = npy.Rows(save(tmp_path) / "images.npy"), []

    def read(seed):
        index = np.random.default_rng(seed).integers(0, 120, 2000)
        if not np.array_equal(rows[index], IMAGES[index]):
            wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_folder_is_a_data_set_that_pictures_can_be_drawn_of(tmp_path):
    dataset = npy.from_npy(save(tmp_path))
    assert dataset.labels.dtype == np.int32
    np.testing.assert_array_equal(dataset.labels, LABELS[~HELD])
    grid, columns = hundred_real(dataset)
    assert columns == dataset.num_classes == 10
    first = [np.flatnonzero(LABELS[~HELD] == label)[0] for label in range(10)]
    np.testing.assert_array_equal(grid[:10], IMAGES[~HELD][first])
    few = npy.from_npy(tmp_path, num_examples=30)
    assert (len(few.images), len(few.labels)) == (30, 30)


def test_a_folder_without_labels_has_none_and_pictures_all_the_same(tmp_path):
    dataset = npy.from_npy(save(tmp_path, labels=None))
    assert dataset.labels is None
    assert dataset.num_classes == 0
    np.testing.assert_array_equal(hundred_real(dataset)[0], IMAGES[~HELD][:100])


def test_one_image_in_ten_is_held_out_and_the_splits_have_one_name(tmp_path):
    save(tmp_path)
    train, test = (npy.from_npy(tmp_path, split) for split in SPLITS)
    np.testing.assert_array_equal(train.images, IMAGES[~HELD])
    np.testing.assert_array_equal(test.images, IMAGES[HELD])
    np.testing.assert_array_equal(test.labels, LABELS[HELD])
    assert train.name == test.name
    assert "one in ten of 120 images held out" in test.source
    np.savez(tmp_path / "few.npz", images=IMAGES[:9])
    assert len(npy.from_npy(tmp_path / "few.npz").images) == 9
    with pytest.raises(UserError, match="has 9 images, and one of 10 is held out"):
        npy.from_npy(tmp_path / "few.npz", "test")


def test_a_data_set_that_is_used_whole_has_another_name(tmp_path):
    """A run that was trained on all images does not go on with nine tenths of them."""
    save(tmp_path)
    whole = name_of("npy", IMAGES, LABELS.astype(np.int32), held_out=False)
    assert npy.from_npy(tmp_path).name != whole
    np.savez(
        tmp_path / "mine.npz",
        images=IMAGES,
        labels=LABELS,
        x_test=IMAGES[:3],
        y_test=LABELS[:3],
    )
    assert npy.from_npy(tmp_path / "mine.npz").name == whole


def test_at_most_ten_thousand_images_are_held_out():
    train, test = (hold_out(300_000, split, "here") for split in SPLITS)
    assert (len(train), len(test)) == (290_000, 10_000)
    np.testing.assert_array_equal(test // 10, np.arange(10_000))  # one of each ten
    assert np.intersect1d(train, test).size == 0
    for count in (10, 19, 5000):  # does not change when images are added
        fewer = hold_out(count, "test", "here")
        np.testing.assert_array_equal(fewer, test[: count // 10])


@pytest.mark.parametrize("period", [2, 5, 10])
def test_classes_that_take_turns_are_in_both_splits(period):
    labels = np.arange(1000) % period
    for split in SPLITS:
        found = np.bincount(labels[hold_out(1000, split, "here")], minlength=period)
        assert (found == found.mean()).all(), found


def test_the_name_of_a_data_set_tells_it_from_others(tmp_path):
    other, labels = IMAGES.copy(), LABELS.copy()
    other[70, 3, 3] ^= 1
    labels[5] = (labels[5] + 1) % 10
    sets = [(IMAGES, LABELS), (other, LABELS), (IMAGES, labels), (IMAGES, None)]
    sets += [(IMAGES[:119], LABELS[:119]), (IMAGES, LABELS)]
    names = []
    for i, (some, its) in enumerate(sets):
        (tmp_path / str(i)).mkdir()
        names.append(npy.from_npy(save(tmp_path / str(i), some, its)).name)
    assert names[0] == names[-1]
    assert len(set(names)) == len(names) - 1


def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error_and_no_signal(
    tmp_path,
):
    """A memory map would end the process with SIGBUS."""
    path = save(tmp_path) / "images.npy"
    rows = npy.Rows(path)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 784 - 1)
    np.testing.assert_array_equal(rows[117], IMAGES[117])
    for row in (118, 119):
        with pytest.raises(UserError, match=rf"images.npy ends before row {row}, and"):
            rows[row]


def test_a_disk_that_fails_is_named(tmp_path, monkeypatch):
    rows = npy.Rows(save(tmp_path) / "images.npy")

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(npy.os, "pread", fail)
    with pytest.raises(UserError, match=r"cannot read .*images.npy \(Input/output"):
        rows[3]


_NAME = "images.npy"


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


MISTAKES = {
    "no folder": (None, r"cannot read .*images.npy \(No such file"),
    "empty": (lambda f: (f / _NAME).write_bytes(b""), "is damaged, or no file"),
    "cut": (lambda f: cut(f / _NAME), "is damaged, or no file of numpy.save"),
    "text": (lambda f: (f / _NAME).write_text("1 2 3"), "is damaged"),
    "objects": (
        lambda f: np.save(f / _NAME, np.array([None]), allow_pickle=True),
        "is damaged",
    ),
    "several": (
        lambda f: np.savez(f / "a.npz", IMAGES) or (f / "a.npz").rename(f / _NAME),
        "is not one array in C order",
    ),
    "Fortran order": (
        lambda f: save(f, np.asfortranarray(IMAGES)),
        "is not one array in C order.*ascontiguousarray",
    ),
    "floats": (
        lambda f: save(f, (IMAGES / 255).astype(np.float32)),
        r"float32 .*write numpy.rint\(images \* 255\).clip\(0, 255\).astype\(numpy.u",
    ),
    "floats around 0": (
        lambda f: save(f, IMAGES / 127.5 - 1),
        r"float64 .*write numpy.rint\(\(images \+ 1\) \* 127.5\)",
    ),
    "floats up to 255": (
        lambda f: save(f, IMAGES.astype(np.float16)),
        r"float16 .*write numpy.rint\(images\)",
    ),
    "integers": (
        lambda f: save(f, IMAGES.astype(np.int64)),
        r"int64 .*write images.clip\(0, 255\).astype\(numpy.uint8\)",
    ),
    "16 bits": (
        lambda f: save(f, IMAGES.astype(np.uint16) * 257),
        r"uint16 .*write \(images // 257\).astype\(numpy.uint8\)",
    ),
    "other integers": (
        lambda f: save(f, IMAGES.astype(np.int32) * 2),
        "int32 .*scale them to 0 ... 255",
    ),
    "bits": (lambda f: save(f, IMAGES > 9), r"astype\(numpy.uint8\) \* 255"),
    "channels first": (
        lambda f: save(f, np.zeros((120, 3, 8, 8), np.uint8)),
        r"\[120, 3, 8, 8\].*write images.transpose\(0, 2, 3, 1\)",
    ),
    "transparent": (
        lambda f: save(f, np.zeros((120, 8, 8, 4), np.uint8)),
        r"leave out the last channel, images\[\.\.\., :3\]",
    ),
    "gray and transparent": (
        lambda f: save(f, np.zeros((120, 8, 8, 2), np.uint8)),
        r"leave out the last channel, images\[\.\.\., :1\]",
    ),
    "five channels": (
        lambda f: save(f, np.zeros((120, 8, 8, 5), np.uint8)),
        "one or three channels",
    ),
    "rows": (lambda f: save(f, np.zeros((120, 64), np.uint8)), "one such array"),
    "nothing": (lambda f: save(f, np.zeros((0, 8, 8, 1), np.uint8)), "one such array"),
    "fewer labels": (lambda f: save(f, labels=LABELS[:9]), "each of the 120 images"),
    "real labels": (
        lambda f: save(f, labels=LABELS / 2),
        "holds labels float64.*an integer",
    ),
    "labels from one": (
        lambda f: save(f, labels=LABELS + 1),
        "labels from 1 on, .*write labels - 1",
    ),
    "negative labels": (lambda f: save(f, labels=LABELS - 1), "from -1 to 8: classes"),
}


KERAS = {"x_train": IMAGES[..., 0], "y_train": LABELS[:, None]}
ARCHIVES = {
    "images": {"images": IMAGES, "labels": LABELS.astype(np.uint8)},
    "arr_0": {"arr_0": IMAGES, "arr_1": LABELS},
    "keras": KERAS | {"x_test": IMAGES[:7], "y_test": LABELS[:7]},
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_has_the_names_that_others_write(name, tmp_path):
    np.savez(tmp_path / "mine.npz", **ARCHIVES[name])
    for place in (tmp_path, tmp_path / "mine.npz"):
        dataset = npy.from_npy(place, num_examples=30)
        mine = np.arange(120) if name == "keras" else np.flatnonzero(~HELD)
        np.testing.assert_array_equal(dataset.images, IMAGES[mine[:30]])
        np.testing.assert_array_equal(dataset.labels, LABELS[mine[:30]])
        assert dataset.labels.dtype == np.int32
        assert dataset.num_classes == 10


def test_an_archive_may_have_its_own_test_split(tmp_path):
    np.savez(tmp_path / "mine.npz", **ARCHIVES["keras"])
    train, test = (npy.from_npy(tmp_path, split) for split in SPLITS)
    assert len(train.images) == 120
    np.testing.assert_array_equal(test.images, IMAGES[:7])
    np.testing.assert_array_equal(test.labels, LABELS[:7])
    assert train.name == test.name
    assert train.num_classes == 10
    assert "held out" not in train.source
    for others in (
        {"x_test": IMAGES[:7]},
        {"x_test": IMAGES[:7, :14], "y_test": [0] * 7},
    ):
        np.savez(tmp_path / "mine.npz", **KERAS, **others)
        assert len(npy.from_npy(tmp_path).images) == 120
        with pytest.raises(UserError, match=r"x_test of another shape .* without y_te"):
            npy.from_npy(tmp_path, "test")
    wrong = {"x_test": IMAGES[:7], "y_test": LABELS[:7] / 2}
    np.savez(tmp_path / "mine.npz", **KERAS, **wrong)
    for split in SPLITS:
        with pytest.raises(UserError, match="holds labels float64"):
            npy.from_npy(tmp_path, split)
    np.savez(tmp_path / "mine.npz", **KERAS, x_test=IMAGES / 255)
    with pytest.raises(UserError, match=r"numpy.rint\(images \* 255\)"):
        npy.from_npy(tmp_path, "test")


@pytest.mark.parametrize(("train", "test"), [(9, 12), (12, 9)])
def test_both_splits_have_the_classes_of_both(tmp_path, train, test):
    labels = {"y_train": np.arange(120) % (train + 1), "y_test": [[0], [test]]}
    np.savez(tmp_path / "mine.npz", x_train=IMAGES, x_test=IMAGES[:2], **labels)
    for split in SPLITS:
        assert npy.from_npy(tmp_path, split).num_classes == 13


@pytest.mark.parametrize("shape", [(8, 12), (8, 12, 1), (8, 12, 3)])
def test_images_are_of_any_size_with_one_channel_or_three(shape, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, *shape), np.uint8)
    np.save(tmp_path / "mine.npy", images)
    np.save(tmp_path / "labels.npy", np.array([0, 3] * 4 + [1]))
    dataset = npy.from_npy(tmp_path / "mine.npy")
    assert dataset.shape == (*shape, 1)[:3]
    assert dataset.num_classes == 4
    np.testing.assert_array_equal(dataset.images, images.reshape(9, *dataset.shape))
    np.testing.assert_array_equal(dataset.images[[3, 1]][..., 0].shape, (2, 8, 12))


def test_an_archive_without_images_or_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", pictures=IMAGES)
    with pytest.raises(UserError, match=r"holds pictures, and no images or arr_0 or"):
        npy.from_npy(tmp_path)
    np.savez(tmp_path / "mine.npz", images=np.array([None]), allow_pickle=True)
    with pytest.raises(UserError, match=r"cannot be read .*allow_pickle=False"):
        npy.from_npy(tmp_path)


def test_the_file_stays_open_as_long_as_a_part_of_it_is_used(tmp_path):
    rows = npy.Rows(save(tmp_path) / "images.npy").viewed((784,))
    gc.collect()
    np.testing.assert_array_equal(rows[:], IMAGES.reshape(120, 784))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(mistake, tmp_path):
    make, message = MISTAKES[mistake]
    if make:
        make(save(tmp_path))
    with pytest.raises(UserError, match=message) as raised:
        npy.from_npy(tmp_path)
    assert "\n" not in str(raised.value)


def test_more_examples_than_there_are_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--num_examples=109 is more than .* has: 108"):
        npy.from_npy(save(tmp_path), num_examples=109)
