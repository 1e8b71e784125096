"""Pings, and silence. Sections 3.7 and 9."""

from __future__ import annotations

from ....wording import counted
from ... import raw
from ...catalogue import ONCE, Section
from ..peer import Peer

section = Section("keepalive", "PEER-PING", needs=("PEER-LOGIN-01",))


def stays_in_silence(t: Peer, *, heartbeat: int) -> None:
    """Say nothing for a moment: the client stays, and may send a Ping."""
    t.welcome(heartbeat=heartbeat)
    frame = t.connection.next(t.soon())
    is_ping = frame is None or frame.type == raw.PING
    t.check(
        is_ping and not t.connection.ended,
        "silence, or a Ping",
        t.connection.ended or "another frame",
    )
    if frame is not None:
        t.connection.answer(frame)
    t.tell(t.message("bob", "good morning"))
    t.expect_silence()


@section.case(
    1,
    "answers a Ping with one Pong, with its seq and no body",
    "EP-3.7-1",
    "EP-3.7-2",
    "EP-3.7-3",
    cause="the Pong has a number of the client's, or the Ping is not answered at all",
)
def ping(t: Peer) -> None:
    t.welcome()
    t.send(raw.ping(7), raw.ping(9))
    for seq in (7, 9):
        pong = t.asked(raw.PONG)
        t.check(pong.seq == seq, f"a Pong with seq {seq}", f"seq {pong.seq}")
        t.check(not pong.body, "a Pong without a body", counted(len(pong.body), "byte"))


@section.case(
    2,
    "answers every Ping while facts rush in, in order",
    "EP-3.7-2",
    "EP-3.7-3",
    "EP-4.2-13",
    cause="Pings are answered from the last one only, or when nothing else is to be read",
    needs=("PEER-PING-01", "PEER-FACT-01"),
)
def ping_while_busy(t: Peer) -> None:
    t.welcome()
    facts = [t.message("bob", f"number {n}") for n in range(100)]
    pings = [raw.ping(1000 + n) for n in range(100)]
    t.send(*(frame for pair in zip(facts, pings, strict=True) for frame in pair))
    for n in range(100):
        t.answers(1000 + n)
    t.shows(*facts)


@section.case(
    3,
    "keeps the server's numbers of Pings apart from those of its own requests",
    "EP-3.7-2",
    "EP-4.2-11",
    cause="a Ping's seq is looked up among its own requests",
    needs=("PEER-PING-01", "PEER-SAY-01"),
)
def own_numbers(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    t.send(raw.ping(request.seq))
    t.answers(request.seq)
    t.tell(t.ack(request))
    t.expect_silence()


@section.case(
    4,
    "says nothing, and stays, while the server is silent and has no heartbeat",
    "EP-9.1-7",
    cause="a silent server is left after a time of the client's own",
    needs=("PEER-PING-01", "PEER-FACT-01"),
    segmentations=ONCE,
)
def silence(t: Peer) -> None:
    stays_in_silence(t, heartbeat=0)


@section.case(
    5,
    "answers a Ping that comes before its Welcome",
    "EP-3.7-3",
    cause="Pings are answered by members only",
    needs=("PEER-PING-01",),
)
def ping_before_welcome(t: Peer) -> None:
    login = t.login()
    t.send(raw.ping(7))
    t.answers(7)
    t.tell(t.welcome_to(login))
