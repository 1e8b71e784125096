"""The twelve bytes after the length. Section 2.2."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("header", "HEAD")


@section.case(
    9,
    "a seq is echoed with all its bytes in their order",
    "EP-2.3-1",
    "EP-4.2-2",
    cause="a number is read or written little-endian, or in fewer bytes",
)
def seq_is_echoed(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(0x0102030405060708))
    ann.expect(e.pong(0x0102030405060708))


@section.case(
    10,
    "the greatest seq is a seq like any other",
    "EP-2.3-2",
    "EP-4.2-3",
    cause="seq is kept in a signed number",
)
def greatest_seq(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(2**64 - 1))
    ann.expect(e.pong(2**64 - 1))


@section.case(
    11,
    "what a server sends has version 1, reserved 0, and no seq 0",
    "EP-2.2-1",
    "EP-2.2-3",
    "EP-2.2-7",
    cause="a header is put together in several places",
    needs=("MSG-01",),
)
def servers_headers(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    bob.said(t.text("hi"))
    ann.send(raw.frame(0x0B, 91))
    ann.expect(e.error(raw.UNKNOWN_TYPE, 91))
    ann.said(t.text("hi too"))
    ann.sync()
    bob.log_out()
    ann.log_out()
    for frame in ann.seen + bob.seen:
        t.check(
            frame.version == 1 and frame.reserved == 0 and frame.seq != 0,
            "version 1, reserved 0, seq not 0",
            f"version {frame.version}, reserved {frame.reserved}, seq {frame.seq} "
            f"in type 0x{frame.type:02X}",
        )


@section.case(
    12,
    "what a server sends has exactly its type's layout",
    "EP-3.5-1",
    "EP-3.6-1",
    "EP-3.7-1",
    "EP-3.8-1",
    "EP-3.1-2",
    cause="a field is missing, too many, or in another place",
    needs=("MSG-01",),
)
def servers_bodies(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    bob.said(t.text("hi"))
    ann.send(raw.frame(0x0B, 91))
    ann.expect(e.error(raw.UNKNOWN_TYPE, 91))
    bob.log_out()
    ann.sync()
    ann.log_out()
    for frame in ann.seen + bob.seen:
        t.check(
            frame.fields is not None and frame.type not in (raw.LOGIN, raw.LOGOUT),
            "an event that servers send, in its layout",
            f"type 0x{frame.type:02X}, body {frame.body.hex(' ')}",
        )
