"""Tables of text, for a terminal and for Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np

Rows = Sequence[Sequence[str]]


def as_text(header: Sequence[str], rows: Rows) -> str:
    """A table in aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (header, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(header: Sequence[str], rows: Rows) -> str:
    """A table in Markdown."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def mean(values: np.ndarray, digits: int) -> str:
    """Mean ± standard deviation, over seeds; of one alone, its value.

    Where a value is infinite so is the mean, and there is no deviation.
    """
    if not np.isfinite(values).all():
        return f"{values.mean()}"
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def of_points(values: Mapping[str, np.ndarray]) -> list[str]:
    """The cells of `modes.measure_each`: modes, good samples, W1."""
    digits = {"modes": 1, "high_quality": 2, "wasserstein": 3}
    return [mean(values[name], n) for name, n in digits.items()]
