"""One log, one order, and every member a place in it. Section 5."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section
from ..connection import Connection, entries

section = Section("order and positions", "ORDER")
PRESENCE = ("presence",)


def gapless(t: Attempt, conn: Connection) -> None:
    """Every position that the connection was given follows the one before."""
    found = entries(conn.seen)
    expected = list(range(conn.place + 1, conn.place + 1 + len(found)))
    t.check(found == expected, f"positions {expected}", f"positions {found}")


@section.case(
    1,
    "positions rise by one, from Welcome's on, through facts and Acks together",
    "EP-5.1-1",
    "EP-5.2-1",
    "EP-5.2-3",
    cause="each connection counts for itself, or an own entry is not counted",
    needs=("MSG-02",),
)
def rise_by_one(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.said(t.text("1"))
    bob.said(t.text("2"))
    bob.send(raw.application(70, 0x90, b"3"))
    bob.expect(e.ack(70))
    ann.said(t.text("4"))
    for conn in (ann, bob):
        conn.sync()
        gapless(t, conn)


@section.case(
    2,
    "all members read the same entries in the same order",
    "EP-5.1-1",
    "EP-5.2-1",
    cause="each reader has a queue of its own, filled at different times",
    needs=("MSG-02",),
)
def same_order(t: Attempt) -> None:
    ann, bob, cyd, dan = t.members("ann", "bob", "cyd", "dan")
    sent = [(conn, conn.say(t.text(f"{conn.who} {n}"))) for n in range(3) for conn in (ann, bob)]
    for conn, seq in sent:
        conn.expect(e.ack(seq))
    for conn in (cyd, dan):
        conn.sync()
    first, second = (
        {f.seq: f.body for f in conn.seen if f.is_fact and f.seq > dan.place} for conn in (cyd, dan)
    )
    common = first.keys() & second.keys()
    same = {n: first[n] for n in common} == {n: second[n] for n in common}
    t.check(same and len(common) >= 6, "the same entries at the same positions", "two orders")


@section.case(
    3,
    "the Messages of one member are in the order in which it sent them",
    "EP-5.3-4",
    cause="requests of one connection are handled side by side",
    needs=("MSG-02",),
)
def authors_order(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(*(raw.message(80 + n, t.text(f"line {n}")) for n in range(10)))
    ann.expect(*(e.ack(80 + n) for n in range(10)))
    bob.expect(*(e.message(ann.user, t.text(f"line {n}")) for n in range(10)))


@section.case(
    4,
    "an Ack stands among the facts at its own position",
    "EP-5.2-2",
    "EP-5.2-3",
    cause="Acks are written at once, and overtake facts",
    needs=("MSG-02",),
)
def ack_in_its_place(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for n in range(3):
        bob.said(t.text(f"bob {n}"))
        ann.said(t.text(f"ann {n}"))
    ann.sync()
    found = entries(ann.seen)
    t.check(found == sorted(found), "rising positions", f"positions {found}")


@section.case(
    5,
    "with presence, an arrival is an entry at the new member's Welcome position",
    "EP-5.4-1",
    "EP-6.1-4",
    "EP-3.9-1",
    cause="Welcome's position is taken before the Joined is entered",
    capabilities=PRESENCE,
)
def joined_position(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    fact = ann.expect(e.joined(bob.user))
    t.check(fact.seq == bob.place, f"Joined at {bob.place}", f"Joined at {fact.seq}")


@section.case(
    6,
    "a member's own Joined is not carried at a fresh login",
    "EP-6.1-4",
    cause="the new member is a reader before its arrival is entered",
    capabilities=PRESENCE,
)
def not_ones_own_joined(t: Attempt) -> None:
    ann = t.member()
    ann.expect_silence()


@section.case(
    7,
    "after a Logout others read Left with reason 0",
    "EP-5.4-2",
    "EP-5.4-4",
    "EP-3.10-1",
    cause="no Left is entered, or with the reason of a lost connection",
    capabilities=PRESENCE,
)
def left_after_logout(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.log_out()
    bob.expect(e.left(ann.user, raw.LEFT_REASON))


@section.case(
    8,
    "after a lost connection others read Left with reason 1",
    "EP-5.4-2",
    "EP-5.4-4",
    cause="a connection that ends without a Logout leaves its member in the room",
    capabilities=PRESENCE,
)
def left_after_loss(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.reset()
    bob.expect(e.left(ann.user, raw.LOST_REASON))


@section.case(
    9,
    "after a fatal fault others read Left with reason 1",
    "EP-5.4-4",
    "EP-5.4-2",
    cause="a connection that the server ends is not told to the room",
    capabilities=PRESENCE,
    negative=True,
)
def left_after_fault(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.frame(raw.PING, 9, reserved=1))
    ann.ends(raw.MALFORMED)
    bob.expect(e.left(ann.user, raw.LOST_REASON))


@section.case(
    10,
    "there is one Left for each departure and no second",
    "EP-5.4-2",
    cause="Logout and the end of the stream both enter one",
    capabilities=PRESENCE,
    needs=("ORDER-07",),
)
def one_left(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.log_out()
    ann.half_close()
    ann.nothing_more()
    t.connect("barrier").sync()
    left = [f for f in bob.sync() if f.type == raw.LEFT and t.is_ours(f)]
    t.check(len(left) == 1, "one Left", f"{len(left)} of them")


@section.case(
    11,
    "a name is free as soon as its member has left",
    "EP-5.4-5",
    cause="the name is kept until the socket is closed",
)
def name_is_free(t: Attempt) -> None:
    ann = t.member("ann")
    ann.log_out()
    again = t.connect("again")
    identity = t.identity("ann")
    again.send(raw.login(1, identity.name, identity.credential))
    again.expect(e.welcome(1))


@section.case(
    12,
    "a name is free as soon as others have read its Left after a loss",
    "EP-5.4-5",
    cause="the name is given back later than the Left is entered",
    capabilities=PRESENCE,
    needs=("ORDER-08",),
)
def name_is_free_after_loss(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.reset()
    bob.expect(e.left(ann.user))
    again = t.connect("again")
    identity = t.identity("ann")
    again.send(raw.login(1, identity.name, identity.credential))
    again.expect(e.welcome(1))


@section.case(
    13,
    "after its Logout a member reads neither its Left nor anything later",
    "EP-5.2-7",
    "EP-10.1-1",
    cause="the connection stays a reader until it is closed",
    needs=("MSG-01",),
)
def nothing_after_logout(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    seq = ann.seq()
    ann.send(raw.logout(seq))
    ann.expect(e.ack(seq))
    bob.said(t.text("after ann"))
    start = len(ann.seen)
    ann.nothing_more()
    t.check(len(ann.seen) == start, "the end of the stream", "more frames")


@section.case(
    14,
    "a refused request makes no entry",
    "EP-4.2-8",
    "EP-5.1-1",
    cause="a position is taken before the request is validated",
    needs=("ORDER-01",),
)
def refused_takes_no_position(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.said(t.text("1"))
    ann.send(raw.frame(0x0B, 90), raw.message(91, "x", sender="y"), raw.login(92, "again"))
    ann.expect(e.error(raw.UNKNOWN_TYPE, 90), e.error(raw.UNEXPECTED_EVENT, 91))
    ann.expect(e.error(raw.ALREADY_LOGGED_IN, 92))
    ann.said(t.text("2"))
    for conn in (ann, bob):
        conn.sync()
        gapless(t, conn)


@section.case(
    15,
    "without presence nobody reads Joined or Left",
    "EP-5.4-3",
    cause="presence is hidden from clients and still numbered, or not hidden",
    capabilities=("no-presence",),
    needs=("MSG-01",),
)
def no_presence(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    bob.log_out()
    ann.said(t.text("alone"))
    ann.sync()
    t.check(not [f for f in ann.seen if f.is_presence], "no Joined and no Left", "some")
    gapless(t, ann)


@section.case(
    16,
    "without presence Welcome's position is the last one in the log",
    "EP-6.1-5",
    cause="a position is given to the arrival anyway",
    capabilities=("no-presence",),
    needs=("MSG-01",),
)
def welcome_without_presence(t: Attempt) -> None:
    ann = t.member("ann")
    position = ann.said(t.text("last"))
    bob = t.member("bob")
    t.check(bob.place == position, f"position {position}", f"position {bob.place}")


@section.case(
    17,
    "without presence the Ack of a Logout has position 0",
    "EP-5.4-7",
    "EP-3.5-2",
    cause="a position is given to the departure anyway",
    capabilities=("no-presence",),
)
def logout_without_presence(t: Attempt) -> None:
    ann = t.member("ann")
    position = ann.log_out().number("position")
    t.check(position == 0, "position 0", f"position {position}")
