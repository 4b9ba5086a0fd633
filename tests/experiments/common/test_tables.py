"""Cells and tables of text."""

import numpy as np
import pytest

from experiments.common import tables


def test_a_mean_has_its_deviation_over_seeds_and_one_seed_has_none():
    values = np.array([1.0, 2.0, 6.0])
    assert tables.mean(values, 2) == "3.00 ± 2.65"  # the square root of 14 / 2
    assert tables.mean(values[:1], 1) == "1.0"


@pytest.mark.filterwarnings("error")
def test_a_mean_with_an_infinite_value_is_infinite_and_has_no_deviation():
    assert tables.mean(np.array([1.0, np.inf, 6.0]), 2) == "inf"
    assert tables.mean(np.array([np.inf]), 2) == "inf"


def test_points_have_modes_good_samples_and_distance():
    one = {
        "wasserstein": np.array([0.1234]),
        "modes": np.array([7]),
        "high_quality": np.array([0.456]),
    }
    assert tables.of_points(one) == ["7.0", "0.46", "0.123"]


def test_columns_are_aligned():
    text = tables.as_text(("a", "long"), [["bcd", "1"], ["e", ""]])
    assert text.splitlines() == ["a    long", "---  ----", "bcd  1", "e"]
