"""Text for a terminal.

Rule: it is ASCII, and nothing in it moves the cursor.

Layer: the bottom layer. Imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["printable", "table"]


def printable(text: str) -> str:
    """As ASCII with every control character escaped; what is printable stays as it is.

    >>> printable("zoë\\x1b[31m")
    'zo\\\\xeb\\\\x1b[31m'
    """
    text = text.replace("…", "...")
    return text.encode("unicode_escape").decode("ascii").replace("\\\\", "\\")


def table(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Columns as wide as their widest cell; numbers to the right."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:>{width}}" if isinstance(cell, int) else f"{cell:<{width}}"
            for cell, width in zip(row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()
