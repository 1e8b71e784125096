"""A Logout with work before it and around it, and where the last frame ends. Sections 5 and 10.

Rule: the last frame is after all that was due, and no byte is after it.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section
from ..connection import Connection, entries
from .order import gapless
from .resume import resumed

section = Section("leaving", "LEAVE", needs=("CLOSE-01",))


def ends_whole(t: Attempt, conn: Connection) -> None:
    """The stream ends where its last frame ends."""
    conn.expect(e.END)
    t.check(
        not conn.residue, "the end after a whole frame", f"{counted(conn.residue, 'byte')} more"
    )


@section.case(
    1,
    "Messages and a Logout in one piece are acknowledged in order, the Logout last",
    "EP-4.2-7",
    "EP-5.3-5",
    "EP-10.1-1",
    cause="the Ack of a Logout is written at once, or what waits is dropped",
    needs=("REPLY-01",),
)
def messages_and_logout(t: Attempt) -> None:
    ann = t.member()
    ann.send(*(raw.message(n, t.text(f"{n}")) for n in range(2, 22)), raw.logout(22))
    ann.expect(*(e.ack(n) for n in range(2, 23)), e.END)
    gapless(t, ann)


@section.case(
    2,
    "every request before a Logout in the same piece has its reply before the Ack",
    "EP-4.2-7",
    "EP-4.2-1",
    cause="replies that made no entry are dropped by a Logout",
    needs=("REPLY-01",),
)
def everything_and_logout(t: Attempt) -> None:
    ann = t.member()
    identity = t.identity("ann")
    ann.send(
        raw.ping(2),
        raw.message(3, t.text("3")),
        raw.frame(0x0B, 4),
        raw.application(5, 0x80, b"5"),
        raw.message(6, "as whom?", sender="bob"),
        raw.login(7, identity.name, identity.credential),
        raw.ping(8),
        raw.logout(9),
    )
    ann.expect(e.pong(2), e.ack(3), e.error(raw.UNKNOWN_TYPE, 4), e.ack(5))
    ann.expect(e.error(raw.UNEXPECTED_EVENT, 6), e.error(raw.ALREADY_LOGGED_IN, 7))
    ann.expect(e.pong(8), e.ack(9), e.END)


@section.case(
    3,
    "Messages of others from before a Logout are carried before its Ack",
    "EP-5.2-1",
    "EP-5.3-2",
    cause="a member that leaves gets no more entries",
    needs=("MSG-02",),
)
def others_words_before_the_ack(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    seqs = range(2, 32)
    bob.send(*(raw.message(n, t.text(f"{n}")) for n in seqs))
    bob.expect(*(e.ack(n) for n in seqs))
    ann.send(raw.logout(9))
    ann.expect(*(e.message(bob.user, t.text(f"{n}")) for n in seqs))
    ann.expect(e.ack(9), e.END)
    gapless(t, ann)


@section.case(
    4,
    "also without presence, the Ack of a Logout comes after earlier Messages of others",
    "EP-5.2-4",
    "EP-5.3-2",
    cause="an Ack that makes no entry is written at once",
    capabilities=("no-presence",),
    needs=("MSG-02", "ORDER-17"),
)
def others_words_without_presence(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    seqs = range(2, 32)
    bob.send(*(raw.message(n, t.text(f"{n}")) for n in seqs))
    bob.expect(*(e.ack(n) for n in seqs))
    ann.send(raw.message(8, t.text("bye")), raw.logout(9))
    ann.expect(*(e.message(bob.user, t.text(f"{n}")) for n in seqs))
    ann.expect(e.ack(8), e.ack(9, 0), e.END)
    gapless(t, ann)


@section.case(
    5,
    "Messages before a Logout in the same piece reach others before the Left",
    "EP-5.3-4",
    "EP-5.3-2",
    cause="the departure is entered before what is still to be entered",
    capabilities=("presence",),
    needs=("ORDER-07",),
)
def last_words(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(*(raw.message(n, t.text(f"{n}")) for n in range(2, 12)), raw.logout(12))
    ann.expect(*(e.ack(n) for n in range(2, 13)))
    bob.sync()
    mine = [f.type for f in bob.seen if f.author == ann.user.encode()]
    expected = [raw.MESSAGE] * 10 + [raw.LEFT]
    t.check(mine == expected, "ten Messages, then Left", f"types {mine}")


@section.case(
    6,
    "a Logout that was refused before login is not kept for later",
    "EP-4.2-9",
    "EP-4.2-8",
    cause="the wish to leave is noted before the state is checked",
    needs=("LOGIN-15",),
)
def refused_logout_is_forgotten(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.logout(ann.seq()))
    ann.expect(e.error(raw.LOGIN_REQUIRED, 1))
    ann.login()
    ann.said(t.text("here"))
    ann.expect_silence()
    ann.said(t.text("still here"))


@section.case(
    7,
    "no byte follows the Ack of a Logout",
    "EP-10.1-1",
    "EP-2.1-1",
    cause="a frame was begun when the last one was decided",
    needs=("CLOSE-01",),
)
def no_byte_behind_the_ack(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.logout(9))
    ann.expect(e.ack(9))
    ends_whole(t, ann)


@section.case(
    8,
    "no byte follows a fatal Error",
    "EP-8.2-3",
    "EP-2.1-1",
    cause="the last frame is padded, or another one was begun",
    needs=("ERR-01",),
    negative=True,
)
def no_byte_behind_a_fatal_error(t: Attempt) -> None:
    for conn in (t.member(), t.connect("stranger")):
        conn.send(raw.frame(raw.PING, 1, version=2))
        conn.expect(e.fatal(raw.UNSUPPORTED_VERSION))
        ends_whole(t, conn)


@section.case(
    9,
    "no byte follows the USER_TAKEN of a takeover",
    "EP-8.2-3",
    "EP-6.4-10",
    cause="the older connection is given something more before it is closed",
    capabilities=("resume",),
    needs=("RESUME-06",),
)
def no_byte_behind_a_takeover(t: Attempt) -> None:
    old = t.member()
    resumed(t, old, old.place)
    old.expect(e.fatal(raw.USER_TAKEN))
    ends_whole(t, old)


@section.case(
    10,
    "at a client's end of stream a server ends its own after a whole frame",
    "EP-10.3-5",
    "EP-2.1-1",
    cause="what is being written is cut, or something is put after it",
    needs=("CLOSE-04",),
)
def no_byte_behind_the_end(t: Attempt) -> None:
    ann, stranger = t.member("ann"), t.connect("stranger")
    ann.send(raw.message(2, t.text("bye")))
    stranger.send(raw.ping(2))
    for conn in (ann, stranger):
        conn.half_close()
        conn.to_the_end()
        ends_whole(t, conn)
    t.check(e.ack(2).fits(_last_reply(ann)), "the Ack of 2", "another frame")
    t.check(e.pong(2).fits(_last_reply(stranger)), "the Pong to 2", "another frame")


def _last_reply(conn: Connection) -> raw.Frame | None:
    return next((f for f in reversed(conn.seen) if not f.is_fact), None)


@section.case(
    11,
    "no byte follows the refusal of bytes that are no frame",
    "EP-8.2-3",
    "EP-2.1-1",
    cause="the fault is answered in another protocol, or twice",
    needs=("FRAME-01",),
    negative=True,
)
def no_byte_behind_garbage(t: Attempt) -> None:
    conn = t.connect()
    conn.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    conn.expect(e.fatal(raw.FRAME_TOO_LARGE))
    ends_whole(t, conn)


@section.case(
    12,
    "no byte follows UNAUTHORIZED",
    "EP-8.2-3",
    "EP-2.1-1",
    cause="a reply that waited comes after the refusal",
    capabilities=("credentials",),
    needs=("LOGIN-24",),
    negative=True,
)
def no_byte_behind_unauthorized(t: Attempt) -> None:
    conn = t.connect()
    conn.send(raw.ping(1), raw.login(2, t.name("ann"), b"not the credential"), raw.ping(3))
    conn.expect(e.pong(1), e.fatal(raw.UNAUTHORIZED))
    ends_whole(t, conn)


@section.case(
    13,
    "a session continues after its Logout, and reads its own Left",
    "EP-6.4-1",
    "EP-5.2-3",
    cause="the Left of a Logout is its connection's alone, and missing in a replay",
    capabilities=("resume", "presence"),
    needs=("RESUME-01", "REPLY-13"),
)
def resumed_after_logout(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.logout(9))
    position = ann.expect(e.ack(9)).entry
    ann.expect(e.END)
    again = resumed(t, ann, ann.place)
    fact = again.expect(e.left(ann.user, raw.LEFT_REASON))
    t.check(fact.seq == position, f"Left at {position}", f"at {fact.seq}")
    again.sync()
    t.check(entries(again.seen)[0] == ann.place + 1, "from one's place on", "a gap")
