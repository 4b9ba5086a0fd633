"""Tables of text, for a terminal and for Markdown."""

from collections.abc import Sequence

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
