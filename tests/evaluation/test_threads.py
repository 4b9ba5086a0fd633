"""Blocks on every core, while each matrix product has one."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from gan_jax.evaluation.threads import each
from gan_jax.system import cores


def threads_of_products():
    return [of["num_threads"] for of in threadpool_info() if of["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    np.ones((2, 2)) @ np.ones((2, 2))  # loads the library
    monkeypatch.setattr(cores, "available", lambda: 3)


def test_results_come_in_the_order_of_the_items():
    assert [*each(lambda i: i**2, range(50))] == [i**2 for i in range(50)]
    assert [*each(lambda i: i**2, [4])] == [16]
    assert [*each(lambda i: i**2, [])] == []


def test_items_are_worked_on_at_once():
    together = threading.Barrier(3, timeout=60)
    assert sorted(each(lambda i: together.wait(), range(3))) == [0, 1, 2]


def test_a_product_has_one_core_inside_and_as_many_as_before_outside():
    before = threads_of_products()
    inside = [*each(lambda i: threads_of_products(), range(4))]
    assert inside == [[1] * len(before)] * 4
    assert threads_of_products() == before


def test_two_at_once_leave_what_was_there_before():
    before = threads_of_products()
    first, second = (each(lambda i: i, range(4)) for _ in range(2))
    next(first), next(second)
    assert [*first] == [1, 2, 3]
    assert threads_of_products() == [1] * len(before)  # the second has not ended
    assert [*second] == [1, 2, 3]
    assert threads_of_products() == before


def test_an_error_is_raised_and_the_setting_put_back():
    before = threads_of_products()
    with pytest.raises(ZeroDivisionError):
        [*each(lambda i: 1 / i, [1, 0, 2])]
    assert threads_of_products() == before
