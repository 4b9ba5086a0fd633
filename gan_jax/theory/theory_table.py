"""What the theory says beside what was measured of it."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

HEADER = ("quantity", "theory", "measured", "tolerance", "ok")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of an experiment's table.

    Attributes:
      quantity: what is measured, and its unit where it has one.
      theory: what the theory says, or the bound that it gives.
      measured: what came out.
      tolerance: how far from ``theory`` it may lie, absolute; None for a bound.
      relation: "=", or ">=" or "<=" where ``theory`` is a bound.
    """

    quantity: str
    theory: float
    measured: float
    tolerance: float | None
    relation: str = "="

    @property
    def ok(self) -> bool:
        """Whether the measured value agrees; NaN never does."""
        if self.relation == ">=":
            return self.measured >= self.theory
        if self.relation == "<=":
            return self.measured <= self.theory
        return abs(self.measured - self.theory) <= self.tolerance


def equal(quantity: str, theory: Any, measured: Any, tolerance: float) -> Row:
    """Measured lies within ``tolerance`` (absolute) of theory."""
    return Row(quantity, float(theory), float(measured), float(tolerance))


def close(quantity: str, theory: Any, measured: Any, share: float) -> Row:
    """Measured lies within ``share`` of theory: 0.05 is 5 %."""
    return equal(quantity, theory, measured, share * abs(float(theory)))


def at_least(quantity: str, bound: Any, measured: Any) -> Row:
    """Measured is ``bound`` or more."""
    return Row(quantity, float(bound), float(measured), None, ">=")


def at_most(quantity: str, bound: Any, measured: Any) -> Row:
    """Measured is ``bound`` or less."""
    return Row(quantity, float(bound), float(measured), None, "<=")


def cells(row: Row) -> list[str]:
    """The cells under `HEADER`."""
    relation = "" if row.relation == "=" else f"{row.relation} "
    tolerance = "" if row.tolerance is None else f"{row.tolerance:.2g}"
    return [
        row.quantity,
        f"{relation}{row.theory:.6g}",
        f"{row.measured:.6g}",
        tolerance,
        "yes" if row.ok else "NO",
    ]


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For results.json; a value that is not finite is a word, as JSON has none."""

    return [
        {name: plain(value) for name, value in dataclasses.asdict(row).items()}
        | {"ok": row.ok}
        for row in rows
    ]


def plain(value: Any) -> Any:
    """A number as JSON can hold it: one that is not finite is a word."""
    finite = not isinstance(value, float) or math.isfinite(value)
    return value if finite else str(value)
