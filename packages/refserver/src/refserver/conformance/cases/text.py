"""Text is strict UTF-8 and stays as it came. Section 2.3."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("text", "TEXT")

BAD = {
    "a lone byte FF": b"\xff",
    "a continuation without a beginning": b"\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "an overlong NUL": b"\xc0\x80",
    "an overlong slash of three bytes": b"\xe0\x80\xaf",
    "a code point above U+10FFFF": b"\xf4\x90\x80\x80",
    "a sequence of five bytes": b"\xf8\x88\x80\x80\x80",
    "a character that is cut": b"\xe2\x82",
}


def refused(t: Attempt, *names: str) -> None:
    """Contents with these faults are MALFORMED."""
    for name in names:
        ann = t.member()
        ann.send(raw.message(9, b"good " + BAD[name]))
        ann.ends(raw.MALFORMED)
        ann.half_close(quietly=True)
        ann.nothing_more()


def kept(t: Attempt, content: str) -> None:
    """The content arrives as it was sent."""
    ann, bob = t.members("ann", "bob")
    ann.said(content)
    bob.expect(e.message(ann.user, content))


@section.case(
    1,
    "bytes that are no UTF-8 are MALFORMED",
    "EP-2.3-3",
    cause="content is relayed without being looked at",
    negative=True,
)
def no_utf8(t: Attempt) -> None:
    refused(t, "a lone byte FF", "a continuation without a beginning")


@section.case(
    2,
    "surrogates are MALFORMED",
    "EP-2.3-3",
    cause="a decoder for CESU-8 or WTF-8",
    negative=True,
)
def surrogates(t: Attempt) -> None:
    refused(t, "a surrogate", "a pair of surrogates")


@section.case(
    3,
    "overlong forms are MALFORMED",
    "EP-2.3-3",
    cause="a decoder that computes and does not check",
    negative=True,
)
def overlong(t: Attempt) -> None:
    refused(t, "an overlong NUL", "an overlong slash of three bytes")


@section.case(
    4,
    "what lies above U+10FFFF is MALFORMED",
    "EP-2.3-3",
    cause="a decoder for the UTF-8 of before 2003",
    negative=True,
)
def too_high(t: Attempt) -> None:
    refused(t, "a code point above U+10FFFF", "a sequence of five bytes")


@section.case(
    5,
    "a character that the end of the content cuts is MALFORMED",
    "EP-2.3-3",
    cause="a decoder of streams that waits for the rest",
    negative=True,
)
def cut_character(t: Attempt) -> None:
    refused(t, "a character that is cut")


@section.case(
    6,
    "a user that is no UTF-8 is MALFORMED and not BAD_USER",
    "EP-2.3-3",
    "EP-8.3-1",
    cause="the name is decoded when it is judged",
    negative=True,
)
def bad_user(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.login(1, b"ann\xff"))
    ann.ends(raw.MALFORMED)


@section.case(
    7,
    "a sender that is no UTF-8 is MALFORMED and not UNEXPECTED_EVENT",
    "EP-2.3-3",
    "EP-8.3-1",
    cause="that there is a sender is looked at before what it is",
    negative=True,
)
def bad_sender(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.message(9, "hi", sender=b"\xff"))
    ann.ends(raw.MALFORMED)


@section.case(
    8,
    "an application event's sender that is no UTF-8 is MALFORMED",
    "EP-2.3-3",
    "EP-3.11-1",
    cause="the body of an application event is not looked at at all",
    negative=True,
)
def bad_application_sender(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.application(9, 0x80, b"data", sender=b"\xc3\x28"))
    ann.ends(raw.MALFORMED)


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
