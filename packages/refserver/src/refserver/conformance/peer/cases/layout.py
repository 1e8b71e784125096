"""Exactly one encoding. Sections 2.3, 2.4 and 3."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import Peer

section = Section("layout", "PEER-BODY", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    1,
    "refuses bytes behind the last field",
    "EP-2.4-4",
    cause="what a decoder did not need is thrown away",
)
def left_over(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.JOINED, t.place + 1, raw.short("cat") + b"\0"))


@section.case(
    2,
    "refuses a body that ends before its last field",
    "EP-2.4-3",
    cause="a missing field is taken as 0 or empty",
)
def field_missing(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.LEFT, t.place + 1, raw.short("cat")))


@section.case(
    3,
    "refuses an inner length that reaches beyond the body",
    "EP-2.4-2",
    cause="a slice that is too short is taken as it is, or the next frame is read into",
)
def beyond_the_body(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.JOINED, t.place + 1, b"\x09cat"))


@section.case(
    4,
    "refuses a Ping with a body",
    "EP-2.4-4",
    "EP-3.7-1",
    cause="the body of an event without fields is not looked at",
)
def ping_with_body(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.PING, 1, b"\0"))


@section.case(
    5,
    "refuses a Message without its sender's length",
    "EP-2.4-3",
    cause="an empty body is taken for an empty message",
)
def empty_message(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.MESSAGE, t.place + 1, b""))


@section.case(
    6,
    "reads an empty content, and the longest name",
    "EP-2.3-2",
    "EP-3.3-1",
    cause="0 bytes of text are taken for a missing field, or a length of 255 as signed",
)
def extremes(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", ""), t.message("n" * 255, "long name"), t.joined("n" * 255))
