"""Version, reserved, seq. Section 2.2."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import Peer

section = Section("header", "PEER-HEAD", needs=("PEER-LOGIN-01", "PEER-FACT-01"))
BODY = raw.short("bob") + b"hello"


@section.case(
    1,
    "refuses version 2 as UNSUPPORTED_VERSION",
    "EP-2.2-2",
    cause="the version is not looked at",
)
def version_two(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.UNSUPPORTED_VERSION, raw.frame(raw.MESSAGE, t.place + 1, BODY, version=2))


@section.case(
    2,
    "refuses version 0 as UNSUPPORTED_VERSION",
    "EP-2.2-2",
    cause="only newer versions are refused",
)
def version_zero(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.UNSUPPORTED_VERSION, raw.frame(raw.MESSAGE, t.place + 1, BODY, version=0))


@section.case(
    3,
    "refuses a reserved that is not 0 as MALFORMED",
    "EP-2.2-4",
    cause="reserved is not looked at",
)
def reserved(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.MESSAGE, t.place + 1, BODY, reserved=256))


@section.case(
    4,
    "refuses seq 0 in anything but an Error as MALFORMED",
    "EP-2.2-8",
    cause="seq 0 is let through where seq means nothing to the client",
)
def seq_zero(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(0x0B, 0, b"unknown, but numbered 0"))


@section.case(
    5,
    "judges the header when its 16 bytes are in",
    "EP-2.2-9",
    cause="the body is awaited before the header is looked at",
)
def header_alone(t: Peer) -> None:
    t.welcome()
    header = raw.frame(raw.MESSAGE, t.place + 1, BODY, version=2)[:16]
    t.refuses(raw.UNSUPPORTED_VERSION, header, probe=False)


@section.case(
    6,
    "judges the version before reserved and seq",
    "EP-8.3-4",
    cause="the checks of the header stand in another order",
)
def version_first(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.UNSUPPORTED_VERSION, raw.frame(raw.MESSAGE, 0, BODY, version=9, reserved=1))
