"""Copies of training images are told from samples of their distribution."""

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation import memorisation, neighbours

rng = np.random.default_rng(0)


def images(count):
    return rng.integers(0, 256, (count, 4, 4, 1), np.uint8)


SEEN, HELD_OUT, NEW = images(1500), images(500), images(2000)
ERROR = np.sqrt(3 / 2000)  # q / (1 - q) is 3


def test_samples_of_the_distribution_are_no_copies():
    assert abs(memorisation.copying(NEW, SEEN, HELD_OUT)) < 3 * ERROR


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_copies_is_found(share):
    copies = int(share * len(SEEN))
    noisy = SEEN[:copies] ^ 1  # each pixel one grey level away
    samples = np.concatenate([noisy, NEW[: 1500 - copies]])
    found = memorisation.copying(samples, SEEN, HELD_OUT)
    assert abs(found - share) < 3 * ERROR * np.sqrt(1 - share) + 1e-9


def test_copies_of_held_out_images_are_below_zero():
    assert memorisation.copying(HELD_OUT, SEEN, HELD_OUT) == pytest.approx(-3)


def test_many_images_are_looked_at_in_parts(monkeypatch):
    whole = memorisation.copying(NEW[:100], SEEN, HELD_OUT)
    monkeypatch.setattr(neighbours, "_PIXELS", 333 * 16)
    assert memorisation.copying(NEW[:100], SEEN, HELD_OUT) == whole


def test_no_samples_are_refused():
    with pytest.raises(UserError, match="at least 1 sample"):
        memorisation.copying(NEW[:0], SEEN, HELD_OUT)
