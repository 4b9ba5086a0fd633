import numpy as np
import pytest

from gan_jax import data
from gan_jax.errors import UserError
from gan_jax.evaluation import calibration, corruptions, references, report


def line(level, **values):
    distances = ("fcd", "kid", "sliced_wasserstein")
    return {"level": level} | dict.fromkeys(distances, level) | values


def test_a_distance_that_does_not_grow_is_named():
    results = {"blur": [line(0.0), line(2.0), line(4.0, fcd=1.5)]}
    (said,) = calibration.failures(results)
    assert said == "fcd does not grow from blur 2 to 4: 2 to 1.5"
    assert len(calibration.failures({"blur": [line(1.0), line(1.0)]})) == 3


def test_a_distance_that_is_no_number_does_not_grow():
    results = {"blur": [line(0.0), line(2.0, kid=float("nan")), line(4.0)]}
    assert calibration.failures(results) == [
        "kid does not grow from blur 0 to 2: 0 to nan",
        "kid does not grow from blur 2 to 4: nan to 4",
    ]


def test_growth_of_all_distances_is_no_failure():
    results = {"blur": [line(0.0), line(2.0)], "crop": [line(0.0), line(1.0)]}
    assert calibration.failures(results) == []


def test_images_too_small_for_every_damage_are_refused_before_any_is_measured(
    monkeypatch,
):
    def never(*_, **__):
        raise AssertionError("something is measured")

    monkeypatch.setattr(report, "measure", never)
    images = np.zeros((20, 13, 28, 1), np.uint8)
    split = data.Dataset("npy-0", images, None, (), "here")
    with pytest.raises(UserError, match=r"are 13 x 28, .* sides of 14 pixels or more"):
        calibration.calibrate(references.Reference(None, split, split, None), 20)
    calibration.check_shape((14, 28, 1))
    for damage, levels in corruptions.CORRUPTIONS.values():  # 14 are enough
        damage(np.zeros((2, 14, 28, 1), np.uint8), levels[-1])
