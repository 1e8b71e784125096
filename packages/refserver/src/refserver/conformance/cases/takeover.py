"""A session that moves to another connection while the older one is still there. Section 6.4.

Rule: the older connection's end is the older connection's alone.

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
from .resume import lost, resumed

section = Section("takeover", "TAKE", needs=("RESUME-06",))
RESUME = ("resume",)
PRESENCE = ("resume", "presence")


def taken_over(t: Attempt) -> tuple[Connection, Connection]:
    """A member, and the connection that took its session over."""
    old = t.member("ann")
    return old, resumed(t, old, old.place)


def ended(old: Connection) -> None:
    """The older connection has its last frame, and is closed on both sides."""
    old.ends(raw.USER_TAKEN)
    old.half_close()


def told(conn: Connection, user: str) -> list[int]:
    """The types of what was told about somebody's presence."""
    return [f.type for f in conn.seen if f.is_presence and f.author == user.encode()]


@section.case(
    1,
    "when the older connection is closed the name is still the new one's",
    "EP-6.2-4",
    "EP-6.1-6",
    cause="a client that closes frees its name, though it is not its own any more",
    capabilities=RESUME,
)
def old_end_keeps_the_name(t: Attempt) -> None:
    old, new = taken_over(t)
    ended(old)
    new.sync()
    third = t.connect("ann")
    identity = t.identity("ann")
    third.send(raw.login(1, identity.name, identity.credential))
    third.expect(e.error(raw.USER_TAKEN, 1))


