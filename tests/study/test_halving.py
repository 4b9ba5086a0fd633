"""Successive halving: which rungs there are, and who goes on."""

import pytest

from gan_jax.errors import UserError
from gan_jax.study.halving import Halving, replay


@pytest.mark.parametrize(
    ("factor", "rungs", "total", "expected"),
    [
        (3, 4, 2700, [100, 300, 900, 2700]),
        (2, 3, 1000, [250, 500, 1000]),
        (3, 3, 100, [11, 33, 100]),
        (3, 1, 100, [100]),
    ],
)
def test_every_rung_has_a_factor_more_steps(factor, rungs, total, expected):
    assert Halving(factor, rungs).steps(total) == expected


def test_fewer_steps_than_rungs_can_share_are_refused():
    assert Halving(3, 4).steps(27) == [1, 3, 9, 27]
    with pytest.raises(UserError, match=r"needs at least 27 steps.*fewer --rungs"):
        Halving(3, 4).steps(26)


def test_each_rung_costs_about_as_much():
    """27 settings: 27, 9, 3, 1 of them are trained to 1/27, 1/9, 1/3, 1."""
    halving, alive, steps = Halving(3, 4), list(range(27)), [0]
    costs = []
    for end in halving.steps(2700):
        costs.append(len(alive) * (end - steps[-1]))
        steps.append(end)
        alive = halving.go_on({key: [float(key)] for key in alive}, len(alive))
    assert costs == [2700, 1800, 1800, 1800]
    assert sum(costs) == 3 * 2700  # of 27


def test_the_best_go_on():
    values = {"a": [3.0], "b": [1.0], "c": [2.0], "d": [5.0], "e": [4.0], "f": [6.0]}
    assert Halving(3).go_on(values, 6) == ["b", "c"]
    assert Halving(2).go_on(values, 6) == ["b", "c", "a"]


def test_more_go_on_where_fewer_are_asked_to_stop():
    """27 settings, 13 and 6 of them: in 37 % of the steps."""
    halving = Halving(3, 3, keep=2)
    values = {i: [float(i)] for i in range(27)}
    first = halving.go_on(values, 27)
    assert first == list(range(13))
    assert halving.go_on({i: values[i] for i in first}, 13) == list(range(6))
    assert halving.steps(540) == [60, 180, 540]
    assert halving.bracket == 4
    curves = [dict.fromkeys((60, 180, 540), 1.0 + i) for i in range(27)]
    found = replay([curves], halving, 540)
    share = (27 * 60 + 13 * 120 + 6 * 360) / (27 * 540)
    assert found["share"] == pytest.approx(share)
    assert found["keep"] == 2


def test_a_configuration_is_as_good_as_its_seeds_are_on_average():
    values = {"lucky": [1.0, 9.0], "steady": [4.0, 4.0], "lost": [0.0, None]}
    assert Halving(3).go_on(values, 3) == ["steady"]


def test_one_goes_on_whatever_the_factor():
    assert Halving(4).go_on({"a": [2.0], "b": [1.0]}, 2) == ["b"]
    assert Halving(4).go_on({"a": [None]}, 1) == ["a"]


def test_who_is_not_among_the_best_of_some_is_not_among_the_best_of_all():
    values = {i: [float((i * 7) % 10)] for i in range(10)}
    best = Halving(3).go_on(values, 10)
    for count in range(3, 11):
        some = {i: values[i] for i in range(count)}
        out = set(some) - set(Halving(3).go_on(some, 10))
        assert not out & set(best)


STEPS = (3, 9, 27)


def search(*curves):
    """Settings with a distance after 3, 9 and 27 steps."""
    return [dict(zip(STEPS, curve, strict=True)) for curve in curves]


def test_the_best_is_found_where_it_is_among_the_best_at_each_rung():
    others = [(5.0 + i, 5.0, 5.0) for i in range(7)]
    found = replay([search((2, 2, 1), (1, 3, 2), *others)], Halving(3, 3), 27)
    assert found["hits"] == 1
    assert found["regrets"] == [0]
    # Nine for 3 steps, three for 6 more, one for 18 more.
    assert found["share"] == pytest.approx((9 * 3 + 3 * 6 + 18) / (9 * 27))


def test_one_that_is_late_is_missed_by_what_it_is_better():
    others = [(5.0, 5.0, 5.0)] * 6
    late = search((9, 9, 1), (1, 3, 2), (2, 2, 3), *others)
    found = replay([late, late], Halving(3, 3), 27)
    assert found["hits"] == 0
    assert found["regrets"] == [2.0, 2.0]  # it ends with 3 where 1 was the least


def test_where_none_that_was_kept_has_a_distance_there_is_no_regret():
    found = replay([search((1, 1, None), (2, 2, 2))], Halving(3, 3), 27)
    assert found["regrets"] == [None]
    assert found["hits"] == 0


def test_where_none_at_all_has_a_distance_there_is_no_regret():
    lost = search((1, 1, None), (2, None, None))
    found = replay([lost, search((1, 1, 1))], Halving(3, 3), 27)
    assert found["regrets"] == [None, 0]
    assert found["hits"] == 1


def test_one_without_a_distance_never_goes_on():
    found = replay(
        [search((None, None, None), (2, 2, 2), (3, 3, 3))], Halving(3, 2), 27
    )
    assert found["hits"] == 1
