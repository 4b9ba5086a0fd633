"""What a halving would have kept, read from numbers of GANs that were all trained."""

import pytest

from experiments.measure import halving
from gan_jax.study.halving import Halving

STEPS = (3, 9, 27)


def search(*curves):
    """Settings with a distance after 3, 9 and 27 steps."""
    return [{"fcd_train": dict(zip(STEPS, curve, strict=True))} for curve in curves]


def test_the_best_is_found_where_it_is_among_the_best_at_each_rung():
    others = [(5.0 + i, 5.0, 5.0) for i in range(7)]
    found = halving.replay([search((2, 2, 1), (1, 3, 2), *others)], Halving(3, 3), 27)
    assert found["hits"] == 1
    assert found["regrets"] == [0]
    # Nine for 3 steps, three for 6 more, one for 18 more.
    assert found["share"] == pytest.approx((9 * 3 + 3 * 6 + 18) / (9 * 27))


def test_one_that_is_late_is_missed_by_what_it_is_better():
    others = [(5.0, 5.0, 5.0)] * 6
    late = search((9, 9, 1), (1, 3, 2), (2, 2, 3), *others)
    found = halving.replay([late, late], Halving(3, 3), 27)
    assert found["hits"] == 0
    assert found["regrets"] == [2.0, 2.0]  # it ends with 3 where 1 was the least


def test_one_without_a_distance_never_goes_on():
    found = halving.replay(
        [search((None, None, None), (2, 2, 2), (3, 3, 3))], Halving(3, 2), 27
    )
    assert found["hits"] == 1
