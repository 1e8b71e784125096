"""The log: every entry once, in order. Sections 3.9, 3.10, 4.4 and 5.2."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..lines import line_of
from ..peer import Peer

section = Section("facts", "PEER-FACT", needs=("PEER-LOGIN-01",))


@section.case(
    1,
    "tells every fact, in order",
    "EP-2.3-1",
    "EP-3.3-1",
    "EP-3.9-1",
    "EP-3.10-1",
    cause="a layout is read otherwise than it is written down",
)
def facts(t: Peer) -> None:
    t.welcome()
    t.tell(
        t.joined("bob"),
        t.message("bob", "hello"),
        t.left("bob", raw.LOST_REASON),
        t.left("cat", raw.EVICTED_REASON),
        t.left("dan", raw.LEFT_REASON),
    )


@section.case(
    3,
    "refuses a gap between positions",
    "EP-5.2-5",
    "EP-5.2-6",
    cause="positions are not compared with the last one",
    needs=("PEER-FACT-01",),
)
def gap(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", "one"))
    t.refuses(raw.UNEXPECTED_EVENT, raw.message(t.place + 2, "three", "bob"))


@section.case(
    4,
    "refuses a position that comes twice",
    "EP-5.2-6",
    cause="only gaps are looked for",
    needs=("PEER-FACT-01",),
)
def doubled(t: Peer) -> None:
    t.welcome()
    one = t.message("bob", "one")
    t.tell(one)
    t.refuses(raw.UNEXPECTED_EVENT, one)


@section.case(
    6,
    "counts the position of an Ack with those of facts",
    "EP-5.2-5",
    cause="only facts are counted, and the one after an Ack looks like a gap",
    needs=("PEER-FACT-01", "PEER-SAY-01"),
)
def ack_counts(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    t.tell(t.message("bob", "before it"), t.ack(request), t.message("bob", "behind it"))


@section.case(
    8,
    "reads a reason that it does not know as 1",
    "EP-2.3-2",
    "EP-3.10-2",
    cause="an unknown reason is refused, or told as it is",
    needs=("PEER-FACT-01",),
)
def unknown_reason(t: Peer) -> None:
    t.welcome()
    t.tell(t.left("bob", 77), t.left("cat", 255))


@section.case(
    9,
    "reads positions beyond 2^53, and writes them as strings",
    "EP-2.3-7",
    "EP-5.1-2",
    cause="a position is held in a floating-point number or in 32 bits",
    needs=("PEER-FACT-01",),
)
def great_positions(t: Peer) -> None:
    t.welcome(position=2**63 - 10)
    fact = t.message("bob", "late in the day")
    t.send(fact)
    line = t.says(line_of(fact))
    t.check(isinstance(line["seq"], str), "seq as a string of digits", "seq as a number")
