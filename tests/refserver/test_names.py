"""Which names a member may have. The code points are written down here a second time."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata

import pytest

from refserver.characters import INVISIBLE
from refserver.session import names

IGNORABLE = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F "
    "FEFF FFA0 FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Default_Ignorable_Code_Point, as Unicode's DerivedCoreProperties.txt gives it."""
NONCHARACTERS = {*range(0xFDD0, 0xFDF0)} | {
    p << 16 | e for p in range(17) for e in (0xFFFE, 0xFFFF)
}
BLANK = {0x2800, 0x16FE4, 0x1D159}
EVERY = [point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
LISTED = {point for first, last in INVISIBLE for point in range(first, last + 1)}


def in_words(point: int) -> str:
    return f"U+{point:04X}"


def points(ranges: str) -> set[int]:
    """The code points of `00AD 115F-1160`."""
    found: set[int] = set()
    for each in ranges.split():
        first, _, last = each.partition("-")
        found |= {*range(int(first, 16), int(last or first, 16) + 1)}
    return found


@pytest.mark.proves("EP-6.2-6")
def test_the_list_is_what_unicode_says_of_the_code_points() -> None:
    by_category = {
        p for p in EVERY if unicodedata.category(chr(p)) in {"Cc", "Cf", "Zl", "Zp", "Co"}
    }

    derived = by_category | points(IGNORABLE) | NONCHARACTERS | BLANK

    assert derived <= LISTED
    # What is left, a later version of Unicode than this Python's has assigned.
    assert {unicodedata.category(chr(point)) for point in LISTED - derived} <= {"Cn"}
    assert LISTED - derived <= {*range(0x13439, 0x13440)}


@pytest.mark.skipif(
    shutil.which("perl") is None, reason="perl, which knows the property, is missing"
)
def test_another_implementation_of_unicode_knows_the_same_property() -> None:
    program = (
        "no warnings; for my $c (0..0xD7FF, 0xE000..0x10FFFF) "
        "{ print $c, qq(\n) if chr($c) =~ /\\p{Default_Ignorable_Code_Point}/ }"
    )

    said = subprocess.run(
        ["perl", "-e", program], capture_output=True, text=True, check=True
    ).stdout

    assert {int(line) for line in said.splitlines()} == points(IGNORABLE)


@pytest.mark.proves("EP-6.2-6", "EP-6.2-8")
@pytest.mark.unmeasured
def test_exactly_what_is_invisible_or_unassigned_makes_a_name_impossible() -> None:
    refused = {point for point in EVERY if names.error_of(f"a{chr(point)}b") is not None}

    unassigned = {point for point in EVERY if unicodedata.category(chr(point)) == "Cn"}
    not_composed = {p for p in EVERY if not unicodedata.is_normalized("NFC", f"a{chr(p)}b")}
    assert refused == LISTED | unassigned | not_composed
    assert not LISTED & not_composed


@pytest.mark.proves("EP-6.2-6")
@pytest.mark.parametrize("at", ["{0}", "{0}ann", "an{0}n", "ann{0}"])
@pytest.mark.parametrize(
    "point", sorted({*(first for first, _ in INVISIBLE), 0xFE0F, 0x17B5, 0xE0041}), ids=in_words
)
def test_a_listed_code_point_is_refused_wherever_it_stands(point: int, at: str) -> None:
    assert names.error_of(at.format(chr(point))) == "has a character that cannot be seen"


@pytest.mark.proves("EP-6.2-8")
def test_a_code_point_that_unicode_does_not_know_is_refused() -> None:
    version = unicodedata.unidata_version

    assert names.error_of("a\U0003fffdb") == f"has a character that Unicode {version} does not know"


def test_what_no_frame_can_carry_is_no_name() -> None:
    assert names.error_of("\udcff") == "is not well-formed text"


@pytest.mark.proves("EP-6.2-2")
@pytest.mark.parametrize(
    "name",
    [
        "e\u0301",
        "\u1100\u1161",
        "\u0301ann",
        "\u20dd",
        "\u0e31",
        " ann",
        "ann ",
        "\u00a0ann",
        "ann\u3000",
        " ",
    ],
    ids=ascii,
)
def test_this_server_refuses_what_is_not_composed_and_outer_spaces_and_marks_in_front(
    name: str,
) -> None:
    assert names.error_of(name) is not None


@pytest.mark.parametrize("name", ["ann", "", "ann lee", "Änne", "名前", "😀", "guest", "a" * 255])
def test_any_other_name_is_good(name: str) -> None:
    assert names.error_of(name) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "ANN"),
        ("straße", "STRASSE"),
        ("ann", "ａｎｎ"),
        ("ﬁn", "fin"),
        ("Å", "å"),
        ("a b", "a\u00a0 b"),
    ],
)
def test_names_that_look_alike_are_the_same(one: str, other: str) -> None:
    assert names.key_of(one) == names.key_of(other)


@pytest.mark.parametrize(("one", "other"), [("ann", "anna"), ("ann", "änn"), ("a b", "ab")])
def test_names_that_differ_are_different(one: str, other: str) -> None:
    assert names.key_of(one) != names.key_of(other)


@pytest.mark.parametrize(
    "name", ["guest-1", "GUEST-1", "guest-", "ｇuest-ann", "guest\u20101", "guest\u22121"]
)
def test_what_begins_like_the_servers_own_names_is_kept_for_it(name: str) -> None:
    assert names.is_kept(name)


@pytest.mark.parametrize("name", ["guest", "aguest-1", "ann"])
def test_other_names_are_for_everybody(name: str) -> None:
    assert not names.is_kept(name)
