"""Frames follow each other; the length is validated first, and at once. Section 2.1."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("framing", "FRAME")


@section.case(
    3,
    "a length of 12 is a whole frame",
    "EP-2.1-1",
    cause="the length is taken to count its own 4 bytes",
)
def length_twelve(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(1))
    ann.expect(e.pong(1))


@section.case(
    6,
    "frames that come together are handled one after the other",
    "EP-2.1-5",
    "EP-4.2-5",
    "EP-4.2-6",
    cause="one read is treated as one frame, and what else came is lost",
)
def frames_together(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(1), raw.login(2, *_identity(t)), raw.ping(3), raw.logout(4))
    ann.expect(e.pong(1), e.welcome(2), e.pong(3), e.ack(4))


@section.case(
    7,
    "a frame that the end of the stream cuts has no effect and no reply",
    "EP-2.1-6",
    cause="what is left in the buffer at the end of the stream is handled as a frame",
    needs=("MSG-01",),
)
def cut_body(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    ann.send(raw.message(ann.seq(), t.text("never said"))[:-1])
    ann.half_close()
    ann.nothing_more()
    t.check(
        not [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)],
        "the cut Message is entered nowhere",
        "bob was sent it",
    )


@section.case(
    8,
    "a header that the end of the stream cuts has no effect and no reply",
    "EP-2.1-6",
    cause="the end of the stream inside of a frame is answered with MALFORMED",
)
def cut_header(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(1), raw.ping(2)[:9])
    ann.half_close()
    ann.expect(e.pong(1), e.END)


@section.case(
    9,
    "the frames before a faulty frame in the same piece have their full effect",
    "EP-8.2-8",
    "EP-2.1-5",
    cause="a fault drops what was read with it",
    needs=("MSG-01",),
    negative=True,
)
def good_before_bad(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    seq = ann.seq()
    ann.send(raw.message(seq, t.text("before")), raw.frame(raw.PING, 9, length=3))
    ann.expect(e.ack(seq))
    ann.ends(raw.MALFORMED)
    bob.expect(e.message(ann.user, t.text("before")))


@section.case(
    10,
    "nothing after a faulty frame is validated",
    "EP-8.3-5",
    "EP-4.3-6",
    cause="the reader looks for the next frame after a fault",
    needs=("MSG-01",),
    negative=True,
)
def nothing_behind_bad(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    bad = raw.frame(raw.PING, 8, b"", reserved=1)
    ann.send(bad, raw.message(9, t.text("behind")), raw.ping(10))
    ann.ends(raw.MALFORMED)
    t.check(
        not [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)],
        "the Message after the fault is entered nowhere",
        "bob was sent it",
    )


@section.case(
    11,
    "three hundred frames in one piece are answered in order",
    "EP-2.1-5",
    "EP-4.2-7",
    cause="a limit on frames handled at once, without the rest being taken up again",
)
def many_together(t: Attempt) -> None:
    ann = t.connect()
    ann.send(*(raw.ping(n) for n in range(1, 301)))
    ann.expect(*(e.pong(n) for n in range(1, 301)))


@section.case(
    12,
    "a frame is answered before the next one is whole",
    "EP-2.1-1",
    "EP-2.1-5",
    cause="the length is taken to be 4 more than it is, or the reader waits for a full buffer",
)
def answered_at_once(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(1), raw.ping(2)[:15])
    ann.expect(e.pong(1))
    ann.send(raw.ping(2)[15:])
    ann.expect(e.pong(2))


def _identity(t: Attempt) -> tuple[str, bytes]:
    identity = t.identity("ann")
    return identity.name, identity.credential
