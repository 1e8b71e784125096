"""What is said, by whom, and to whom. Sections 3.3, 5.2 and 5.3."""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("message", "MSG")


@section.case(
    1,
    "a Message is answered with the Ack of an entry",
    "EP-4.2-10",
    "EP-3.5-2",
    cause="the Ack has no position, or none of its own layout",
)
def acknowledged(t: Attempt) -> None:
    ann = t.member()
    position = ann.said(t.text("hello"))
    t.check(position > 0, "a position above 0", position)


@section.case(
    2,
    "a Message reaches the other members, with its author's name",
    "EP-3.3-4",
    "EP-3.3-5",
    "EP-3.3-1",
    "EP-5.3-2",
    cause="the sender is left empty, or the frame is relayed as it came",
    needs=("MSG-01",),
)
def relayed(t: Attempt) -> None:
    ann, bob, cyd = t.members("ann", "bob", "cyd")
    ann.said(t.text("hello"))
    bob.expect(e.message(ann.user, t.text("hello")))
    cyd.expect(e.message(ann.user, t.text("hello")))


@section.case(
    3,
    "the seq of the fact is the position in the Ack",
    "EP-5.1-3",
    "EP-3.5-2",
    cause="the fact keeps the seq of the request",
    needs=("MSG-02",),
)
def same_position(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    position = ann.said(t.text("hello"))
    fact = bob.expect(e.message(ann.user, t.text("hello")))
    t.check(fact.seq == position, f"seq {position}", f"seq {fact.seq}")


@section.case(
    4,
    "the author gets the Ack and never the fact",
    "EP-5.2-2",
    cause="a message is sent to every member, the author included",
    needs=("MSG-01",),
)
def not_to_the_author(t: Attempt) -> None:
    ann = t.member()
    ann.said(t.text("hello"))
    ann.sync()
    facts = [f for f in ann.seen if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(not facts, "no own fact", "its own Message")


@section.case(
    5,
    "an empty Message is a message",
    "EP-3.3-5",
    cause="empty content is treated as nothing to say",
    needs=("MSG-02",),
)
def empty(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.said("")
    bob.expect(e.message(ann.user, ""))


@section.case(
    6,
    "a Message with a sender is refused with UNEXPECTED_EVENT, and the connection continues",
    "EP-3.3-3",
    "EP-4.2-9",
    cause="the sender is silently overwritten, or believed",
    needs=("MSG-01",),
)
def sender_filled_in(t: Attempt) -> None:
    ann = t.member()
    seq = ann.seq()
    ann.send(raw.message(seq, t.text("not me"), sender="bob"))
    ann.expect(e.error(raw.UNEXPECTED_EVENT, seq))
    ann.said(t.text("me"))


@section.case(
    8,
    "a refused Message reaches nobody",
    "EP-4.2-8",
    cause="the message is relayed before it is validated",
    needs=("MSG-06",),
)
def refused_reaches_nobody(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    seq = ann.seq()
    ann.send(raw.message(seq, t.text("not me"), sender=bob.user))
    ann.expect(e.error(raw.UNEXPECTED_EVENT, seq))
    bob.expect_silence()


@section.case(
    9,
    "each Message makes one entry and is carried once",
    "EP-5.3-3",
    "EP-5.2-1",
    cause="a member is in a list of readers twice",
    needs=("MSG-02",),
)
def once(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for n in range(3):
        ann.said(t.text(f"number {n}"))
    said = [f.text("content") for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(
        said == [t.text(f"number {n}").encode() for n in range(3)],
        "three messages, each once",
        said,
    )


@section.case(
    10,
    "after the Ack the entry is before every member",
    "EP-5.3-1",
    "EP-5.2-4",
    cause="the Ack is sent when the message has been read, and the relay comes later",
    needs=("MSG-02",),
)
def ack_means_entered(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.said(t.text("hello"))
    facts = [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(
        len(facts) == 1,
        "the Message before the Pong",
        f"{counted(len(facts), 'message')} before it",
    )


@section.case(
    11,
    "a client that logs in later does not read what was said before",
    "EP-5.2-1",
    "EP-6.1-4",
    cause="history is replayed to a fresh login",
    needs=("MSG-01",),
)
def nothing_from_before(t: Attempt) -> None:
    ann = t.member("ann")
    position = ann.said(t.text("before bob"))
    bob = t.member("bob")
    facts = [f for f in bob.sync() if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(not facts and bob.place >= position, "nothing of it", "the older Message")


@section.case(
    12,
    "two members that send at the same time read each other's Messages",
    "EP-5.2-3",
    "EP-5.3-2",
    cause="input of one connection makes the output of another wait",
    needs=("MSG-02",),
)
def both_speak(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    first, second = ann.say(t.text("from ann")), bob.say(t.text("from bob"))
    ann.expect(e.ack(first))
    bob.expect(e.ack(second))
    for reader, author in ((ann, bob), (bob, ann)):
        reader.sync()
        fits = e.message(author.user, t.text(f"from {author.who}")).fits
        t.check(any(map(fits, reader.seen)), f"{author.who}'s message", "no such message")
