"""Nearest neighbours against a double loop, where rounding is at its worst."""

import math

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation import nearest


def by_loops(queries, references, count):
    pairs = [
        sorted((math.dist(q, r), j) for j, r in enumerate(references))[:count]
        for q in queries
    ]
    return np.array([[j for _, j in p] for p in pairs]), np.array(
        [[d for d, _ in p] for p in pairs]
    )


@pytest.mark.parametrize(
    ("n", "m", "d"), [(1, 1, 1), (7, 30, 3), (40, 20, 50), (5, 700, 3)]
)
def test_neighbours_are_those_of_a_double_loop(n, m, d):
    rng = np.random.default_rng(0)
    queries, references = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    count = min(m, 5)
    indices, distances = nearest(queries, references, count=count)
    expected = by_loops(queries, references, count)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-13)


def test_neighbours_among_many_that_are_equal_are_those_of_a_double_loop():
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(5, 3))
    references = rng.permutation(np.repeat(rng.normal(size=(175, 3)), 4, axis=0))
    indices, distances = nearest(queries, references, count=5)
    expected = by_loops(queries, references, 5)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-13)


def test_neighbours_in_the_plane_are_those_by_hand():
    # From (0, 0): (1, 0) at 1, (3, 4) at 5, (0, 6) at 6, (5, 12) at 13.
    references = [[3, 4], [5, 12], [1, 0], [0, 6]]
    indices, distances = nearest([[0, 0]], references, count=3)
    assert indices.tolist() == [[2, 0, 3]]
    assert distances.tolist() == [[1, 5, 6]]


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_a_query_among_the_references_is_its_own_neighbour_at_exactly_zero(offset):
    x = offset + np.random.default_rng(0).normal(size=(50, 8))
    indices, distances = nearest(x, x, count=2)
    np.testing.assert_array_equal(indices[:, 0], np.arange(50))
    assert (distances[:, 0] == 0).all()
    assert (distances[:, 1] > 0.1).all()


@pytest.mark.parametrize("count", [1, 3, 5])
def test_neighbours_nearer_than_the_rounding_of_the_product_are_told_apart(count):
    # The squared norms are 1e13, their rounding 1e-3, and the squared distances 1e-5.
    rng = np.random.default_rng(0)
    queries, references = (1e6 + 1e-3 * rng.normal(size=(n, 8)) for n in (20, 30))
    indices, distances = nearest(queries, references, count=count)
    expected = by_loops(queries, references, count)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12)


def test_of_equally_near_references_the_first_comes_first():
    references = [[2.0], [1.0], [-1.0], [1.0], [-2.0]]
    indices, distances = nearest([[0.0]], references, count=4)
    assert indices.tolist() == [[1, 2, 3, 0]]
    assert distances.tolist() == [[1, 1, 1, 2]]
    indices, _ = nearest([[0.0]], np.arange(100.0)[:, None] % 3, count=60)
    assert indices[0].tolist() == [*range(0, 100, 3), *range(1, 77, 3)]


@pytest.mark.parametrize("block_size", [1, 6, 40, 1000])
def test_block_size_does_not_matter_at_all(block_size):
    rng = np.random.default_rng(0)
    queries, references = rng.integers(0, 3, (40, 4)), rng.integers(0, 3, (30, 4))
    blocked = nearest(queries, references, block_size=block_size)
    for one, other in zip(blocked, nearest(queries, references), strict=True):
        np.testing.assert_array_equal(one, other)


def test_order_of_the_references_only_renames_them():
    rng = np.random.default_rng(0)
    queries, references = rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    order = rng.permutation(30)
    indices, distances = nearest(queries, references)
    shuffled, same = nearest(queries, references[order])
    np.testing.assert_array_equal(order[shuffled], indices)
    np.testing.assert_array_equal(same, distances)


def test_bytes_do_not_wrap_around():
    indices, distances = nearest(np.uint8([[10]]), np.uint8([[250], [5]]), count=2)
    assert indices.tolist() == [[1, 0]]
    assert distances.tolist() == [[5, 240]]


@pytest.mark.parametrize(
    ("queries", "references", "options", "message"),
    [
        (np.eye(3), np.eye(3), {}, "count is 5, and there are 3 references: give 1 to"),
        (np.eye(3), np.eye(3), {"count": 0}, "count is 0"),
        (np.eye(3)[:0], np.eye(3), {}, "at least 1 sample of .*queries has 0"),
        (np.eye(6), np.eye(7), {}, "not 6 of queries, 7 of references"),
        (np.eye(6), np.eye(6) * np.nan, {}, "references holds NaN or infinity"),
        (np.eye(6), np.eye(6), {"block_size": 0}, "block_size is 0: give 1 or more"),
    ],
)
def test_mistakes_are_refused(queries, references, options, message):
    with pytest.raises(UserError, match=message):
        nearest(queries, references, **options)
