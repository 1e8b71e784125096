"""Types beyond the protocol's own: applications' and tomorrow's. Sections 3.11 and 3.12."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("unknown and application events", "APP")


@section.case(
    1,
    "an application event is acknowledged and relayed with its author's name",
    "EP-3.11-1",
    "EP-3.11-2",
    "EP-3.11-3",
    cause="only Message is relayed",
    needs=("MSG-02",),
)
def relayed(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.application(9, 0x80, b"data"))
    ann.expect(e.ack(9))
    bob.expect(e.application(0x80, ann.user, b"data"))


@section.case(
    2,
    "every type from 0x80 to 0xFF is accepted and kept",
    "EP-3.11-3",
    cause="the type is read as a signed byte, or only declared types are known",
    needs=("APP-01",),
)
def every_type(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(*(raw.application(type, type, bytes([type])) for type in raw.APPLICATION))
    ann.expect(*(e.ack(type) for type in raw.APPLICATION))
    bob.expect(*(e.application(type, ann.user, bytes([type])) for type in raw.APPLICATION))


@section.case(
    3,
    "data is relayed unchanged and without validation, whatever its bytes",
    "EP-3.11-4",
    cause="data is decoded as text",
    needs=("APP-01",),
)
def any_data(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    data = bytes(range(256)) + b"\xed\xa0\x80\xff\x00"
    ann.send(raw.application(9, 0xC3, data))
    ann.expect(e.ack(9))
    bob.expect(e.application(0xC3, ann.user, data))


@section.case(
    4,
    "data may be empty",
    "EP-3.11-4",
    "EP-3.11-1",
    cause="an event without data is refused or dropped",
    needs=("APP-01",),
)
def empty_data(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.application(9, 0xFF, b""))
    ann.expect(e.ack(9))
    bob.expect(e.application(0xFF, ann.user, b""))


@section.case(
    6,
    "application events and messages stand in one order",
    "EP-5.1-1",
    "EP-5.3-4",
    cause="application events have a log of their own",
    needs=("APP-01",),
)
def one_order(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(
        raw.message(1, t.text("1")), raw.application(2, 0x80, b"2"), raw.message(3, t.text("3"))
    )
    positions = [ann.expect(e.ack(seq)).number("position") for seq in (1, 2, 3)]
    bob.expect(e.message(ann.user, t.text("1"), positions[0]))
    bob.expect(e.application(0x80, ann.user, b"2", positions[1]))
    bob.expect(e.message(ann.user, t.text("3"), positions[2]))


@section.case(
    7,
    "the author of an application event gets the Ack and never the fact",
    "EP-5.2-2",
    cause="the author is left out in Message only",
    needs=("APP-01",),
)
def not_to_the_author(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.application(9, 0x80, b"mine"))
    ann.expect(e.ack(9))
    ann.sync()
    facts = [f for f in ann.seen if f.type in raw.APPLICATION and t.is_ours(f)]
    t.check(not facts, "no own fact", "its own event")


@section.case(
    11,
    "an unknown type reaches nobody",
    "EP-4.2-8",
    "EP-3.1-2",
    cause="what is not understood is relayed",
    needs=("APP-09",),
)
def unknown_reaches_nobody(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.frame(0x0B, 9, raw.short("") + b"psst"))
    ann.expect(e.error(raw.UNKNOWN_TYPE, 9))
    came = [f for f in bob.sync() if f.type in raw.UNKNOWN]
    t.check(not came, "nothing of an unknown type", "a frame of it")


@section.case(
    12,
    "an unknown type is skipped whole, though its body comes later",
    "EP-2.2-10",
    "EP-2.1-1",
    cause="the header is answered and the body treated as the next frame",
)
def unknown_in_two(t: Attempt) -> None:
    ann = t.connect()
    frame = raw.frame(0x0C, 9, raw.ping(66))
    ann.send(frame[:16])
    t.connect("other").sync()
    ann.send(frame[16:])
    ann.expect(e.error(raw.UNKNOWN_TYPE, 9))
    ann.expect_silence()
