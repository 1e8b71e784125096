"""Which error, in which order, and what it ends. Sections 2.4 and 8."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("errors", "ERR")


@section.case(
    3,
    "a fatal error comes after the replies to all earlier requests",
    "EP-8.2-8",
    cause="the error is written past the queue of replies",
    needs=("MSG-01",),
    negative=True,
)
def behind_replies(t: Attempt) -> None:
    ann = t.member()
    ann.send(
        raw.ping(11), raw.message(12, t.text("m")), raw.ping(13), raw.frame(raw.PING, 14, b"?")
    )
    ann.expect(e.pong(11), e.ack(12), e.pong(13))
    ann.ends(raw.MALFORMED)


@section.case(
    4,
    "a fatal error comes after all entries made before",
    "EP-8.2-8",
    cause="what is queued for a faulty client is dropped",
    needs=("MSG-02",),
    negative=True,
)
def behind_entries(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for n in range(3):
        bob.said(t.text(f"line {n}"))
    ann.send(raw.frame(raw.PING, 9, reserved=1))
    ann.expect(*(e.message(bob.user, t.text(f"line {n}")) for n in range(3)))
    ann.ends(raw.MALFORMED)


@section.case(
    25,
    "every error has a code of the table",
    "EP-8.1-1",
    cause="a code of the server's own",
)
def known_codes(t: Attempt) -> None:
    ann = t.connect()
    ann.send(
        raw.frame(0x00, 1),
        raw.message(2, "early"),
        raw.logout(3),
        raw.joined(4, "ann"),
        raw.login(5, "ann", b"", 7, 7),
        raw.frame(raw.PING, 6, b"stray"),
    )
    while (frame := ann.next(ann.deadline())) is not None:
        code = frame.number("code")
        t.check(frame.type == raw.ERROR and code in raw.CODES, "a code of the table", code)
    t.check(bool(ann.ended), "the end of the stream", "nothing came in time")
