"""Text is strict UTF-8 and stays as it came. Section 2.3."""

from __future__ import annotations

from .. import expect as e
from ..attempt import Attempt
from ..catalogue import Section

section = Section("text", "TEXT")


def kept(t: Attempt, content: str) -> None:
    """The content arrives as it was sent."""
    ann, bob = t.members("ann", "bob")
    ann.said(content)
    bob.expect(e.message(ann.user, content))


@section.case(
    9,
    "text is not normalised",
    "EP-2.3-5",
    "EP-3.3-5",
    cause="text is brought into NFC or NFKC on its way",
    needs=("MSG-02",),
)
def not_normalised(t: Attempt) -> None:
    kept(t, "e\u0301 \u212b \ufb01 \u1e9b\u0323")


@section.case(
    10,
    "a byte order mark and a NUL are kept",
    "EP-2.3-5",
    cause="a decoder that strips a mark, or strings that end at NUL",
    needs=("MSG-02",),
)
def mark_and_nul(t: Attempt) -> None:
    kept(t, "\ufeffbefore\x00behind\ufeff")


@section.case(
    11,
    "line ends, spaces and control characters are kept",
    "EP-2.3-5",
    "EP-3.3-5",
    cause="content is trimmed or made fit for a terminal on its way",
    needs=("MSG-02",),
)
def control_characters(t: Attempt) -> None:
    kept(t, "  \r\n\t\x1b[31m\x7f\u2028\u202e  \n")


@section.case(
    12,
    "the widest characters and noncharacters are text",
    "EP-2.3-3",
    "EP-2.3-5",
    cause="only the basic plane is known, or noncharacters are refused",
    needs=("MSG-02",),
)
def widest(t: Attempt) -> None:
    kept(t, "\U0001f600 \U0010ffff \uffff \ufdd0 \u0800 \u07ff \u0080 \x7f")
