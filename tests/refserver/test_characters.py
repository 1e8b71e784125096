"""What a terminal is shown of a peer's text: everything, in one line, and nothing that it obeys."""

from __future__ import annotations

import ast
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refserver.characters import INVISIBLE, escape, has_invisible


@pytest.mark.proves("EP-12-6")
@pytest.mark.parametrize("both", INVISIBLE, ids=lambda both: f"U+{both[0]:04X}")
def test_both_ends_of_each_range_are_escaped_and_their_neighbours_are_not_invisible(
    both: tuple[int, int],
) -> None:
    first, last = both

    for point in both:
        assert has_invisible(chr(point))
        assert escape(f"a{chr(point)}b").isascii()
        assert len(escape(chr(point))) > 1
    assert not has_invisible(chr(max(0, first - 1)) if first else "a")
    assert last == 0x10FFFF or not has_invisible(chr(last + 1))


@given(st.text(st.characters()))
@pytest.mark.proves("EP-12-6")
def test_nothing_is_lost_and_nothing_is_left_that_cannot_be_seen(text: str) -> None:
    escaped = escape(text)

    assert not has_invisible(escaped)
    assert all(unicodedata.category(each) not in {"Cn", "Cs", "Zl", "Zp"} for each in escaped)
    if "\\" not in text and '"' not in text:
        assert ast.literal_eval(f'"{escaped}"') == text


@pytest.mark.parametrize("text", ["ann", "Zoë", "名前", "😀", "it's\\", ""])
def test_what_can_be_seen_stays(text: str) -> None:
    assert escape(text) == text


def test_lines_are_kept_where_that_is_asked_for() -> None:
    assert escape("a\n\tb", keep="\n") == "a\n\\tb"
