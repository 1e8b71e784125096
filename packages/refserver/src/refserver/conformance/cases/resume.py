"""A session that goes on, on another connection. Section 6.4."""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section
from ..connection import Connection, entries

section = Section("resume", "RESUME", needs=("LOGIN-01", "MSG-02"))

RESUME = ("resume",)
PRESENCE = ("resume", "presence")


def lost(t: Attempt, conn: Connection) -> None:
    """End a connection, and know that the server has noticed."""
    conn.half_close()
    while conn.next(conn.deadline()) is not None:
        continue
    t.check(bool(conn.ended), "the end of the stream", "nothing came in time")


def resumed(t: Attempt, old: Connection, position: int) -> Connection:
    """A new connection of the old one's session, after that position."""
    conn = t.connect(old.who)
    conn.login(ticket=old.ticket, position=position)
    return conn


def refused(
    t: Attempt, who: str, ticket: int, position: int, user: str | None = None
) -> Connection:
    """A Login that gets HISTORY_GONE."""
    conn = t.connect(who)
    identity = t.identity(who)
    name = identity.name if user is None else user
    conn.send(raw.login(conn.seq(), name, identity.credential, ticket, position))
    conn.expect(e.error(raw.HISTORY_GONE, 1))
    return conn


@section.case(
    1,
    "a resume is welcomed with the position that it requested and the same ticket",
    "EP-6.4-1",
    "EP-6.4-2",
    cause="a resume is handled like a fresh login",
    capabilities=RESUME,
)
def welcomed(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    again = resumed(t, ann, ann.place)
    t.check(again.place == ann.place, f"position {ann.place}", f"position {again.place}")
    t.check(again.ticket == ann.ticket, "the same ticket", "another ticket")


@section.case(
    2,
    "what was said meanwhile is replayed in order, without a gap",
    "EP-5.2-1",
    "EP-6.4-2",
    cause="a resume begins at the end of the log, or one entry too late",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def replayed(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    lost(t, ann)
    for n in range(3):
        bob.said(t.text(f"meanwhile {n}"))
    again = resumed(t, ann, ann.place)
    again.expect(*(e.message(bob.user, t.text(f"meanwhile {n}")) for n in range(3)))
    again.sync()
    found = entries(again.seen)
    follows = list(range(ann.place + 1, ann.place + 1 + len(found)))
    t.check(found == follows, f"positions {follows}", f"positions {found}")


@section.case(
    3,
    "with presence, a member's own Joined is in the replay, at its position",
    "EP-6.4-3",
    cause="its own arrival is left out as at a fresh login",
    capabilities=PRESENCE,
    needs=("RESUME-01",),
)
def own_joined(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    again = resumed(t, ann, ann.place)
    again.expect(e.joined(ann.user))


@section.case(
    4,
    "its own older messages are replayed as facts",
    "EP-5.2-3",
    cause="messages of the same name are left out",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def own_messages(t: Attempt) -> None:
    ann = t.member()
    position = ann.said(t.text("mine"))
    lost(t, ann)
    again = resumed(t, ann, ann.place)
    again.expect(e.message(ann.user, t.text("mine"), position))


@section.case(
    5,
    "nothing at or before the position that was requested is replayed",
    "EP-5.2-1",
    cause="the whole session is replayed",
    capabilities=RESUME,
    needs=("RESUME-02",),
)
def from_the_middle(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    position = bob.said(t.text("read"))
    bob.said(t.text("unread"))
    lost(t, ann)
    again = resumed(t, ann, position)
    first = again.expect(e.message(bob.user, t.text("unread")))
    t.check(first.seq == position + 1 or entries(again.seen)[0] == position + 1, "n + 1", "later")


@section.case(
    6,
    "an accepted resume ends the older connection with USER_TAKEN, seq 0",
    "EP-6.4-10",
    "EP-8.2-2",
    cause="the older connection is left open, or closed without an Error",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def takeover(t: Attempt) -> None:
    ann = t.member()
    resumed(t, ann, ann.place)
    ann.ends(raw.USER_TAKEN)


@section.case(
    7,
    "at a takeover others read Left with reason 1, then Joined",
    "EP-6.4-11",
    "EP-5.4-2",
    cause="the takeover is not told to the room, or in the other order",
    capabilities=PRESENCE,
    needs=("RESUME-06",),
)
def takeover_is_told(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    resumed(t, ann, ann.place)
    gone = bob.expect(e.left(ann.user, raw.LOST_REASON))
    back = bob.expect(e.joined(ann.user))
    t.check(gone.seq < back.seq, "Left before Joined", "the other order")


@section.case(
    8,
    "after a takeover what the older connection sends has no effect",
    "EP-6.4-12",
    "EP-8.2-4",
    cause="the older connection is read until it is closed",
    capabilities=RESUME,
    needs=("RESUME-06",),
)
def takeover_silences(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    resumed(t, ann, ann.place)
    ann.send(raw.message(9, t.text("from the past")))
    ann.ends(raw.USER_TAKEN)
    said = [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(not said, "nothing from the older connection", "its Message")


@section.case(
    9,
    "a ticket that nobody has is HISTORY_GONE, and the connection continues",
    "EP-6.4-5",
    "EP-4.3-5",
    cause="an unknown ticket is treated as a fresh login",
)
def unknown_ticket(t: Attempt) -> None:
    conn = refused(t, "ann", 0x0123456789ABCDEF, 1)
    conn.login()


@section.case(
    10,
    "a position that is not there yet is HISTORY_GONE",
    "EP-6.4-6",
    cause="the position is cut to the last one",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def future_position(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    refused(t, "ann", ann.ticket, ann.place + 1_000_000)
    refused(t, "ann", ann.ticket, 2**63)


@section.case(
    11,
    "a position before the session's first Welcome is HISTORY_GONE",
    "EP-6.4-4",
    "EP-6.4-6",
    cause="a ticket opens the whole history",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def before_the_session(t: Attempt) -> None:
    bob = t.member("bob")
    bob.said(t.text("before ann"))
    ann = t.member("ann")
    lost(t, ann)
    refused(t, "ann", ann.ticket, ann.place - 1)
    refused(t, "ann", ann.ticket, 0)


@section.case(
    12,
    "ticket 0 with a position is HISTORY_GONE",
    "EP-6.4-7",
    cause="a position without a ticket is ignored",
)
def no_ticket(t: Attempt) -> None:
    refused(t, "ann", 0, 1)


@section.case(
    13,
    "a ticket of a session with another name is HISTORY_GONE",
    "EP-6.4-5",
    cause="the name is not compared with the session's",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def anothers_ticket(t: Attempt) -> None:
    ann = t.member("ann")
    t.identity("bob")
    lost(t, ann)
    refused(t, "bob", ann.ticket, ann.place)


@section.case(
    14,
    "all HISTORY_GONE look alike",
    "EP-6.4-8",
    cause="the text of the error says which of the reasons it was",
    capabilities=RESUME,
    needs=("RESUME-01", "RESUME-09", "RESUME-10", "RESUME-11", "RESUME-12"),
)
def look_alike(t: Attempt) -> None:
    bob = t.member("bob")
    bob.said(t.text("before ann"))
    ann = t.member("ann")
    lost(t, ann)
    tries = ((0x0123456789ABCDEF, 1), (ann.ticket, ann.place + 1_000_000), (ann.ticket, 0), (0, 1))
    frames = {refused(t, "ann", *each).seen[-1].raw for each in tries}
    t.check(len(frames) == 1, "the same bytes each time", counted(len(frames), "different error"))


@section.case(
    15,
    "an empty user is taken as the name of the session",
    "EP-6.4-9",
    cause="an empty user gets a new name, whatever the ticket",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def empty_user(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    again = t.connect("again")
    again.send(raw.login(1, "", t.identity("ann").credential, ann.ticket, ann.place))
    granted = again.expect(e.welcome(1)).text("user")
    t.check(granted == ann.user.encode(), ann.user, granted)


@section.case(
    16,
    "a refused resume leaves the older connection as it was",
    "EP-6.4-13",
    cause="the older connection is ended before the position is checked",
    capabilities=RESUME,
    needs=("RESUME-10",),
)
def refused_resume(t: Attempt) -> None:
    ann = t.member()
    refused(t, "ann", ann.ticket, ann.place + 1_000_000)
    ann.said(t.text("still here"))


@section.case(
    17,
    "a name that a member of another session has by now is USER_TAKEN",
    "EP-6.4-14",
    cause="a ticket takes its name from the member that has it",
    capabilities=RESUME,
    needs=("RESUME-01", "ORDER-11"),
)
def name_taken_meanwhile(t: Attempt) -> None:
    ann = t.member("ann")
    lost(t, ann)
    other = t.connect("ann")
    other.login()
    again = t.connect("ann")
    identity = t.identity("ann")
    again.send(raw.login(1, identity.name, identity.credential, ann.ticket, ann.place))
    again.expect(e.error(raw.USER_TAKEN, 1))
    other.sync()


@section.case(
    18,
    "the Pong of a Ping directly after the Login comes after the replay",
    "EP-6.5-1",
    "EP-5.2-4",
    cause="replies overtake the replay",
    capabilities=RESUME,
    needs=("RESUME-02",),
)
def pong_behind_replay(t: Attempt) -> None:
    ann = t.member()
    seqs = range(2, 12)
    ann.send(*(raw.message(seq, t.text(f"{seq}")) for seq in seqs))
    lost(t, ann)
    again = t.connect("ann")
    identity = t.identity("ann")
    login = raw.login(1, identity.name, identity.credential, ann.ticket, ann.place)
    again.send(login, raw.ping(2))
    again.expect(e.welcome(1), e.pong(2))
    mine = [f for f in again.seen if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(len(mine) == len(seqs), "10 own messages before the Pong", f"{len(mine)} of them")


@section.case(
    19,
    "a session can be resumed again, with the same ticket",
    "EP-6.4-1",
    cause="a ticket is good once",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def twice(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    again = resumed(t, ann, ann.place)
    lost(t, again)
    third = resumed(t, ann, ann.place)
    t.check(third.ticket == ann.ticket, "the same ticket", "another ticket")


@section.case(
    20,
    "what is said after a resume is a member's",
    "EP-6.4-2",
    "EP-5.2-2",
    cause="a resumed connection is only a reader",
    capabilities=RESUME,
    needs=("RESUME-01",),
)
def speaks_again(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    lost(t, ann)
    again = resumed(t, ann, ann.place)
    position = again.said(t.text("back"))
    bob.expect(e.message(ann.user, t.text("back"), position))
