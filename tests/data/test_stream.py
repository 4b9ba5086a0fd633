"""Blocks of examples, read ahead: which, for whom, and what may go wrong."""

import sys
import threading
import time

import numpy as np
import pytest

from gan_jax.data import stream
from gan_jax.errors import UserError
from tests.system.waiting import wait_until

SIZE, CRITIC_STEPS, DEVICES, BATCH = 50, 2, 2, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (SIZE, 4, 4, 1), dtype=np.uint8)
LABELS = np.arange(SIZE) % 10


def order(epoch):
    return np.random.default_rng(epoch).permutation(SIZE)


def blocks(images=IMAGES, labels=LABELS, mine=(0, 1), steps=(2, 11), capacity=3):
    return stream.Blocks(
        images,
        labels,
        order,
        batch=(CRITIC_STEPS, DEVICES, BATCH),
        mine=mine,
        steps=steps,
        capacity=capacity,
    )


def by_hand(step, device):
    """Which examples: of fifty, four steps of twelve an epoch; two are left over."""
    start = step % 4 * 12
    of_step = order(step // 4)[start : start + 12]
    first, second = of_step[:6], of_step[6:]  # a batch for each critic step
    part = slice(device * BATCH, (device + 1) * BATCH)
    return np.concatenate([first[part], second[part]])


class Watched:
    """Images that know which of them were asked for."""

    def __init__(self, error_at=None):
        self.shape, self.asked, self.error_at = IMAGES.shape, [], error_at

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        if self.error_at in np.asarray(index):
            raise OSError(5, "Input/output error")
        self.asked.extend(np.ravel(index))
        return IMAGES[index]


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


def test_blocks_hold_the_examples_of_their_steps_across_epochs_from_any_step():
    with blocks() as read:
        step = 2
        for count in (2, 3, 1, 3):  # the whole range
            images, labels = read.take(count)
            assert images.shape == (2, 3 * 6, 4, 4, 1)
            assert images.dtype == np.uint8
            assert labels.dtype == np.int32
            for i in range(count):
                for device in (0, 1):
                    expected = by_hand(step + i, device)
                    part = (device, slice(6 * i, 6 * i + 6))
                    np.testing.assert_array_equal(images[part], IMAGES[expected])
                    np.testing.assert_array_equal(labels[part], LABELS[expected])
            step += count
        with pytest.raises(StopIteration):
            read.take(1)


def test_a_process_reads_the_examples_of_its_own_devices_and_no_others():
    watched = Watched()
    with blocks(watched, mine=(1,)) as read:
        images, _ = read.take(1)
        np.testing.assert_array_equal(images[0, :6], IMAGES[by_hand(2, 1)])
        for count in (2, 3, 3):
            read.take(count)
    expected = np.concatenate([by_hand(step, 1) for step in range(2, 11)])
    assert sorted(watched.asked) == sorted(expected)


def test_reading_goes_ahead_of_what_is_taken_and_not_further_than_two_blocks():
    watched = Watched()
    with blocks(watched, steps=(0, 1000)):
        wait_until(lambda: len(watched.asked) >= 6 * 12)
        time.sleep(0.1)
        assert len(watched.asked) == 6 * 12


def test_no_reader_is_left_behind():
    with blocks(steps=(0, 1000)) as read:
        read.take(1)
        assert readers()
    wait_until(lambda: readers() == [])


@pytest.mark.parametrize("device", [0, 1])
def test_a_read_that_fails_in_a_thread_is_one_clear_error_where_its_turn_comes(device):
    bad = by_hand(3, device)[2]
    with blocks(Watched(error_at=bad)) as read:
        if bad not in np.concatenate([by_hand(2, d) for d in (0, 1)]):
            read.take(1)
        with pytest.raises(
            UserError, match=r"step \d cannot be read \(Input/output error\): mend"
        ):
            read.take(1)


def test_examples_of_another_type_are_refused_and_not_cut_to_bytes():
    with (
        blocks(IMAGES.astype(np.float32)) as read,
        pytest.raises(TypeError, match=r"float32.*uint8.*same_kind"),
    ):
        read.take(1)


def test_labels_that_are_no_integers_are_refused_and_not_rounded():
    with (
        blocks(labels=LABELS / 2) as read,
        pytest.raises(TypeError, match=r"float64.*int32.*same_kind"),
    ):
        read.take(1)


def test_no_labels_are_no_labels():
    with blocks(labels=None) as read:
        images, labels = read.take(1)
    assert labels is None
    np.testing.assert_array_equal(images[0, :6], IMAGES[by_hand(2, 0)])


def test_a_data_source_of_tfds_gives_the_blocks_of_the_same_arrays(tmp_path):
    import tensorflow_datasets as tfds

    class Drawn(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Tensor(shape=IMAGES.shape[1:], dtype=np.uint8)
            features = {"image": image, "label": tfds.features.Scalar(np.int64)}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(SIZE):
                yield i, {"image": IMAGES[i], "label": LABELS[i]}

    builder = Drawn(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    source = builder.as_data_source("train")
    # TFDS shuffles what it writes.
    images = np.stack([source[i]["image"] for i in range(SIZE)])
    labels = np.array([source[i]["label"] for i in range(SIZE)])
    assert not np.array_equal(images, IMAGES)
    columns = [stream.Column(source, name) for name in ("image", "label")]
    assert len(columns[0]) == SIZE
    np.testing.assert_array_equal(columns[0][:3], images[:3])
    with blocks(*columns) as read, blocks(images, labels) as expected:
        for count in (3, 2):
            pairs = zip(read.take(count), expected.take(count), strict=True)
            for found, wanted in pairs:
                filled = np.s_[:, : 6 * count]
                np.testing.assert_array_equal(found[filled], wanted[filled])
    assert "tensorflow" not in sys.modules
