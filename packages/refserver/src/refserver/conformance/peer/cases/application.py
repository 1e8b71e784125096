"""Events of applications. Section 3.11."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import Peer

section = Section("application", "PEER-APP", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    1,
    "tells application events of every type, with their data",
    "EP-3.11-1",
    "EP-3.11-5",
    cause="only types that the application declared are handed on",
)
def every_type(t: Peer) -> None:
    t.welcome()
    t.tell(*(t.application(type, "bob", bytes([type, 0, 255])) for type in raw.APPLICATION))


@section.case(
    2,
    "takes any data: empty, not UTF-8, long",
    "EP-3.11-5",
    cause="data is decoded as text, or by a class that it does not fit",
    needs=("PEER-PING-01",),
)
def any_data(t: Peer) -> None:
    t.welcome()
    t.tell(
        t.application(0x80, "bob", b""),
        t.application(0x80, "bob", b"\xff\xfe\xed\xa0\x80"),
        t.application(0xFF, "bob", bytes(3_000)),
    )
    t.expect_silence()


@section.case(
    3,
    "counts an application event as an entry",
    "EP-5.2-5",
    "EP-5.2-6",
    cause="only Message, Joined and Left are counted",
)
def is_an_entry(t: Peer) -> None:
    t.welcome()
    t.tell(t.application(0x90, "bob", b"one"), t.message("bob", "two"))
    t.refuses(raw.UNEXPECTED_EVENT, raw.application(t.place + 2, 0x90, b"four", "bob"))
