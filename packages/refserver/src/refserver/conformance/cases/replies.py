"""Each request has one reply. Sections 3.5 to 3.7, 4.2 and 4.3."""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("ack and replies", "REPLY")


@section.case(
    1,
    "replies come in the order of their requests",
    "EP-4.2-7",
    "EP-4.2-1",
    "EP-4.2-10",
    cause="some replies take a shorter path than others",
    needs=("MSG-01",),
)
def in_order(t: Attempt) -> None:
    ann = t.member()
    ann.send(
        raw.ping(11),
        raw.message(12, t.text("one")),
        raw.frame(0x0B, 13),
        raw.application(14, 0x80, b"two"),
        raw.message(15, "", sender="x"),
        raw.ping(16),
    )
    ann.expect(e.pong(11), e.ack(12), e.error(raw.UNKNOWN_TYPE, 13), e.ack(14))
    ann.expect(e.error(raw.UNEXPECTED_EVENT, 15), e.pong(16))


@section.case(
    2,
    "each request gets one reply and no second one",
    "EP-4.2-1",
    cause="a reply is made in two places",
    needs=("MSG-01",),
)
def exactly_one(t: Attempt) -> None:
    ann = t.member()
    start = len(ann.seen)
    ann.send(raw.message(21, t.text("one")), raw.ping(22), raw.frame(0x0B, 23))
    ann.sync()
    seqs = [f.seq for f in ann.seen[start:] if not f.is_fact and f.type != raw.PING]
    t.check(seqs[:-1] == [21, 22, 23], "one reply each to 21, 22, 23", f"replies to {seqs[:-1]}")


@section.case(
    3,
    "seqs may fall, jump and be repeated",
    "EP-4.2-3",
    cause="the server compares a seq with the one before",
    needs=("MSG-01",),
)
def any_seq(t: Attempt) -> None:
    ann = t.member()
    seqs = (500, 3, 3, 2**63, 1, 2**64 - 1, 1)
    ann.send(*(raw.ping(seq) for seq in seqs), raw.message(3, t.text("three")))
    ann.expect(*(e.pong(seq) for seq in seqs), e.ack(3))


@section.case(
    4,
    "a member's Ping is answered with a Pong under its seq",
    "EP-3.7-2",
    "EP-3.7-4",
    cause="the Pong has a number of the server's own",
)
def pong(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.ping(77))
    ann.expect(e.pong(77))


@section.case(
    5,
    "a Pong that answers nothing is ignored",
    "EP-3.7-5",
    "EP-3.7-6",
    cause="every event gets a reply, or a Pong that was not requested is a fault",
)
def stray_pong(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.pong(5), raw.pong(5))
    ann.expect_silence()


@section.case(
    6,
    "a Pong before login is ignored",
    "EP-3.7-6",
    cause="everything but Login and Ping is refused before login",
)
def pong_before_login(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.pong(5))
    ann.expect_silence()


@section.case(
    9,
    "a Joined or Left from a client reaches nobody",
    "EP-4.2-8",
    cause="facts are relayed from any sender",
    needs=("REPLY-08",),
)
def no_forged_facts(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(raw.joined(41, ann.user), raw.left(42, bob.user))
    ann.expect(e.error(raw.UNEXPECTED_EVENT, 41), e.error(raw.UNEXPECTED_EVENT, 42))
    bob.expect_silence()


@section.case(
    10,
    "an Ack's position is its entry's, also of several in one piece",
    "EP-3.5-2",
    "EP-5.3-4",
    cause="all Acks of one turn get the position of the last entry",
    needs=("MSG-02",),
)
def each_its_position(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(*(raw.message(50 + n, t.text(f"line {n}")) for n in range(4)))
    for n in range(4):
        position = ann.expect(e.ack(50 + n)).number("position")
        bob.expect(e.message(ann.user, t.text(f"line {n}"), position))


@section.case(
    11,
    "a Pong comes after every entry that was there before",
    "EP-5.2-4",
    cause="replies are written at once, entries at the end of a turn",
    needs=("MSG-02",),
)
def behind_entries(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for n in range(5):
        ann.said(t.text(f"line {n}"))
    before = [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(
        len(before) == 5,
        "5 messages before the Pong",
        f"{counted(len(before), 'message')} before it",
    )


@section.case(
    12,
    "an Error comes after every entry that was there before",
    "EP-5.2-4",
    cause="replies are written at once, entries at the end of a turn",
    needs=("MSG-02",),
)
def error_behind_entries(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.said(t.text("before"))
    bob.send(raw.frame(0x0B, 61))
    bob.expect(e.error(raw.UNKNOWN_TYPE, 61))
    fits = e.message(ann.user, t.text("before")).fits
    t.check(any(map(fits, bob.seen)), "the Message before the Error", "the Error first")


@section.case(
    13,
    "the Ack of a Logout has the position of the member's Left",
    "EP-5.4-7",
    cause="the Ack is made before the Left is entered",
    capabilities=("presence",),
)
def ack_of_logout(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    position = ann.log_out().number("position")
    fact = bob.expect(e.left(ann.user))
    t.check(fact.seq == position, f"the Ack's position {position}", f"Left at {fact.seq}")
