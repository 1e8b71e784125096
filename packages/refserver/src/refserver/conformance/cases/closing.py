"""Clean, explained and lost; and how a connection is closed. Section 10."""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section

section = Section("close and half-close", "CLOSE")
PRESENCE = ("presence",)


@section.case(
    1,
    "the Ack of a Logout is the last frame, and the stream ends",
    "EP-10.1-1",
    "EP-10.4-1",
    cause="the connection is left open for the client to close",
)
def clean(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.logout(9))
    ann.expect(e.ack(9), e.END)


@section.case(
    2,
    "bytes after a Logout are discarded",
    "EP-4.3-6",
    cause="frames that came with the Logout are still handled",
    needs=("MSG-01",),
)
def discarded(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.logout(9), raw.ping(10), raw.message(11, t.text("posthumous")), b"\xff" * 40)
    ann.expect(e.ack(9), e.END)
    said = [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(not said, "nothing said after the Logout", "a Message")


@section.case(
    3,
    "the frames before a client's end of stream are answered",
    "EP-10.3-3",
    cause="the end of the stream ends the connection at once",
    needs=("MSG-01",),
)
def answered_before_the_end(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.message(9, t.text("last words")), raw.ping(10))
    ann.half_close()
    ann.expect(e.ack(9), e.pong(10))


@section.case(
    4,
    "at a member's end of stream the server closes too",
    "EP-10.3-4",
    cause="a half-closed connection is kept forever",
)
def closes_too(t: Attempt) -> None:
    ann = t.member()
    ann.half_close()
    ann.nothing_more()


@section.case(
    5,
    "a member whose stream ends has left, with reason 1",
    "EP-10.3-4",
    "EP-5.4-4",
    cause="the end of a stream is treated as a Logout",
    capabilities=PRESENCE,
)
def half_close_is_a_loss(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.half_close()
    ann.nothing_more()
    bob.expect(e.left(ann.user, raw.LOST_REASON))


@section.case(
    6,
    "the entries made before a member's end of stream are sent to it",
    "EP-10.3-4",
    cause="what is queued is dropped at the end of the stream",
    needs=("MSG-02",),
)
def entries_before_the_end(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for n in range(5):
        bob.said(t.text(f"line {n}"))
    ann.half_close()
    ann.expect(*(e.message(bob.user, t.text(f"line {n}")) for n in range(5)), e.END)


@section.case(
    7,
    "a Login and the end of the stream together are both handled",
    "EP-10.3-3",
    cause="the end of the stream is seen before what came with it",
)
def login_and_end(t: Attempt) -> None:
    ann = t.connect()
    identity = t.identity("ann")
    ann.send(raw.login(1, identity.name, identity.credential), raw.ping(2))
    ann.half_close()
    ann.expect(e.welcome(1), e.pong(2), e.END)


@section.case(
    8,
    "a Logout and the end of the stream together are a clean end",
    "EP-10.3-3",
    "EP-5.4-4",
    cause="the end of the stream overtakes the Logout",
    capabilities=PRESENCE,
)
def logout_and_end(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.logout(9))
    ann.half_close()
    ann.expect(e.ack(9), e.END)
    bob.expect(e.left(ann.user, raw.LEFT_REASON))


@section.case(
    9,
    "a stream that ends before login is closed without an Error",
    "EP-4.1-3",
    "EP-10.3-4",
    cause="the end of the stream is answered with an error",
)
def end_before_login(t: Attempt) -> None:
    ann = t.connect()
    ann.half_close()
    ann.expect(e.END)
    t.check(not ann.seen, "no frame", counted(len(ann.seen), "frame"))


@section.case(
    10,
    "a fatal error arrives though the client continues to send",
    "EP-10.4-1",
    cause="the socket is closed with unread input, which resets the connection",
    segmentations=ONCE,
    negative=True,
)
def closed_in_stages(t: Attempt) -> None:
    ann = t.connect()
    ann.send_piece(raw.frame(raw.PING, 1, reserved=1) + b"x" * 60_000)
    ann.send_piece(b"y" * 60_000)
    ann.expect(e.fatal(raw.MALFORMED))
    ann.ends_unbroken()


@section.case(
    11,
    "the Ack of a Logout arrives though the client continues to send",
    "EP-10.4-1",
    "EP-4.3-6",
    cause="the socket is closed with unread input, which resets the connection",
    segmentations=ONCE,
)
def logout_closed_in_stages(t: Attempt) -> None:
    ann = t.member()
    ann.send_piece(raw.logout(9) + raw.ping(10) * 3_000)
    ann.send_piece(raw.ping(10) * 3_000)
    ann.expect(e.ack(9))
    ann.ends_unbroken()


@section.case(
    12,
    "members that leave at the same time each have one Left",
    "EP-5.4-2",
    cause="leaving while other members are written to is not handled",
    capabilities=PRESENCE,
)
def all_at_once(t: Attempt) -> None:
    bob = t.member("bob")
    leaving = t.members("ann", "cyd", "dan")
    for conn in leaving:
        conn.send(raw.logout(9))
    for conn in leaving:
        conn.expect(e.ack(9))
    bob.sync()
    left = sorted(f.author or b"" for f in bob.seen if f.type == raw.LEFT and t.is_ours(f))
    names = sorted(conn.user.encode() for conn in leaving)
    t.check(left == names, f"one Left for each of {names}", left)
