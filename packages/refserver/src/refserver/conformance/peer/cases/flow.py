"""Pings in any number, and silence. Sections 3.7 and 9.1."""

from __future__ import annotations

from ... import raw
from ...catalogue import ONCE, Section
from ..peer import Peer
from .keepalive import stays_in_silence

section = Section("flow", "PEER-FLOW", needs=("PEER-LOGIN-01", "PEER-FACT-01", "PEER-PING-01"))
FLOOD = 5_000


@section.case(
    1,
    "answers each of many Pings that come at once, in order",
    "EP-3.7-2",
    "EP-3.7-3",
    cause="one Pong is sent for each read, or the last Ping is kept and answered later",
    segmentations=ONCE,
)
def flood(t: Peer) -> None:
    t.welcome()
    t.send_whole(*(raw.ping(seq) for seq in range(1, FLOOD + 1)))
    for seq in range(1, FLOOD + 1):
        t.answers(seq)


@section.case(
    2,
    "answers two Pings with the same number twice",
    "EP-3.7-3",
    cause="a Ping with a number that is known is treated as a repetition",
)
def same_number(t: Peer) -> None:
    t.welcome()
    t.send(raw.ping(7), raw.ping(7))
    t.answers(7)
    t.answers(7)


@section.case(
    3,
    "stays in a silence that is shorter than the heartbeat",
    "EP-9.1-7",
    cause="the client reckons with milliseconds, or expects a byte in each part of a heartbeat",
    segmentations=ONCE,
)
def short_silence(t: Peer) -> None:
    stays_in_silence(t, heartbeat=1)
