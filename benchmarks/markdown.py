"""Tables, and the page that shows them.

Rule: what stands between two markers of docs/performance.md was printed by a
benchmark; what stands outside was written by a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class NoMarker(Exception):
    """The page has no place for a table of this name."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def facts(pairs: Mapping[str, str]) -> str:
    """A list of names and values."""
    return "".join(f"* {name}: {value}\n" for name, value in pairs.items())


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
        page = f"{page[:start]}\n{block}\n{page[end:]}"
    return page


def read(page: str, name: str) -> str:
    """What stands between the markers of one block."""
    start, end = _span(page, name)
    return page[start:end].strip("\n") + "\n"
