"""The specification lists the code points that the programs refuse and escape."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from refserver.characters import INVISIBLE

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_page_lists_the_same_ranges() -> None:
    (listed,) = re.findall(r"\*\*EP-6\.2-6\*\* .*: U\+(.+)\.", PAGE.read_text(encoding="utf-8"))

    ranges: list[tuple[int, int]] = []
    for each in re.split(r", | or ", listed.replace(" for each x from 1 to C", "")):
        first, _, last = each.partition("–")
        planes = "123456789ABC" if "x" in each else " "
        ranges += [
            (int(first.replace("x", x), 16), int((last or first).replace("x", x), 16))
            for x in planes
        ]

    assert tuple(ranges) == INVISIBLE
