"""A conditional GAN is measured with classes in the shares of the training images."""

from types import SimpleNamespace

import numpy as np
import pytest

from gan_jax.data import Dataset
from gan_jax.evaluation import comparison, frechet, monitor, references
from gan_jax.run import sampling

LABELS = np.repeat([0, 1, 2], [90, 10, 0]).astype(np.int32)
IMAGES = np.zeros((100, 4, 4, 1), np.uint8)
SPLIT = Dataset("mine", IMAGES, LABELS, ("a", "b", "c"), "here")
REFERENCE = references.Reference(None, SPLIT, SPLIT, np.zeros((100, 2)))


class DrawnError(Exception):
    """What was drawn with."""


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    def draw(gan, state, count, *, seed, shares):
        raise DrawnError(shares)

    monkeypatch.setattr(sampling, "draw", draw)


def test_shares_are_counts_of_the_training_images():
    assert REFERENCE.shares(3) == [90, 10, 0]
    for others in (None, 2, 10):  # no classes, or those of another data set
        assert REFERENCE.shares(others) is None


@pytest.mark.parametrize(("classes", "shares"), [(3, [90, 10, 0]), (None, None)])
def test_a_monitor_draws_in_them(classes, shares):
    stands_in = SimpleNamespace(
        measured_in=SimpleNamespace(counts_modes=False),
        training_moments=frechet.moments(np.eye(3, 2)),
        features=np.eye(3, 2),
        draw=REFERENCE.draw,
    )
    with pytest.raises(DrawnError) as caught:
        monitor.Monitor(stands_in)(SimpleNamespace(num_classes=classes), None)
    assert caught.value.args == (shares,)


def test_a_run_is_compared_in_them(monkeypatch, tmp_path):
    gan, state = SimpleNamespace(num_classes=3), SimpleNamespace(step=1)
    config = SimpleNamespace(steps=1, shape=(4, 4, 1))
    monkeypatch.setattr(comparison.configuration, "read_config", lambda folder: config)
    monkeypatch.setattr(sampling, "restore", lambda folder: (gan, state))
    subject = comparison.run_subject(tmp_path, 100, 0)
    with pytest.raises(DrawnError) as caught:
        subject.draw(REFERENCE)
    assert caught.value.args == ([90, 10, 0],)
