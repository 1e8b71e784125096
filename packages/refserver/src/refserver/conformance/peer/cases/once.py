"""What was accepted of the requests without a reply. Sections 6.5 and 8.2.

The worlds in which a plausible client counts wrongly: it says something twice, or never.
"""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..losses import (
    comes_in_again,
    let_in_again,
    loses,
    loses_unanswered,
    pauses,
    sends_again,
    sends_no_more,
    told_to_resume,
)
from ..peer import Peer

section = Section("once", "PEER-ONCE", needs=("PEER-RESUME-02", "PEER-RESUME-04"))
RESUMES = ("resume",)
COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"
FORGETFUL = "what a replay has settled is forgotten with its connection"


# ------------------------------------------------------------- the same again


@section.case(
    1,
    "counts two equal messages as two: one was accepted, the other is sent again",
    "EP-6.5-3",
    "EP-6.5-8",
    "EP-6.5-16",
    cause="what is in doubt is a set, or a fact takes all of its like off it",
    capabilities=RESUMES,
)
def twins(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say same", "say same")
    pong = let_in_again(t)
    t.tell(t.message("ann", "same"))
    comes_in_again(t)
    last = sends_again(t, pong, b"same")
    t.tell(t.ack(last))
    sends_no_more(t)


@section.case(
    2,
    "sends again messages and application events, in their order",
    "EP-6.5-11",
    "EP-6.5-16",
    cause="only messages are kept, each kind has its own list, or a list is emptied from its end",
    capabilities=RESUMES,
    needs=("PEER-SAY-03",),
)
def in_order(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one", "event 200 00ff", "say three", "event 201 04")
    pong = let_in_again(t)
    comes_in_again(t)
    sends_again(t, pong, b"one", b"\x00\xff", b"three", b"\x04")


# ------------------------------------------------------------- only the oldest is looked at


@section.case(
    3,
    "takes a fact that is its second request, and not its first, for somebody else's",
    "EP-6.5-9",
    "EP-6.5-16",
    cause="a fact is looked for in all that is in doubt",
    capabilities=RESUMES,
)
def not_the_oldest(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one", "say two")
    pong = let_in_again(t)
    t.tell(t.message("ann", "two"))
    comes_in_again(t)
    sends_again(t, pong, b"one", b"two")


@section.case(
    4,
    "looks at no fact behind one under its name that it has not said",
    "EP-6.5-9",
    "EP-6.5-14",
    cause="a fact under one's own name that fits nothing is passed over",
    capabilities=RESUMES,
)
def behind_other_words(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    pong = let_in_again(t)
    t.tell(t.message("ann", "one more"), t.message("ann", "one"))
    comes_in_again(t)
    sends_again(t, pong, b"one")


@section.case(
    5,
    "does not take a longer content for its own that begins as its own",
    "EP-6.5-8",
    "EP-6.5-9",
    cause="contents are compared in the length of the shorter one",
    capabilities=RESUMES,
)
def longer_words(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    pong = let_in_again(t)
    t.tell(t.message("ann", "one more"))
    comes_in_again(t)
    sends_again(t, pong, b"one")


@section.case(
    6,
    "looks at no fact behind a Left of its own name: its connection had ended",
    "EP-6.5-10",
    "EP-6.5-14",
    cause="another session's words under the same name are taken for one's own",
    capabilities=RESUMES,
)
def behind_own_left(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say ok")
    pong = let_in_again(t)
    comes_in_again(t)  # somebody else has the name now
    t.tell(t.message("ann", "ok"))
    comes_in_again(t)
    sends_again(t, pong, b"ok")


@section.case(
    7,
    "knows after a second loss what a Left of its own name has settled",
    "EP-6.5-10",
    "EP-6.5-14",
    cause=FORGETFUL,
    capabilities=RESUMES,
    needs=("PEER-RESUME-10", "PEER-ONCE-06"),
)
def own_left_and_a_loss(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say ok")
    let_in_again(t)
    comes_in_again(t)
    loses(t)  # within the replay
    pong = let_in_again(t)
    t.tell(t.message("ann", "ok"))
    comes_in_again(t)
    sends_again(t, pong, b"ok")


@section.case(
    8,
    "knows after a second loss what other words under its name have settled",
    "EP-6.5-9",
    "EP-6.5-14",
    cause=FORGETFUL,
    capabilities=RESUMES,
    needs=("PEER-RESUME-10", "PEER-ONCE-04"),
)
def other_words_and_a_loss(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say ok")
    let_in_again(t)
    t.tell(t.message("ann", "well"))
    loses(t)  # within the replay
    pong = let_in_again(t)
    t.tell(t.message("ann", "ok"))
    comes_in_again(t)
    sends_again(t, pong, b"ok")


# ------------------------------------------------------------- an Error ended the connection


@section.case(
    9,
    "takes nothing for accepted behind INTERNAL: it says that there was no effect",
    "EP-6.5-12",
    "EP-6.5-14",
    "EP-8.2-4",
    cause="an Error that ends the connection is treated as a loss is",
    capabilities=RESUMES,
)
def behind_internal(t: Peer) -> None:
    told_to_resume(t)
    pauses(t, raw.INTERNAL, "say ok")
    pong = let_in_again(t)
    t.tell(t.message("ann", "ok"))
    comes_in_again(t)
    sends_again(t, pong, b"ok")


@section.case(
    10,
    "looks for what was accepted behind SLOW_CONSUMER, which says nothing of it",
    "EP-6.5-3",
    "EP-6.5-13",
    cause="every Error that ends a connection is taken to say that there was no effect",
    capabilities=RESUMES,
)
def behind_slow_consumer(t: Peer) -> None:
    told_to_resume(t)
    pauses(t, raw.SLOW_CONSUMER, "say one", "say two")
    pong = let_in_again(t)
    t.tell(t.message("ann", "one"))
    comes_in_again(t)
    sends_again(t, pong, b"two")


@section.case(
    11,
    "looks for what was accepted behind an Error that came before the Welcome of its resume",
    "EP-6.5-3",
    "EP-6.5-13",
    cause="what that Error says of its own connection is applied to the one before",
    capabilities=RESUMES,
)
def turned_away(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one", "say two")
    t.login()
    t.send(raw.error(0, raw.SHUTTING_DOWN))
    t.finish()
    t.tells_end("explained", code=raw.SHUTTING_DOWN)
    pong = let_in_again(t)
    t.tell(t.message("ann", "one"))
    comes_in_again(t)
    sends_again(t, pong, b"two")


# ------------------------------------------------------------- byte for byte


@section.case(
    12,
    "knows its facts by the name that it was granted",
    "EP-3.8-4",
    "EP-6.5-8",
    cause="facts are compared with the name that was asked for",
    capabilities=RESUMES,
)
def granted_name(t: Peer) -> None:
    told_to_resume(t, user="ann 2")
    loses_unanswered(t, "say one", "say two")
    pong = let_in_again(t, user="ann 2")
    t.tell(t.message("ann", "two"), t.message("ann 2", "one"))
    comes_in_again(t, "ann 2")
    sends_again(t, pong, b"two")


@section.case(
    13,
    "takes no fact for its own whose name only looks like its own",
    "EP-2.3-6",
    "EP-6.5-8",
    cause="names are compared without regard to case, or in a normal form",
    capabilities=RESUMES,
)
def similar_names(t: Peer) -> None:
    told_to_resume(t, user=COMPOSED)
    loses_unanswered(t, "say one")
    pong = let_in_again(t, user=COMPOSED)
    others = (DECOMPOSED, COMPOSED.lower(), COMPOSED + "\0", "")
    t.tell(*(t.message(other, "one") for other in others))
    comes_in_again(t, COMPOSED)
    sends_again(t, pong, b"one")


@section.case(
    14,
    "does not take a content for its own that only looks like its own",
    "EP-2.3-6",
    "EP-6.5-9",
    cause="contents are compared in a normal form",
    capabilities=RESUMES,
)
def similar_content(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, f"say {COMPOSED}")
    pong = let_in_again(t)
    t.tell(t.message("ann", DECOMPOSED))
    comes_in_again(t)
    sends_again(t, pong, COMPOSED.encode())


@section.case(
    15,
    "does not take data for its own that is other bytes, neither of them UTF-8",
    "EP-3.11-4",
    "EP-6.5-9",
    cause="data is compared as text, in which every bad byte is U+FFFD",
    capabilities=RESUMES,
    needs=("PEER-SAY-03",),
)
def similar_data(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "event 200 ff")
    pong = let_in_again(t)
    t.tell(t.application(200, "ann", b"\xfe"))
    comes_in_again(t)
    sends_again(t, pong, b"\xff")


@section.case(
    16,
    "does not take an application event for its own that has another type",
    "EP-6.5-9",
    cause="all application events are one kind",
    capabilities=RESUMES,
    needs=("PEER-SAY-03",),
)
def another_type(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "event 200 01")
    pong = let_in_again(t)
    t.tell(t.application(201, "ann", b"\x01"))
    comes_in_again(t)
    sends_again(t, pong, b"\x01")


# ------------------------------------------------------------- what is sent again


@section.case(
    17,
    "sends again what still fits where max_frame is less now, and not the rest",
    "EP-6.5-17",
    "EP-7.1-2",
    cause="the limit is that of the first Welcome, or one that does not fit stops all behind it",
    capabilities=RESUMES,
    needs=("PEER-LIMIT-07",),
)
def less_room(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one", f"say {'x' * 5_000}", "say three")
    pong = let_in_again(t, max_frame=4_096)
    comes_in_again(t)
    sends_again(t, pong, b"one", b"three")


@section.case(
    18,
    "forgets a Ping that has no Pong with the connection on which it was sent",
    "EP-4.2-11",
    "EP-6.5-8",
    cause="a Ping is kept with what is in doubt, or awaits its Pong on the next connection",
    capabilities=RESUMES,
    needs=("PEER-SAY-04",),
)
def lost_ping(t: Peer) -> None:
    told_to_resume(t)
    t.order("ping")
    t.asked(raw.PING)
    loses_unanswered(t, "say one", "say two")
    pong = let_in_again(t)
    t.tell(t.message("ann", "one"))
    comes_in_again(t)
    sends_again(t, pong, b"two")


# ------------------------------------------------------------- what is easily overlooked


@section.case(
    19,
    "knows an empty message of its own again",
    "EP-6.5-8",
    "EP-3.3-5",
    cause="an empty content is taken for none, and never compared",
    capabilities=RESUMES,
)
def empty_words(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say ", "say two")
    pong = let_in_again(t)
    t.tell(t.message("ann", ""))
    comes_in_again(t)
    sends_again(t, pong, b"two")


@section.case(
    20,
    "looks at no fact behind a Left of its own name, whatever its reason",
    "EP-6.5-10",
    "EP-6.5-14",
    cause="only a Left with reason 1 is taken for the end of one's own connection",
    capabilities=RESUMES,
    needs=("PEER-ONCE-06",),
)
def behind_any_left(t: Peer) -> None:
    for reason in (raw.LEFT_REASON, raw.EVICTED_REASON):
        if reason == raw.LEFT_REASON:
            told_to_resume(t)
        loses_unanswered(t, "say ok")
        pong = let_in_again(t)
        t.tell(t.left("ann", reason), t.joined("ann"), t.message("ann", "ok"))
        comes_in_again(t)
        t.tell(t.ack(sends_again(t, pong, b"ok")))


@section.case(
    21,
    "takes no Left for its own whose name only looks like its own",
    "EP-2.3-6",
    "EP-6.5-10",
    cause="names are compared without regard to case, or in a normal form",
    capabilities=RESUMES,
    needs=("PEER-ONCE-13",),
)
def similar_lefts(t: Peer) -> None:
    told_to_resume(t, user=COMPOSED)
    loses_unanswered(t, "say one", "say two")
    pong = let_in_again(t, user=COMPOSED)
    t.tell(*(t.left(other) for other in (DECOMPOSED, COMPOSED.lower(), COMPOSED + "\0")))
    t.tell(t.message(COMPOSED, "one"))
    comes_in_again(t, COMPOSED)
    sends_again(t, pong, b"two")


@section.case(
    22,
    "knows after a second loss what INTERNAL has settled",
    "EP-6.5-12",
    "EP-6.5-14",
    cause=FORGETFUL,
    capabilities=RESUMES,
    needs=("PEER-RESUME-10", "PEER-ONCE-09"),
)
def internal_and_a_loss(t: Peer) -> None:
    told_to_resume(t)
    pauses(t, raw.INTERNAL, "say ok")
    let_in_again(t)
    loses(t)  # before anything came
    pong = let_in_again(t)
    t.tell(t.message("ann", "ok"))
    comes_in_again(t)
    sends_again(t, pong, b"ok")
