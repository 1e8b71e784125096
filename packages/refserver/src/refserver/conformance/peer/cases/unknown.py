"""Types of a later version. Section 3.12."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...model import Level
from ..peer import Peer

section = Section("unknown", "PEER-UNKNOWN", needs=("PEER-LOGIN-01", "PEER-FACT-01"))
NEWS = raw.frame(0x0B, 12, b"\xca\xfe")


@section.case(
    1,
    "goes on after an unknown type, and does not answer it",
    "EP-3.12-2",
    cause="an unknown type is a fault of the frame, or is answered with UNKNOWN_TYPE",
    needs=("PEER-PING-01",),
)
def passed_over(t: Peer) -> None:
    t.welcome()
    t.send(NEWS, raw.frame(0x7F, 1), raw.frame(0x00, 1, bytes(40)))
    t.send(raw.ping(1))
    t.answers(1)


@section.case(
    2,
    "counts an unknown type as no entry, whatever its seq",
    "EP-3.12-3",
    cause="the seq of whatever is no reply is treated as a position",
)
def no_entry(t: Peer) -> None:
    t.welcome()
    fact = t.message("bob", "hello")
    t.send(raw.frame(0x0B, t.place, b"same as the next"), fact)
    line = t.line()
    if line["event"] == "Unknown":
        line = t.line()
    t.check(line.get("content") == "hello", "the fact after it", line.get("event"))


@section.case(
    3,
    "tells an unknown type with its body, in its place",
    "EP-3.12-4",
    cause="it is dropped, so that nobody learns of a newer server",
    level=Level.SHOULD,
)
def told(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", "before it"), raw.Frame(NEWS), t.message("bob", "behind it"))


@section.case(
    4,
    "goes on after an unknown type that comes before its Welcome",
    "EP-3.12-2",
    cause="only a reply is expected there, as if the Login were a call of a function",
    needs=("PEER-PING-05",),
)
def passed_over_before_welcome(t: Peer) -> None:
    t.login()
    t.send(NEWS, raw.ping(7))
    t.answers(7)


@section.case(
    5,
    "goes on after an unknown type with a body as long as a frame may be",
    "EP-3.12-2",
    "EP-7.1-5",
    cause="what is not known is read into a buffer that is short",
    needs=("PEER-LIMIT-01",),
)
def long_body(t: Peer) -> None:
    t.welcome(max_frame=4_096)
    t.send(raw.frame(0x0B, 1, bytes(4_096 + 255 - 12)), raw.ping(7))
    t.answers(7)
