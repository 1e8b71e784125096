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

section = Section(
    "once", "PEER-ONCE", needs=("PEER-RESUME-02", "PEER-RESUME-04"), capabilities=("resume",)
)
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


# ------------------------------------------------------------- only the oldest is checked


def _resends_over_a_loss(t: Peer) -> None:
    """Lose a client within a replay that has settled its "ok": it sends that again anyway,
    though the next replay has an "ok" under its name."""
    loses(t)
    pong = let_in_again(t)
    t.tell(t.message("ann", "ok"))
    comes_in_again(t)
    sends_again(t, pong, b"ok")


@section.case(
    7,
    "knows after a second loss what a Left of its own name has settled",
    "EP-6.5-10",
    "EP-6.5-14",
    cause=FORGETFUL,
    needs=("PEER-RESUME-10", "PEER-ONCE-06"),
)
def own_left_and_a_loss(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say ok")
    let_in_again(t)
    comes_in_again(t)
    _resends_over_a_loss(t)


@section.case(
    8,
    "knows after a second loss what other words under its name have settled",
    "EP-6.5-9",
    "EP-6.5-14",
    cause=FORGETFUL,
    needs=("PEER-RESUME-10", "PEER-ONCE-04"),
)
def other_words_and_a_loss(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say ok")
    let_in_again(t)
    t.tell(t.message("ann", "well"))
    _resends_over_a_loss(t)


# ------------------------------------------------------------- an Error ended the connection


@section.case(
    9,
    "takes nothing for accepted after INTERNAL: it says that there was no effect",
    "EP-6.5-12",
    "EP-6.5-14",
    "EP-8.2-4",
    cause="an Error that ends the connection is treated as a loss is",
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
    "looks for what was accepted after SLOW_CONSUMER, which says nothing of it",
    "EP-6.5-3",
    "EP-6.5-13",
    cause="every Error that ends a connection is taken to say that there was no effect",
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
    "looks for what was accepted after an Error that came before the Welcome of its resume",
    "EP-6.5-3",
    "EP-6.5-13",
    cause="what that Error says of its own connection is applied to the one before",
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


# ------------------------------------------------------------- what is sent again


@section.case(
    17,
    "sends again what still fits where max_frame is less now, and not the rest",
    "EP-6.5-17",
    "EP-7.1-2",
    cause="the limit is that of the first Welcome, or one that does not fit stops all after it",
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
    20,
    "looks at no fact after a Left of its own name, whatever its reason",
    "EP-6.5-10",
    "EP-6.5-14",
    cause="only a Left with reason 1 is treated as the end of its own connection",
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
    22,
    "knows after a second loss what INTERNAL has settled",
    "EP-6.5-12",
    "EP-6.5-14",
    cause=FORGETFUL,
    needs=("PEER-RESUME-10", "PEER-ONCE-09"),
)
def internal_and_a_loss(t: Peer) -> None:
    told_to_resume(t)
    pauses(t, raw.INTERNAL, "say ok")
    let_in_again(t)
    _resends_over_a_loss(t)
