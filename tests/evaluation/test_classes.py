"""Class balance and class accuracy, by hand."""

import math

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation import class_accuracy, class_histogram, kl_from_uniform


def test_histogram_is_the_share_of_each_class():
    histogram = class_histogram([0, 2, 2, 1], num_classes=4)
    assert histogram.tolist() == [0.25, 0.25, 0.5, 0]
    assert histogram.dtype == np.float64


def test_there_are_ten_classes_unless_told_otherwise():
    assert class_histogram(np.int32([9, 9])).tolist() == [0] * 9 + [1]


@pytest.mark.parametrize("num_classes", [1, 3, 10])
def test_divergence_of_the_uniform_is_zero_and_of_one_class_the_logarithm(num_classes):
    assert kl_from_uniform(class_histogram(range(num_classes), num_classes)) == 0
    one = class_histogram([num_classes - 1] * 7, num_classes)
    np.testing.assert_allclose(kl_from_uniform(one), math.log(num_classes), rtol=1e-15)


def test_divergence_of_a_mixed_histogram_is_the_one_by_hand():
    # Two of four classes, 1/16 and 15/16: 1/16 log 1/4 + 15/16 log 15/4.
    value = kl_from_uniform([1 / 16, 0, 15 / 16, 0])
    expected = (15 * math.log(15 / 4) - math.log(4)) / 16
    np.testing.assert_allclose(value, expected, rtol=1e-14)


def test_divergence_does_not_depend_on_the_names_of_the_classes():
    p = np.random.default_rng(0).dirichlet(np.ones(10))
    np.testing.assert_allclose(kl_from_uniform(p[::-1]), kl_from_uniform(p), rtol=1e-14)


def test_rounded_shares_never_give_a_negative_divergence():
    for count in range(1, 50):
        assert kl_from_uniform(np.full(count, 1 / count, np.float32)) >= 0


def test_accuracy_is_the_share_that_agrees():
    assert class_accuracy([1, 2, 3, 3], [1, 2, 3, 4]) == 0.75
    assert class_accuracy([1, 2], [2, 1]) == 0
    assert class_accuracy(np.uint8([7, 9]), np.int32([7, 9])) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], r"labels has the shape \(0,\): give one integer"),
        ([[1], [2]], r"labels has the shape \(2, 1\): give one integer"),
        ([0.0, 1.0], "labels has the type float64: give integers"),
        ([0, 10], "run from 0 to 10, and there are 10 classes: give labels of 0 to 9"),
        ([-1, 3], "run from -1 to 3"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(UserError, match=message):
        class_histogram(labels)


@pytest.mark.parametrize(
    "histogram",
    [[1, 2, 3], [0.5, 0.4], [1.5, -0.5], [np.nan, 1.0], [], [[0.5, 0.5]]],
)
def test_shares_that_are_none_are_refused(histogram):
    with pytest.raises(UserError, match="sum to 1: make it with class_histogram"):
        kl_from_uniform(histogram)


@pytest.mark.parametrize(
    ("predicted", "wanted", "message"),
    [
        ([1, 2], [1], "2 predicted and 1 wanted labels"),
        ([1, 2], [[1, 2]], "wanted has the shape"),
        ([0.1, 0.9], [0, 1], "predicted has the type float64"),
        ([], [], "predicted has the shape"),
    ],
)
def test_labels_that_do_not_pair_up_are_refused(predicted, wanted, message):
    with pytest.raises(UserError, match=message):
        class_accuracy(predicted, wanted)
