"""A claim is right within its tolerance, and NaN never is."""

import json

import pytest

from gan_jax import claims

NAN = float("nan")


@pytest.mark.parametrize(
    ("claim", "ok"),
    [
        (claims.equal("x", 1, 1.1, 0.2), True),
        (claims.equal("x", 1, 1.3, 0.2), False),
        (claims.equal("x", 0, 0, 0), True),
        (claims.equal("x", 1, NAN, 10), False),
        (claims.equal("x", NAN, 1, 10), False),
        (claims.close("x", -2, -2.05, 0.05), True),
        (claims.close("x", -2, -2.2, 0.05), False),
        (claims.at_least("x", 2, 2), True),
        (claims.at_least("x", 2, 1.9), False),
        (claims.at_least("x", 2, NAN), False),
        (claims.at_most("x", 2, 1.9), True),
        (claims.at_most("x", 2, 2.1), False),
        (claims.at_most("x", 2, NAN), False),
    ],
)
def test_a_claim_holds_within_its_tolerance_alone(claim, ok):
    assert claim.ok is ok
    assert claims.row(claim)[-1] == ("yes" if ok else "NO")


def test_a_row_shows_the_bound_and_the_json_has_no_nan():
    assert claims.row(claims.at_most("x", 2, 1.5))[:4] == ["x", "<= 2", "1.5", ""]
    text = json.dumps(claims.as_json([claims.equal("x", 1, NAN, 1)]), allow_nan=False)
    assert json.loads(text)[0] == {
        "quantity": "x",
        "theory": 1.0,
        "measured": "nan",
        "tolerance": 1.0,
        "relation": "=",
        "ok": False,
    }
