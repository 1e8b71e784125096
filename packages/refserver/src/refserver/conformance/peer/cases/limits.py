"""How long a frame may be, both ways. Section 7."""

from __future__ import annotations

from ... import raw
from ...catalogue import ONCE, Section
from ..lines import END, differs, line_of
from ..peer import PROBE, Peer

section = Section("limits", "PEER-LIMIT", needs=("PEER-LOGIN-01", "PEER-FACT-01"))
SENDER = "n" * raw.ALLOWANCE


@section.case(
    1,
    "reads a length of max_frame + 255: the longest fact there is",
    "EP-7.1-5",
    cause="the sender that the server fills in is not allowed for",
)
def longest(t: Peer) -> None:
    t.welcome(max_frame=65_536)
    fact = t.message(SENDER, "x" * (65_536 - 12 - 1))
    assert fact.length == 65_791
    t.tell(fact)


@section.case(
    4,
    "takes its limit from the Welcome, not from the usual value",
    "EP-2.1-4",
    "EP-7.1-5",
    cause="65,536 stands in the client",
)
def announced(t: Peer) -> None:
    t.welcome(max_frame=4_096)
    t.tell(t.message(SENDER, "x" * (4_096 - 12 - 1)))
    t.refuses(raw.FRAME_TOO_LARGE, (4_096 + 256).to_bytes(4, "big"), probe=False)


@section.case(
    5,
    "reads more than 65,791 where the Welcome says so, or ends the connection",
    "EP-7.1-5",
    cause="a frame that is too long is skipped, and its position with it",
    segmentations=ONCE,
)
def more(t: Peer) -> None:
    t.welcome(max_frame=1_000_000)
    fact = t.message(SENDER, "x" * (1_000_000 - 12 - 1))
    behind = t.message("bob", "behind it")
    t.send(fact, behind)
    line = t.line()
    if line["event"] != END:
        t.check(not differs(line, line_of(fact)), "the whole fact", line["event"])
        t.shows(behind)


@section.case(
    7,
    "sends no length above max_frame",
    "EP-7.1-2",
    cause="only the usual 65,536 is checked, or nothing",
    needs=("PEER-SAY-01", "PEER-PING-01"),
)
def sends_no_more(t: Peer) -> None:
    t.welcome(max_frame=4_096)
    _sends_at_most(t, 4_096)


@section.case(
    8,
    "sends no length above a max_frame that is too small, or ends the connection",
    "EP-3.8-5",
    "EP-3.8-6",
    "EP-7.1-2",
    cause="4,096 is treated as granted",
    needs=("PEER-SAY-01", "PEER-PING-01", "PEER-LIMIT-07"),
)
def obeys_less(t: Peer) -> None:
    welcome = t.welcome_to(t.login(), max_frame=1_000)
    t.send(welcome)
    if t.goes_on_or_refuses(welcome):
        _sends_at_most(t, 1_000)


def _sends_at_most(t: Peer, limit: int) -> None:
    text = "x" * (limit - 12)  # one more than fits after an empty sender
    t.order(f"say {text}")
    t.send(raw.ping(PROBE))
    frame = t.connection.next(t.soon())
    while frame is not None and frame.type == raw.PING:
        t.connection.answer(frame)
        frame = t.connection.next(t.soon())
    # It may split or refuse what it cannot send, or end; it may not send it.
    too_long = frame is not None and frame.length > limit
    t.check(not too_long, f"no length above {limit}", f"length {frame.length if frame else 0}")
