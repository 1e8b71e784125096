"""Tables, and the page that shows them.

Rule: what stands between two markers of docs/performance.md was printed by a
benchmark; what stands outside was written by a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from benchmarks.figures import Median


class NoMarker(Exception):
    """The page has no place for a table of this name."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def facts(pairs: Mapping[str, str]) -> str:
    """A list of names and values."""
    return "".join(f"* {name}: {value}\n" for name, value in pairs.items())


def verdict(figure: Median, sense: Literal["≥", "≤"], bound: float) -> str:
    """Whether a bar is met, or by how much it is missed."""
    excess = figure.median / bound - 1
    met = excess >= 0 if sense == "≥" else excess <= 0
    return "yes" if met else f"no, by {abs(excess):.0%}"


def _span(page: str, name: str) -> tuple[int, int]:
    begin, end = (f"<!-- {word}: {name} -->\n" for word in ("begin", "end"))
    try:
        start = page.index(begin) + len(begin)
        return start, page.index(end, start)
    except ValueError:
        raise NoMarker(name) from None


def put(page: str, blocks: Mapping[str, str]) -> str:
    """The page with each block between its markers."""
    for name, block in blocks.items():
        start, end = _span(page, name)
        text = block.strip("\n")
        page = f"{page[:start]}\n{text}\n\n{page[end:]}"
    return page


def read(page: str, name: str) -> str:
    """What stands between the markers of one block."""
    start, end = _span(page, name)
    return page[start:end].strip("\n")


def names(page: str) -> list[str]:
    """The blocks that the page has a place for."""
    return re.findall(r"^<!-- begin: (.+) -->$", page, re.MULTILINE)