@section.case(
    2,
    "when the older connection is closed nobody leaves again",
    "EP-5.4-2",
    cause="the end of a connection makes a Left, whatever was before",
    capabilities=PRESENCE,
    needs=("RESUME-07",),
)
def old_end_is_not_told(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    ended(old)
    new.sync()
    new.said(t.text("still here"))
    bob.sync()
    types = told(bob, old.user)
    expected = [raw.JOINED, raw.LEFT, raw.JOINED]
    t.check(types == expected, "Joined, Left, Joined", counted(len(types), "entry", "entries"))


@section.case(
    3,
    "when the older connection is closed the session can still be resumed",
    "EP-6.4-1",
    cause="the end of a connection forgets its session",
    capabilities=RESUME,
    needs=("RESUME-19",),
)
def old_end_keeps_the_session(t: Attempt) -> None:
    old, new = taken_over(t)
    ended(old)
    new.sync()
    lost(t, new)
    resumed(t, old, old.place)


@section.case(
    4,
    "when the older connection is closed the new one is served on",
    "EP-6.4-2",
    "EP-5.3-2",
    cause="the end of a connection ends what its session has by then",
    capabilities=RESUME,
)
def old_end_leaves_the_new_alone(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    ended(old)
    new.sync()
    bob.expect(e.message(old.user, t.text("here"), new.said(t.text("here"))))
    new.expect(e.message(bob.user, t.text("there"), bob.said(t.text("there"))))


@section.case(
    5,
    "an older connection that is reset disturbs neither the name nor the new one",
    "EP-5.4-2",
    "EP-6.2-4",
    cause="a reset takes another path than the end of the stream",
    capabilities=PRESENCE,
)
def old_is_reset(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    old.reset()
    new.sync()
    new.said(t.text("still here"))
    bob.expect(e.message(old.user, t.text("still here")))
    types = told(bob, old.user)
    t.check(
        types == [raw.JOINED, raw.LEFT, raw.JOINED],
        "one Left",
        counted(len(types), "entry", "entries"),
    )
    third = t.connect("ann")
    identity = t.identity("ann")
    third.send(raw.login(1, identity.name, identity.credential))
    third.expect(e.error(raw.USER_TAKEN, 1))


@section.case(
    6,
    "what the older connection made is acknowledged before its end, and all of it is there",
    "EP-8.2-4",
    "EP-8.2-8",
    cause="Acks that wait are dropped at a takeover",
    capabilities=RESUME,
)
def old_gets_its_acks(t: Attempt) -> None:
    old = t.member("ann")
    seqs = range(2, 42)
    old.send(*(raw.message(seq, t.text(f"{seq}")) for seq in seqs))
    new = resumed(t, old, old.place)
    old.to_the_end()
    new.sync()
    acked = [f.entry for f in old.seen if f.type == raw.ACK]
    said = [f.seq for f in new.seen if f.type == raw.MESSAGE and f.author == old.user.encode()]
    t.check(acked == said, f"an Ack of each of {said}", f"Acks of {acked}")
    gapless(t, old)


@section.case(
    7,
    "the older connection reads neither its own Left nor anything after it",
    "EP-5.2-7",
    cause="a connection that has its last frame to send is still a reader",
    capabilities=RESUME,
)
def old_reads_no_more(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    bob.said(t.text("afterwards"))
    new.said(t.text("afterwards"))
    old.ends(raw.USER_TAKEN)
    own = [f for f in old.seen if f.is_presence and f.author == old.user.encode()]
    later = [f for f in old.seen if t.text("afterwards").encode() in f.body]
    t.check(
        not own and not later,
        "nothing from its Left on",
        counted(len(own + later), "entry", "entries"),
    )


@section.case(
    8,
    "a session that is taken over again and again has one member each time",
    "EP-6.4-10",
    "EP-6.4-11",
    cause="a takeover looks for the session's first connection",
    capabilities=RESUME,
)
def again_and_again(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.member("ann")
    place = ann.place
    for n in range(3):
        again = resumed(t, ann, place)
        ann.ends(raw.USER_TAKEN)
        bob.expect(e.message(ann.user, t.text(f"{n}"), again.said(t.text(f"{n}"))))
        ann = again
    if "presence" in t.setting.capabilities:
        bob.sync()
        types = told(bob, ann.user)
        expected = [raw.JOINED] + 3 * [raw.LEFT, raw.JOINED]
        t.check(
            types == expected,
            "Left and Joined three times",
            counted(len(types), "entry", "entries"),
        )


@section.case(
    9,
    "a resumed member may send the longest frame",
    "EP-7.1-3",
    "EP-3.8-3",
    cause="the limit is raised at a fresh login only",
    capabilities=RESUME,
    needs=("LIMIT-05",),
)
def resumed_and_long(t: Attempt) -> None:
    bob, old = t.member("bob"), t.member("ann")
    new = resumed(t, old, old.said(t.text("short")))
    bob.sync()
    t.check(new.max_frame >= raw.BEFORE_WELCOME, "4,096 or more", new.max_frame)
    content = t.text("long").ljust(min(new.max_frame - 13, 20_000))
    new.send_piece(raw.message(9, content))
    new.expect(e.ack(9))
    bob.expect(e.message(old.user, content))


@section.case(
    10,
    "a resumed member that logs out has left with reason 0, and its name is free",
    "EP-5.4-4",
    "EP-5.4-7",
    "EP-5.4-5",
    cause="a resumed connection is not where its session's name is looked up",
    capabilities=PRESENCE,
    needs=("REPLY-13", "ORDER-11"),
)
def resumed_and_logged_out(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    new.send(raw.logout(9))
    position = new.expect(e.ack(9)).entry
    new.expect(e.END)
    bob.sync()
    gone = [f for f in bob.seen if f.type == raw.LEFT and f.author == old.user.encode()]
    reasons = [f.number("reason") for f in gone]
    t.check(reasons == [raw.LOST_REASON, raw.LEFT_REASON], "reasons 1 and 0", f"reasons {reasons}")
    t.check(gone[-1].seq == position, f"Ack of {gone[-1].seq}", f"Ack of {position}")
    t.member("ann")


@section.case(
    11,
    "a resumed member that is lost has left once, and its name is free",
    "EP-5.4-2",
    "EP-5.4-5",
    cause="a resumed connection's end is not noticed, or noticed twice",
    capabilities=PRESENCE,
    needs=("ORDER-12",),
)
def resumed_and_lost(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    lost(t, new)
    bob.sync()
    types = told(bob, old.user)
    expected = [raw.JOINED, raw.LEFT, raw.JOINED, raw.LEFT]
    t.check(types == expected, "one Left more", counted(len(types), "entry", "entries"))
    t.member("ann")


@section.case(
    12,
    "a resumed member reads what is said long after its replay",
    "EP-5.2-1",
    "EP-5.3-2",
    cause="a resumed connection is given the replay, and is no reader afterwards",
    capabilities=RESUME,
    needs=("RESUME-02",),
)
def resumed_and_reading(t: Attempt) -> None:
    bob = t.member("bob")
    old = t.member("ann")
    lost(t, old)
    new = resumed(t, old, old.place)
    for n in range(3):
        new.sync()
        new.expect(e.message(bob.user, t.text(f"{n}"), bob.said(t.text(f"{n}"))))
    gapless(t, new)


def taken_over_by_a_member(t: Attempt, who: str) -> None:
    """A member's Login with ann's ticket is refused, and nothing else happens."""
    ann, bob = t.members("ann", "bob")
    ann.sync()
    identity = t.identity("ann")
    member = {"ann": ann, "bob": bob}[who]
    member.send(raw.login(9, identity.name, identity.credential, ann.ticket, ann.place))
    member.expect(e.error(raw.ALREADY_LOGGED_IN, 9))
    ann.expect_silence()
    bob.expect_silence()


@section.case(
    13,
    "a member's Login with its own ticket is ALREADY_LOGGED_IN, and takes nothing over",
    "EP-4.3-3",
    "EP-4.2-8",
    cause="a resume is checked before the state",
    capabilities=RESUME,
    needs=("LOGIN-07",),
)
def no_takeover_of_oneself(t: Attempt) -> None:
    taken_over_by_a_member(t, "ann")


@section.case(
    14,
    "a member's Login with another's ticket takes nothing over",
    "EP-4.3-3",
    "EP-4.2-8",
    cause="a resume is checked before the state",
    capabilities=RESUME,
    needs=("LOGIN-07",),
)
def no_takeover_by_a_member(t: Attempt) -> None:
    taken_over_by_a_member(t, "bob")


@section.case(
    15,
    "requests after a resuming Login are answered after the replay, in order",
    "EP-4.2-5",
    "EP-4.2-7",
    "EP-5.2-4",
    cause="what came with the Login is dropped, or answered before the replay",
    capabilities=RESUME,
    needs=("RESUME-18",),
)
def pipelined_behind_a_resume(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.member("ann")
    lost(t, ann)
    said = [bob.said(t.text(f"{n}")) for n in range(5)]
    again = t.connect("ann")
    identity = t.identity("ann")
    again.send(
        raw.login(1, identity.name, identity.credential, ann.ticket, ann.place),
        raw.ping(2),
        raw.message(3, t.text("at once")),
        raw.frame(0x0B, 4),
        raw.application(5, 0x90, b"too"),
    )
    again.welcomed(1)
    again.expect(e.pong(2), e.ack(3), e.error(raw.UNKNOWN_TYPE, 4), e.ack(5))
    gapless(t, again)
    before = [f.seq for f in again.seen[: _at(again, raw.PONG)] if f.is_fact]
    t.check(set(said) <= set(before), "the replay before the Pong", f"positions {before}")


def _at(conn: Connection, type: int) -> int:
    return next(n for n, frame in enumerate(conn.seen) if frame.type == type)


@section.case(
    16,
    "a frame that the takeover cut in two has no effect",
    "EP-6.4-12",
    cause="the rest of a frame that was begun is still read",
    capabilities=RESUME,
    needs=("RESUME-08",),
)
def frame_over_the_takeover(t: Attempt) -> None:
    bob, old = t.member("bob"), t.member("ann")
    half = raw.message(9, t.text("from the past"))
    old.sync()
    old.send_piece(half[:20])
    new = resumed(t, old, old.place)
    old.send_piece(half[20:])
    old.ends(raw.USER_TAKEN)
    new.sync()
    said = [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(not said, "nothing from the older connection", "its Message")


@section.case(
    17,
    "a Logout on the older connection does not log the new one out",
    "EP-6.4-12",
    cause="a Logout is the session's, and not its connection's",
    capabilities=RESUME,
    needs=("RESUME-08",),
)
def logout_from_the_past(t: Attempt) -> None:
    bob = t.member("bob")
    old, new = taken_over(t)
    old.send(raw.logout(9))
    old.ends(raw.USER_TAKEN)
    new.sync()
    bob.expect(e.message(old.user, t.text("here"), new.said(t.text("here"))))
    gone = [f.number("reason") for f in bob.seen if f.type == raw.LEFT and t.is_ours(f)]
    t.check(raw.LEFT_REASON not in gone, "no Left with reason 0", f"reasons {gone}")


@section.case(
    18,
    "a session is resumed after the member with its name has left",
    "EP-6.4-14",
    "EP-5.4-5",
    cause="the session that had the name last keeps it",
    capabilities=RESUME,
    needs=("RESUME-17",),
)
def resumed_after_another(t: Attempt) -> None:
    ann = t.member("ann")
    lost(t, ann)
    other = t.member("ann")
    other.send(raw.logout(9))
    other.expect(e.ack(9), e.END)
    again = resumed(t, ann, ann.place)
    again.sync()
    gapless(t, again)


@section.case(
    19,
    "after a takeover, the session's own Left and Joined are carried as facts, at their positions",
    "EP-6.4-3",
    "EP-6.4-11",
    "EP-5.2-3",
    cause="what a takeover enters is treated as the new connection's own",
    capabilities=PRESENCE,
    needs=("RESUME-03", "RESUME-07"),
)
def own_left_and_joined(t: Attempt) -> None:
    _, new = taken_over(t)
    gone = new.expect(e.left(new.user, raw.LOST_REASON))
    back = new.expect(e.joined(new.user))
    t.check(gone.seq < back.seq, "Left before Joined", "the other order")
    new.sync()
    gapless(t, new)


@section.case(
    20,
    "a refused resume makes no entry and ends nobody, whatever is wrong with it",
    "EP-6.4-13",
    "EP-4.2-8",
    cause="the older connection has left by the time the resume is refused",
    capabilities=RESUME,
    needs=("RESUME-16",),
)
def refused_and_nothing_happens(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    other = t.connect("other")
    credential = t.identity("ann").credential
    wrong = ((ann.ticket, 2**62), (ann.ticket, ann.place - 1), (ann.ticket ^ 1, ann.place))
    ann.sync()
    for n, (ticket, position) in enumerate(wrong, 1):
        other.send(raw.login(n, ann.user, credential, ticket, position))
        other.expect(e.error(raw.HISTORY_GONE, n))
    ann.expect_silence()
    bob.expect_silence()
    t.check(not told(bob, ann.user), "no entry", "Left or Joined")


@section.case(
    21,
    "positions go on over a takeover, for the older connection, the new one and others",
    "EP-5.1-1",
    "EP-5.2-1",
    cause="what a takeover enters is missing for somebody",
    capabilities=RESUME,
)
def gapless_for_all(t: Attempt) -> None:
    bob, old = t.member("bob"), t.member("ann")
    position = old.said(t.text("1"))
    bob.said(t.text("2"))
    new = resumed(t, old, position)
    new.said(t.text("3"))
    bob.said(t.text("4"))
    old.ends(raw.USER_TAKEN)
    for conn in (bob, new):
        conn.sync()
    for conn in (bob, old):
        gapless(t, conn)
    found = entries(new.seen)
    follows = list(range(position + 1, position + 1 + len(found)))
    t.check(found == follows, f"positions {follows}", f"positions {found}")


@section.case(
    22,
    "USER_TAKEN arrives though the older connection continues to send",
    "EP-10.4-1",
    "EP-6.4-10",
    cause="the older connection is closed with unread input, which resets it",
    capabilities=RESUME,
    needs=("CLOSE-10",),
)
def old_is_not_reset(t: Attempt) -> None:
    old, _ = taken_over(t)
    for n in range(10):
        old.send_piece(raw.message(n + 2, t.text("going on").ljust(2_000)))
    old.expect(e.fatal(raw.USER_TAKEN))
    old.half_close()
    old.ends_unbroken()


@section.case(
    23,
    "a takeover at the end of the log, with nothing to replay, reads on from there",
    "EP-5.2-1",
    "EP-6.4-2",
    cause="a connection becomes a reader at the end of its replay, and this one has none",
    capabilities=RESUME,
    needs=("TAKE-12",),
)
def resumed_at_the_end(t: Attempt) -> None:
    bob, old = t.member("bob"), t.member("ann")
    place = old.said(t.text("the last"))
    new = resumed(t, old, place)
    for n in range(2):
        new.sync()
        new.expect(e.message(bob.user, t.text(f"{n}"), bob.said(t.text(f"{n}"))))
    gapless(t, new)
