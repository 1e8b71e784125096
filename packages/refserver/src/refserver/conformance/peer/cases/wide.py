"""Numbers as wide as they are. Sections 2.3, 3.7, 3.8 and 5.1.

Most faults of this kind are of the language: a floating-point number ends at 2^53, an int
at 2^31 or 2^32, and a signed one at 2^63.
"""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...raw import Frame
from ..peer import Peer

section = Section("wide", "PEER-WIDE", needs=("PEER-LOGIN-01", "PEER-FACT-01"))

FLOAT = 2**53
"""From here on a floating-point number takes two neighbours for the same."""
LAST = 2**63 - 1
"""The greatest position (EP-5.1-2)."""


def _refused_entry(t: Peer, place: int, position: int) -> None:
    """Let the client in at a place, and give it an entry that is not the next."""
    t.welcome(position=place)
    t.refuses(raw.UNEXPECTED_EVENT, raw.message(position, "not the next", "bob"))


@section.case(
    1,
    "answers Pings with numbers of 64 bits, each with its own",
    "EP-2.3-1",
    "EP-3.7-2",
    cause="the seq of a Ping is held in 32 bits, or in a floating-point number",
    needs=("PEER-PING-01",),
)
def pings(t: Peer) -> None:
    t.welcome()
    for seq in (2**32, 2**32 + 7, FLOAT + 1, LAST):
        t.send(raw.ping(seq))
        t.answers(seq)


@section.case(
    2,
    "answers a Ping whose number has its highest bit set",
    "EP-2.3-1",
    "EP-3.7-2",
    cause="the seq of a Ping is read as a signed number",
    needs=("PEER-PING-01",),
)
def high_ping(t: Peer) -> None:
    t.welcome()
    for seq in (2**63, 2**64 - 1):
        t.send(raw.ping(seq))
        t.answers(seq)


@section.case(
    4,
    "refuses a position that comes twice, beyond 2^53 too",
    "EP-5.1-2",
    "EP-5.2-6",
    cause="positions are compared as floating-point numbers",
    needs=("PEER-FACT-04",),
)
def doubled_beyond_floats(t: Peer) -> None:
    _refused_entry(t, FLOAT, FLOAT)


@section.case(
    5,
    "refuses a gap of 2^32",
    "EP-5.1-2",
    "EP-5.2-6",
    cause="positions are compared in 32 bits",
    needs=("PEER-FACT-03",),
)
def gap_of_32_bits(t: Peer) -> None:
    _refused_entry(t, 40, 41 + 2**32)


@section.case(
    6,
    "reads the greatest position, 2^63 - 1",
    "EP-5.1-2",
    cause="the greatest value is kept for something else, or is one too many",
)
def greatest_position(t: Peer) -> None:
    t.welcome(position=LAST - 2)
    t.tell(t.message("bob", "the last but one"), t.message("bob", "the last one"))


@section.case(
    7,
    "counts over 2^32",
    "EP-5.1-2",
    cause="a position overflows an integer of 32 bits",
)
def over_32_bits(t: Peer) -> None:
    t.welcome(position=2**32 - 3)
    t.tell(*(t.message("bob", "one more") for _ in range(4)))


@section.case(
    8,
    "tells the position of an Ack beyond 2^53",
    "EP-2.3-7",
    "EP-5.1-2",
    cause="the position of an Ack goes through a floating-point number",
    needs=("PEER-SAY-01",),
)
def position_of_an_ack(t: Peer) -> None:
    t.welcome(position=FLOAT - 1)
    t.order("say hello")
    t.tell(t.ack(t.asked(raw.MESSAGE)))  # FLOAT + 1, which no floating-point number is


@section.case(
    9,
    "takes a max_frame of 2^32 - 1, and reads and sends on",
    "EP-2.3-2",
    "EP-7.1-5",
    cause="max_frame + 255 overflows 32 bits, or max_frame is read as signed",
    needs=("PEER-SAY-01",),
)
def greatest_max_frame(t: Peer) -> None:
    t.welcome(max_frame=2**32 - 1)
    t.tell(t.message("bob", "x" * 5_000))
    t.order(f"say {'y' * 5_000}")
    t.tell(t.ack(t.asked(raw.MESSAGE)))


@section.case(
    10,
    "tells the greatest numbers of a Welcome",
    "EP-2.3-2",
    "EP-3.8-1",
    cause="heartbeat or max_frame are read as signed",
)
def greatest_welcome(t: Peer) -> None:
    t.tell(t.welcome_to(t.login(), position=LAST - 9, max_frame=2**32 - 1, heartbeat=65_535))


@section.case(
    11,
    "tells a code of 65,535, of a reply",
    "EP-2.3-2",
    "EP-3.6-3",
    cause="a code is read as signed, or kept in 8 bits",
    needs=("PEER-SAY-01", "PEER-ERROR-01"),
)
def greatest_code(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    t.tell(Frame(raw.error(t.asked(raw.MESSAGE).seq, 65_535)), t.message("bob", "still there?"))
