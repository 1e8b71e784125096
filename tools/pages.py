"""The marked blocks of a page, and the tables that stand in them.

Rule: what is between `<!-- generated: NAME -->` and `<!-- end -->` is the generator's; the rest
of the page is nobody's but its author's.

Layer: below every module that draws a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BLOCK = re.compile(r"(<!-- generated: (?P<name>[^>]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)

Row = tuple[str, ...]
Blocks = Mapping[str, Callable[[str], str]]
"""For each name the function that draws the block; it is given the block as it stands."""


class Missing(Exception):
    """A block that the page lacks, or a cell that only a person can write."""


def table(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table, with the empty lines that keep it apart from the markers."""
    rule = f"|{'---|' * len(head)}\n"
    first, *others = (f"| {' | '.join(row)} |\n" for row in (head, *rows))
    return "\n" + first + rule + "".join(others) + "\n"


def cells(body: str) -> Iterator[Row]:
    """The rows of a table as it stands, without its head."""
    for line in body.strip().splitlines()[2:]:
        yield tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def kept(body: str, key: str) -> str:
    """The last column, as it stands, of the row that begins with `key`."""
    for row in cells(body):
        if row[0] == key and row[-1]:
            return row[-1]
    raise Missing(f"write the last column of the row {key!r} by hand, then run this again")


def redrawn(text: str, blocks: Blocks) -> str:
    """The page with each of its blocks drawn anew.

    Raises Missing where a block is absent, unknown or there twice, or a row lacks its own word.
    """
    found = [match["name"] for match in BLOCK.finditer(text)]
    if sorted(found) != sorted(blocks):
        raise Missing(f"blocks that differ: {sorted(set(found) ^ set(blocks)) or 'one is double'}")
    return BLOCK.sub(lambda match: match[1] + blocks[match["name"]](match["body"]) + match[4], text)
