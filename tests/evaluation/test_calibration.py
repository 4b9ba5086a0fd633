from gan_jax.evaluation import calibration


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
