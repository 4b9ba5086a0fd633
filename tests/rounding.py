"""How far two computations of the same numbers may differ: bounds, not experience.

`assert_sums` is for sums of products in any order, fused or not. By Higham (2002,
Accuracy and Stability of Numerical Algorithms, equations 3.4 and 3.5), a computed sum
of ``n`` products differs from the exact one by at most ``gamma_n`` times the sum of the
products' absolute values, ``gamma_n = n u / (1 - n u)``, ``u`` half of the machine
epsilon. One product that is wrong differs by far more, as long as ``n`` is small.

`assert_same_algebra` is for whole networks and their derivatives: they are computed in
float64, and have to agree in the first half of the digits. What is wrong shows in the
first digits and rounding in the last, so that millions of roundings fit between.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

HALF = 2.0**-26  # half of the 52 bits of float64


def gamma(terms, dtype):
    """The relative error of a sum of so many products of one sign, at most."""
    unit = float(jnp.finfo(dtype).eps) / 2
    return terms * unit / (1 - terms * unit)


def assert_sums(found, expected, absolute, terms):
    """Holds sums of products to their bound.

    Args:
      found: as computed, of a float type.
      expected: the same by NumPy in float64.
      absolute: sums of the absolute values of the products.
      terms: products in a sum, at most.
    """
    found = np.asarray(found)
    assert found.shape == expected.shape == absolute.shape
    # The expected ones are rounded, too.
    bound = (gamma(terms, found.dtype) + gamma(terms, np.float64)) * absolute
    error = np.abs(np.float64(found) - expected)
    worst = (error / np.maximum(bound, np.finfo(np.float64).tiny)).max(initial=0)
    assert (error <= bound).all(), f"{worst:.3g} times the bound of rounding"


def assert_same_algebra(found, expected):
    """Holds pytrees of float64 arrays to the first half of their digits.

    Each array's largest number is what its errors are compared with.
    """
    chex.assert_trees_all_equal_shapes(found, expected)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        assert np.asarray(one).dtype == np.asarray(other).dtype == np.float64
        scale = np.abs(other).max(initial=0)
        np.testing.assert_allclose(one, other, rtol=0, atol=HALF * scale)
