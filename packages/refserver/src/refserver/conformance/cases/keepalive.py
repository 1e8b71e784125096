"""Silence, and what a server makes of it. Section 9."""

from __future__ import annotations

import time

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection
from ..model import Level

section = Section("keepalive", "ALIVE", segmentations=ONCE)
HEARTBEAT = ("heartbeat",)
SLACK = 0.9
"""Part of an interval that must have passed: clocks and networks are not exact."""


def member_since(t: Attempt) -> tuple[Connection, float]:
    """A member, and a time that is not later than its last byte, however slow anybody is."""
    conn, start = t.connect(), t.now
    conn.login()
    return conn, start


def awaited(conn: Connection, expectation: e.Expectation, seconds: float) -> float:
    """Await what must come within so many seconds more than the timeout; returns when it came."""
    conn.expect_by(expectation, time.monotonic() + seconds + conn.timeout)
    return conn.transcript.now


@section.case(
    1,
    "a silent member gets a Ping after one heartbeat, and not before",
    "EP-9.1-1",
    cause="the silence is never measured, or from the last byte sent",
    capabilities=HEARTBEAT,
)
def asked(t: Attempt) -> None:
    ann, start = member_since(t)
    came = awaited(ann, e.question(), ann.heartbeat)
    t.check(
        came - start >= SLACK * ann.heartbeat,
        f"after {ann.heartbeat} s",
        f"after {came - start:.2f} s",
    )


@section.case(
    2,
    "a member that stays silent gets one Ping, and is ended with TIMEOUT after two heartbeats",
    "EP-9.1-2",
    "EP-9.1-4",
    cause="the Ping starts the silence anew, or is sent again and again",
    capabilities=HEARTBEAT,
    needs=("ALIVE-01",),
)
def timed_out(t: Attempt) -> None:
    ann, start = member_since(t)
    ann.answers = False
    came = awaited(ann, e.fatal(raw.TIMEOUT), 2 * ann.heartbeat)
    asked = [frame for frame in ann.seen if frame.type == raw.PING]
    t.check(came - start >= SLACK * 2 * ann.heartbeat, "after two heartbeats", "earlier")
    t.check(len(asked) == 1, "one Ping", f"{len(asked)} of them")


@section.case(
    3,
    "a member that answers the Ping is not ended",
    "EP-9.1-3",
    cause="a Pong does not count as a sign of life",
    capabilities=HEARTBEAT,
    needs=("ALIVE-01",),
)
def answered(t: Attempt) -> None:
    ann = t.member()
    for _ in range(2):
        ann.expect_by(e.question(), time.monotonic() + ann.heartbeat + t.timeout)
        ann.answer(ann.seen[-1])
    ann.sync()


@section.case(
    4,
    "any byte starts the silence anew, also of a frame that is not whole",
    "EP-9.1-3",
    cause="only whole frames count as a sign of life",
    capabilities=HEARTBEAT,
    needs=("ALIVE-01",),
)
def any_byte(t: Attempt) -> None:
    ann = t.member()
    ann.expect_by(e.question(), time.monotonic() + ann.heartbeat + t.timeout)
    start = t.now
    ann.send_piece(raw.message(9, t.text("slowly"))[:5])
    came = awaited(ann, e.question(), ann.heartbeat)
    t.check(came - start >= SLACK * ann.heartbeat, "a whole heartbeat later", "earlier")
    ann.send_piece(raw.message(9, t.text("slowly"))[5:])
    ann.expect(e.ack(9))


@section.case(
    5,
    "a member that timed out has left with reason 1",
    "EP-5.4-4",
    "EP-9.1-2",
    cause="a timeout is told like an eviction",
    capabilities=(*HEARTBEAT, "presence"),
    needs=("ALIVE-02",),
)
def left_after_timeout(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    ann.answers = False
    bob.expect_by(
        e.left(ann.user, raw.LOST_REASON), time.monotonic() + 2 * ann.heartbeat + t.timeout
    )


@section.case(
    6,
    "a client without login gets no Ping",
    "EP-4.1-3",
    cause="every connection gets a Ping, also before login",
    capabilities=HEARTBEAT,
)
def not_before_login(t: Attempt) -> None:
    stranger, ann = t.connect("stranger"), t.member("ann")
    ann.expect_by(e.question(), time.monotonic() + ann.heartbeat + t.timeout)
    came = [frame for frame in stranger.sync() if frame.type == raw.PING]
    t.check(not came, "no Ping before login", "a Ping")


@section.case(
    7,
    "a connection that does not log in is ended with TIMEOUT",
    "EP-9.2-1",
    "EP-10.2-1",
    cause="the deadline is there, and nothing is said",
    capabilities=("login-timeout",),
    level=Level.SHOULD,
)
def login_deadline(t: Attempt) -> None:
    stranger = t.connect("stranger")
    stranger.expect_by(e.fatal(raw.TIMEOUT), time.monotonic() + 10 + t.timeout)
    stranger.expect(e.END)
