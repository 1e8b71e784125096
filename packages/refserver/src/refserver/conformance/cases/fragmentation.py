"""Frames in pieces that the case itself cuts, with others at work between them. EP-2.1-5."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section

section = Section("fragmentation", "FRAG", segmentations=ONCE)

SAME = "EP-2.1-5"


def in_two(t: Attempt, cut: int) -> None:
    """A Message in two pieces; between them somebody else is served."""
    ann, bob = t.members("ann", "bob")
    frame = raw.message(9, t.text("in two"))
    ann.send_piece(frame[:cut])
    bob.sync()
    ann.send_piece(frame[cut:])
    ann.expect(e.ack(9))
    bob.expect(e.message(ann.user, t.text("in two")))


@section.case(
    1,
    "a frame may be cut inside of its length",
    SAME,
    cause="four bytes are expected from the first read",
    needs=("MSG-02",),
)
def in_length(t: Attempt) -> None:
    in_two(t, 2)


@section.case(
    2,
    "a frame may be cut after its length",
    SAME,
    cause="the length is read again with the rest",
    needs=("MSG-02",),
)
def behind_length(t: Attempt) -> None:
    in_two(t, 4)


@section.case(
    3,
    "a frame may be cut inside of its header",
    SAME,
    cause="the header is expected in one piece",
    needs=("MSG-02",),
)
def in_header(t: Attempt) -> None:
    in_two(t, 11)


@section.case(
    4,
    "a frame may be cut between header and body",
    SAME,
    cause="a header without its body is treated as a frame",
    needs=("MSG-02",),
)
def behind_header(t: Attempt) -> None:
    in_two(t, 16)


@section.case(
    5,
    "a frame may be cut before its last byte",
    SAME,
    cause="the size is one less than it is",
    needs=("MSG-02",),
)
def before_the_last_byte(t: Attempt) -> None:
    in_two(t, len(raw.message(9, t.text("in two"))) - 1)


@section.case(
    6,
    "the end of one frame may come with the beginning of the next",
    SAME,
    cause="the buffer is emptied when a frame was taken",
    needs=("MSG-02",),
)
def across_frames(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    both = raw.message(9, t.text("first")) + raw.message(10, t.text("second"))
    middle = len(raw.message(9, t.text("first")))
    ann.send_piece(both[: middle - 3])
    bob.sync()
    ann.send_piece(both[middle - 3 : middle + 5])
    ann.expect(e.ack(9))
    ann.send_piece(both[middle + 5 :])
    ann.expect(e.ack(10))


@section.case(
    7,
    "a character may be cut between two pieces",
    SAME,
    "EP-2.3-3",
    cause="each piece is decoded as text for itself",
    needs=("MSG-02",),
)
def in_a_character(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    frame = raw.message(9, t.text("€"))
    ann.send_piece(frame[:18])
    bob.sync()
    ann.send_piece(frame[18:])
    ann.expect(e.ack(9))
    bob.expect(e.message(ann.user, t.text("€")))


@section.case(
    8,
    "a Login may come byte by byte, with others served after each",
    SAME,
    cause="a frame that is not whole blocks the server, or is given up",
)
def login_bytewise(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.connect("ann")
    identity = t.identity("ann")
    for byte in raw.login(1, identity.name, identity.credential):
        ann.send_piece(bytes([byte]))
        bob.sync()
    ann.expect(e.welcome(1))


@section.case(
    9,
    "the longest frame may come in pieces of any size",
    SAME,
    "EP-3.3-5",
    cause="pieces are put together in a buffer of fixed size",
    needs=("MSG-02", "LIMIT-04"),
)
def longest_in_pieces(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    content = bytes(65 + n % 26 for n in range(ann.max_frame - 13))
    frame = raw.message(9, content)
    for start in range(0, len(frame), 1_499):
        ann.send_piece(frame[start : start + 1_499])
    ann.expect(e.ack(9))
    bob.expect(e.message(ann.user, content))


@section.case(
    10,
    "a fault comes out the same when its frame comes in pieces",
    SAME,
    "EP-2.2-9",
    cause="a piece that was found valid is not checked again",
    negative=True,
)
def fault_in_pieces(t: Attempt) -> None:
    ann, bob = t.connect("ann"), t.member("bob")
    frame = raw.frame(raw.PING, 1, reserved=1)
    for cut in (frame[:3], frame[3:7], frame[7:8]):
        ann.send_piece(cut)
        bob.sync()
    ann.send_piece(frame[8:])
    ann.ends(raw.MALFORMED)
