"""What the clocks of a server check while something goes on. Sections 9.1 and 9.2.

Rule: a silence is the client's own, measured by its bytes alone. Each case waits for one
clock, of a few seconds.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection
from ..model import Level
from ..streams import Stream
from ..web_frames import BINARY, PING, web, web_frame
from .keepalive import HEARTBEAT, SLACK, awaited, member_since
from .order import gapless
from .paging import fill_up
from .resume import resumed
from .websocket import shake_hands

section = Section("clocks", "CLOCK", segmentations=ONCE)
LOGIN_TIMEOUT = ("login-timeout",)
LOGIN_WITHIN = 10.0
"""Seconds in which a server that declares `login-timeout` ends a client that does not log in."""
OFTEN = 0.1
"""Seconds between two signs of life of somebody who is busy."""


def busy(
    t: Attempt, conn: Connection, watched: Connection, wanted: e.Expectation, seconds: float
) -> None:
    """Let somebody talk on until somebody else has this frame, or the time is over."""
    deadline = time.monotonic() + seconds + t.timeout
    while time.monotonic() < deadline:
        conn.said(t.text("on and on"))
        until = time.monotonic() + OFTEN
        while (frame := watched.next(until)) is not None:
            if wanted.fits(frame):
                return
        if watched.ended:
            break
    raise t.fail(wanted.says[0], watched.silence)


def ended_meanwhile(t: Attempt, *members: Connection) -> None:
    """A stranger is ended for not logging in, while these members are there and stay."""
    stranger = t.connect("stranger")
    deadline = time.monotonic() + LOGIN_WITHIN + t.timeout
    wanted = e.fatal(raw.TIMEOUT)
    while (frame := stranger.next(time.monotonic() + OFTEN)) is None:
        t.check(not stranger.ended and time.monotonic() < deadline, wanted.says, stranger.silence)
        for conn in members:
            conn.sync()
    t.check(wanted.fits(frame), wanted.says, "another frame")
    for conn in members:
        conn.sync()


@section.case(
    1,
    "the deadline for the login ends no member, with any kind of login",
    "EP-9.2-1",
    cause="the timer is not stopped when a Login is accepted",
    capabilities=LOGIN_TIMEOUT,
    needs=("ALIVE-07",),
    level=Level.SHOULD,
)
def login_deadline_and_members(t: Attempt) -> None:
    ann = t.member("ann")
    bob = t.connect("bob")
    identity = t.identity("ann")
    bob.send(raw.login(bob.seq(), identity.name, identity.credential))
    bob.expect(e.error(raw.USER_TAKEN, 1))
    bob.login()
    ended_meanwhile(t, ann, bob)


@section.case(
    2,
    "the deadline for logging in does not end a resumed member",
    "EP-9.2-1",
    cause="the timer is stopped by a fresh login only",
    capabilities=(*LOGIN_TIMEOUT, "resume"),
    needs=("ALIVE-07", "RESUME-06"),
    level=Level.SHOULD,
)
def login_deadline_and_resumed(t: Attempt) -> None:
    old = t.member("ann")
    new = resumed(t, old, old.place)
    ended_meanwhile(t, new)


@section.case(
    3,
    "other frames do not renew the deadline for the login",
    "EP-9.2-1",
    cause="the time is counted from the last byte, or from the last refusal",
    capabilities=LOGIN_TIMEOUT,
    needs=("ALIVE-07",),
    level=Level.SHOULD,
)
def login_deadline_is_not_renewed(t: Attempt) -> None:
    chatty = t.connect("stranger")
    identity = t.identity("stranger")
    refused = raw.login(3, identity.name, identity.credential, 0, 1)
    wanted = e.fatal(raw.TIMEOUT)
    deadline = time.monotonic() + LOGIN_WITHIN + t.timeout
    while time.monotonic() < deadline:
        chatty.send_piece(raw.ping(2) + refused)
        until = time.monotonic() + OFTEN
        while (frame := chatty.next(until)) is not None:
            if wanted.fits(frame):
                return
        t.check(not chatty.ended, wanted.says, chatty.ended)
    raise t.fail(wanted.says[0], "it is still there")


@section.case(
    4,
    "a silent member gets a Ping while others send all the time",
    "EP-9.1-1",
    cause="bytes of the server or of other clients restart the silence",
    capabilities=HEARTBEAT,
    needs=("ALIVE-01",),
)
def asked_in_a_busy_room(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    busy(t, bob, ann, e.question(), ann.heartbeat)


@section.case(
    5,
    "a silent member is ended while others send all the time, after all entries",
    "EP-9.1-2",
    "EP-8.2-8",
    cause="bytes of the server restart the silence, or the end overtakes due bytes",
    capabilities=HEARTBEAT,
    needs=("ALIVE-02",),
)
def ended_in_a_busy_room(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.answers = False
    busy(t, bob, ann, e.fatal(raw.TIMEOUT), 2 * ann.heartbeat)
    ann.expect(e.END)
    gapless(t, ann)
    bob.sync()
    left = [f.seq for f in bob.seen if f.type == raw.LEFT and f.author == ann.user.encode()]
    last = max((f.seq for f in ann.seen if f.is_fact), default=ann.place)
    t.check(left[:1] == [last + 1] or not left, "every entry up to its Left", f"up to {last}")


@section.case(
    6,
    "a Message instead of the Pong ends the silence, and the next silence gets a Ping too",
    "EP-9.1-1",
    "EP-9.1-3",
    cause="only a Pong makes the server ask again",
    capabilities=HEARTBEAT,
    needs=("ALIVE-01",),
)
def answered_by_a_message(t: Attempt) -> None:
    ann = t.member()
    ann.answers = False
    awaited(ann, e.question(), ann.heartbeat)
    ann.said(t.text("here"))
    awaited(ann, e.question(), ann.heartbeat)
    ann.sync()


@section.case(
    7,
    "a resumed member gets a Ping, and is ended, like any other member",
    "EP-9.1-1",
    "EP-9.1-2",
    cause="the clocks are started by a fresh login only",
    capabilities=(*HEARTBEAT, "resume"),
    needs=("ALIVE-02", "RESUME-06"),
)
def resumed_is_asked(t: Attempt) -> None:
    old = t.member()
    new = t.connect("ann")
    start = t.now
    new.login(ticket=old.ticket, position=old.place)
    new.answers = False
    awaited(new, e.question(), new.heartbeat)
    came = awaited(new, e.fatal(raw.TIMEOUT), new.heartbeat)
    t.check(came - start >= SLACK * 2 * new.heartbeat, "after two heartbeats", "earlier")


@section.case(
    8,
    "a member that is silent in the middle of a frame gets a Ping, and is ended, like any other",
    "EP-9.1-1",
    "EP-9.1-2",
    cause="a frame that is not whole stops the clocks",
    capabilities=HEARTBEAT,
    needs=("ALIVE-02",),
)
def silent_inside_of_a_frame(t: Attempt) -> None:
    ann = t.member()
    ann.answers = False
    ann.send_piece(raw.message(9, t.text("half"))[:20])
    awaited(ann, e.question(), ann.heartbeat)
    awaited(ann, e.fatal(raw.TIMEOUT), ann.heartbeat)


@section.case(
    9,
    "after a timeout the name is free, and the session can be resumed",
    "EP-5.4-5",
    "EP-6.4-2",
    cause="a member that timed out is not let go, or is forgotten with its session",
    capabilities=(*HEARTBEAT, "resume"),
    needs=("ALIVE-05", "RESUME-02"),
)
def after_a_timeout(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.member("ann")
    ann.answers = False
    position = bob.said(t.text("read"))
    busy(t, bob, ann, e.fatal(raw.TIMEOUT), 2 * ann.heartbeat)
    other = t.member("ann")
    other.send(raw.logout(9))
    other.expect(e.ack(9), e.END)
    again = resumed(t, ann, position)
    again.sync()
    found = [f.entry for f in again.seen if f.entry]
    follows = list(range(position + 1, position + 1 + len(found)))
    t.check(found == follows, f"positions {follows}", f"positions {found}")


@section.case(
    10,
    "a member gets a Ping in each silence, never with seq 0, and any Pong ends the silence",
    "EP-9.1-3",
    "EP-2.2-7",
    "EP-3.7-6",
    cause="the number of a Ping is one bit, or a Pong counts only under the right one",
    capabilities=HEARTBEAT,
    needs=("ALIVE-03",),
)
def any_pong_answers(t: Attempt) -> None:
    ann = t.member()
    ann.answers = False
    for seq in (2**63, 2**32, 1):
        awaited(ann, e.question(), ann.heartbeat)
        t.check(ann.seen[-1].seq != 0, "a seq other than 0", "0")
        ann.send(raw.pong(seq))
    ann.expect_silence()


@section.case(
    11,
    "two silent members each get a Ping at their own time",
    "EP-9.1-1",
    cause="one clock for all members, or the first one that is due hides the others",
    capabilities=HEARTBEAT,
    needs=("ALIVE-01",),
)
def two_silences(t: Attempt) -> None:
    ann, start = member_since(t)
    bob = t.member("bob")
    second = t.now + 0.4 * ann.heartbeat
    while t.now < second:
        bob.next(time.monotonic() + OFTEN)
    bob.send_piece(raw.pong(1))
    first = awaited(ann, e.question(), ann.heartbeat)
    later = awaited(bob, e.question(), bob.heartbeat)
    t.check(first - start >= SLACK * ann.heartbeat, "ann after one heartbeat", "earlier")
    t.check(later - second >= SLACK * bob.heartbeat, "bob after one heartbeat", "earlier")


@section.case(
    12,
    "a silent member that does not read is ended after all entries that it has not read",
    "EP-9.1-2",
    "EP-8.2-8",
    cause="at a timeout, the due bytes of a member that does not read are dropped",
    capabilities=(*HEARTBEAT, "presence"),
    needs=("CLOCK-05",),
)
def ended_with_a_backlog(t: Attempt) -> None:
    bob = t.member("bob")
    ann = t.member("ann", receive_buffer=8_192)
    ann.recording = False
    fill_up(t, bob)
    left = e.left(ann.user, raw.LOST_REASON)
    position = bob.expect_by(left, time.monotonic() + 2 * ann.heartbeat + t.timeout)
    ann.answers = False
    ann.to_the_end()
    last = ann.seen[-1]
    t.check(e.fatal(raw.TIMEOUT).fits(last), "TIMEOUT at the end", ann.silence)
    gapless(t, ann)
    facts = [f.seq for f in ann.seen if f.is_fact]
    t.check(position is not None and facts[-1:] == [position.seq - 1], "every entry", "not all")


# ---------------------------------------------------------------- over WebSocket


@section.case(
    13,
    "control frames of WebSocket do not end a silence",
    "EP-16.1-3",
    "EP-9.1-2",
    cause="the clock is set by whatever the socket reads",
    capabilities=("websocket", "heartbeat"),
    needs=("ALIVE-02",),
)
def control_frames_are_silence(t: Attempt) -> None:
    silent_but_for(t, lambda at: web_frame(PING, bytes([at % 256])))


@section.case(
    14,
    "the bytes of a frame of WebSocket that is not whole do not end a silence",
    "EP-16.1-3",
    "EP-9.1-2",
    cause="the clock is set by whatever the socket reads",
    capabilities=("websocket", "heartbeat"),
    needs=("ALIVE-02",),
)
def half_a_frame_is_silence(t: Attempt) -> None:
    whole = web_frame(BINARY, raw.message(9, "x" * 60_000))
    silent_but_for(t, lambda at: whole[at : at + 1])


def silent_but_for(t: Attempt, piece: Callable[[int], bytes]) -> None:
    """A member that sends these now and then, and nothing else, is ended with TIMEOUT."""
    ann = t.member()
    ann.answers = False
    deadline = time.monotonic() + 2 * ann.heartbeat + t.timeout
    at = 0
    while not ann.ended and time.monotonic() < deadline:
        with suppress(OSError):
            web(ann).put(piece(at))
        at += 1
        ann.next(min(deadline, time.monotonic() + ann.heartbeat / 5))
    codes = [frame.number("code") for frame in ann.seen if frame.type == raw.ERROR]
    t.check(codes == [raw.TIMEOUT], "TIMEOUT", f"codes {codes}" if codes else ann.silence)


@section.case(
    15,
    "the time to log in begins before the handshake",
    "EP-16.2-7",
    cause="the handshake begins the time to log in anew",
    capabilities=("websocket", "login-timeout"),
    needs=("ALIVE-07",),
)
def login_deadline_with_handshake(t: Attempt) -> None:
    first, start = t.connect("first"), t.now
    first.expect_by(e.fatal(raw.TIMEOUT), time.monotonic() + LOGIN_WITHIN + t.timeout)
    half = (t.now - start) / 2
    after: list[Connection] = []

    def late_handshake(sock: socket.socket) -> Stream:
        time.sleep(half)
        after.append(t.connect("after"))
        return shake_hands(t)(sock)

    late = t.connect("late", wrap=late_handshake)
    late.expect_by(e.fatal(raw.TIMEOUT), time.monotonic() + LOGIN_WITHIN + t.timeout)
    is_first = after[0].next(time.monotonic()) is None
    t.check(is_first, "the first to connect ends first", "another ended before it")
