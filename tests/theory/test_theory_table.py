"""A row is right within its tolerance, and NaN never is."""

import json

import pytest

from gan_jax.theory import theory_table

NAN = float("nan")


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        (theory_table.equal("x", 1, 1.1, 0.2), True),
        (theory_table.equal("x", 1, 1.3, 0.2), False),
        (theory_table.equal("x", 0, 0, 0), True),
        (theory_table.equal("x", 1, NAN, 10), False),
        (theory_table.equal("x", NAN, 1, 10), False),
        (theory_table.close("x", -2, -2.05, 0.05), True),
        (theory_table.close("x", -2, -2.2, 0.05), False),
        (theory_table.at_least("x", 2, 2), True),
        (theory_table.at_least("x", 2, 1.9), False),
        (theory_table.at_least("x", 2, NAN), False),
        (theory_table.at_most("x", 2, 1.9), True),
        (theory_table.at_most("x", 2, 2.1), False),
        (theory_table.at_most("x", 2, NAN), False),
    ],
)
def test_a_claim_holds_within_its_tolerance_alone(row, ok):
    assert row.ok is ok
    assert theory_table.cells(row)[-1] == ("yes" if ok else "NO")


def test_a_row_shows_the_bound_and_the_json_has_no_nan():
    assert theory_table.cells(theory_table.at_most("x", 2, 1.5))[:4] == [
        "x",
        "<= 2",
        "1.5",
        "",
    ]
    text = json.dumps(
        theory_table.as_json([theory_table.equal("x", 1, NAN, 1)]), allow_nan=False
    )
    assert json.loads(text)[0] == {
        "quantity": "x",
        "theory": 1.0,
        "measured": "nan",
        "tolerance": 1.0,
        "relation": "=",
        "ok": False,
    }
