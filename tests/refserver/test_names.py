"""Which names a member may have. The code points are written down here a second time."""

from __future__ import annotations

import unicodedata

import pytest

from refserver.session import names

REFUSED = [
    (0x0000, 0x001F),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
]


def in_words(point: int) -> str:
    return f"U+{point:04X}"


@pytest.mark.proves("EP-6.2-1")
def test_exactly_the_listed_code_points_make_a_name_impossible() -> None:
    every = (point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF)

    refused = {point for point in every if names.fault_of(f"a{chr(point)}b") is not None}

    listed = {point for first, last in REFUSED for point in range(first, last + 1)}
    not_composed = {
        point for point in refused if not unicodedata.is_normalized("NFC", f"a{chr(point)}b")
    }
    assert refused - not_composed == listed
    assert not listed & not_composed


@pytest.mark.proves("EP-6.2-1")
@pytest.mark.parametrize("at", ["{0}ann", "an{0}n", "ann{0}"])
@pytest.mark.parametrize("point", [first for first, _ in REFUSED], ids=in_words)
def test_a_listed_code_point_is_refused_wherever_it_stands(point: int, at: str) -> None:
    assert names.fault_of(at.format(chr(point))) is not None


def test_what_no_frame_can_carry_is_no_name() -> None:
    assert names.fault_of("\udcff") == "is not well-formed text"


@pytest.mark.proves("EP-6.2-2")
@pytest.mark.parametrize(
    "name",
    ["e\u0301", "\u1100\u1161", " ann", "ann ", "\u00a0ann", "ann\u3000", " "],
    ids=ascii,
)
def test_this_server_refuses_what_is_not_composed_or_has_outer_spaces(name: str) -> None:
    assert names.fault_of(name) is not None


@pytest.mark.parametrize("name", ["ann", "", "ann lee", "Änne", "名前", "😀", "guest", "a" * 255])
def test_any_other_name_is_good(name: str) -> None:
    assert names.fault_of(name) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("ann", "ANN"), ("straße", "STRASSE"), ("ann", "ａｎｎ"), ("ﬁn", "fin"), ("Å", "å")],
)
def test_names_that_look_alike_are_the_same(one: str, other: str) -> None:
    assert names.key_of(one) == names.key_of(other)


@pytest.mark.parametrize(("one", "other"), [("ann", "anna"), ("ann", "änn"), ("a b", "ab")])
def test_names_that_differ_are_different(one: str, other: str) -> None:
    assert names.key_of(one) != names.key_of(other)


@pytest.mark.parametrize("name", ["guest-1", "GUEST-1", "guest-", "ｇuest-ann"])
def test_what_begins_like_the_servers_own_names_is_kept_for_it(name: str) -> None:
    assert names.is_kept(name)


@pytest.mark.parametrize("name", ["guest", "aguest-1", "ann"])
def test_other_names_are_for_everybody(name: str) -> None:
    assert not names.is_kept(name)
