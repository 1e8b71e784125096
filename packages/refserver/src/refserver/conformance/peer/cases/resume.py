"""A session over several connections. Sections 6.4, 6.5 and 9.3."""

from __future__ import annotations

from ... import raw
from ...catalogue import ONCE, Section
from ...model import Level
from ...raw import Frame
from ..losses import (
    asks_for_nothing,
    comes_in_again,
    let_in_again,
    loses,
    loses_unanswered,
    sends_again,
    told_to_resume,
)
from ..peer import Peer
from ..script import OTHER_TICKET, TICKET

section = Section(
    "resume",
    "PEER-RESUME",
    needs=("PEER-LOGIN-01", "PEER-FACT-01", "PEER-SAY-01"),
    capabilities=("resume",),
)
GLANCE, TOO_OFTEN = 1.0, 10
"""Seconds, and the connections that nobody makes in them who waits half a second, more or less."""


def _broken(t: Peer) -> int:
    """Let a client in that is to resume, tell it something, and break off; its place."""
    told_to_resume(t)
    t.tell(t.message("bob", "the last one"))
    loses(t)
    return t.place


@section.case(
    1,
    "resumes with its ticket, from the last position that it has handled",
    "EP-6.5-4",
    cause="the position is that of the Welcome, or the ticket is not kept",
)
def resumes(t: Peer) -> None:
    place = _broken(t)
    login = t.login()
    t.check(login.number("ticket") == TICKET, "the session's ticket", "another ticket")
    t.check(login.number("position") == place, f"position {place}", login.number("position"))
    user = login.text("user")
    t.check(user in (b"ann", b""), "the session's name, or none", user)


@section.case(
    2,
    "counts on from the position of the Welcome, through the replay",
    "EP-5.2-5",
    "EP-6.4-3",
    cause="its own messages or its own Joined are not expected as facts",
)
def replay(t: Peer) -> None:
    place = _broken(t)
    t.tell(t.welcome_to(t.login(), position=place))
    t.tell(t.left("ann", raw.LOST_REASON), t.message("bob", "meanwhile"), t.joined("ann"))


@section.case(
    3,
    "sends a Ping directly after the Login, and no message before its Pong",
    "EP-6.5-6",
    cause="the end of the replay is guessed from the facts: an older Joined is treated as its own",
    needs=("PEER-PING-01",),
)
def asks_for_the_end(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    let_in_again(t)
    comes_in_again(t)  # as a connection of hers did that was lost before its Welcome
    comes_in_again(t)
    t.expect_silence()


@section.case(
    5,
    "refuses a Welcome with another position than it requested",
    "EP-6.4-16",
    cause="the position of the Welcome is taken as it is, or a fault is resumed as a loss is",
)
def another_position(t: Peer) -> None:
    place = _broken(t)
    login = t.login()
    t.refuses(raw.UNEXPECTED_EVENT, t.welcome_to(login, position=place + 1))


@section.case(
    6,
    "tells HISTORY_GONE, and sends nothing again by itself",
    "EP-3.6-3",
    "EP-4.4-4",
    cause="a session that is gone is treated as one that goes on, at the latest at the Pong",
)
def history_gone(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    login = t.login()
    t.tell(Frame(raw.error(login.seq, raw.HISTORY_GONE)))
    asks_for_nothing(t)


@section.case(
    8,
    "resumes with the ticket of its latest Welcome, or ends where that is another one",
    "EP-3.8-5",
    "EP-3.8-6",
    cause="only the first ticket is kept",
    needs=("PEER-RESUME-01", "PEER-RESUME-02"),
)
def another_ticket(t: Peer) -> None:
    place = _broken(t)
    welcome = t.welcome_to(t.login(), ticket=OTHER_TICKET, position=place)
    t.send(welcome)
    if t.goes_on_or_refuses(welcome):
        loses(t)
        ticket = t.login().number("ticket")
        t.check(ticket == OTHER_TICKET, "the ticket of the latest Welcome", "another ticket")


@section.case(
    9,
    "resumes from the entry of its last Ack, where no fact came after it",
    "EP-6.5-4",
    cause="the place is taken from facts alone",
    needs=("PEER-RESUME-01", "PEER-FACT-07"),
)
def place_of_an_ack(t: Peer) -> None:
    told_to_resume(t)
    t.order("say one")
    t.tell(t.ack(t.asked(raw.MESSAGE)))
    loses(t)
    position = t.login().number("position")
    t.check(position == t.place, f"position {t.place}", position)


@section.case(
    10,
    "resumes from the place that it reached meanwhile, where it is lost again",
    "EP-6.5-4",
    cause="the position is kept at the first loss only, or at the end of the replay",
    needs=("PEER-RESUME-01", "PEER-RESUME-02"),
)
def place_of_a_second_loss(t: Peer) -> None:
    place = _broken(t)
    t.tell(t.welcome_to(t.login(), position=place))
    t.tell(t.left("ann", raw.LOST_REASON), t.message("bob", "meanwhile"))
    loses(t)
    position = t.login().number("position")
    t.check(position == t.place, f"position {t.place}", position)


@section.case(
    11,
    "knows after several losses what was accepted, and sends the rest again each time",
    "EP-6.5-3",
    "EP-10.3-2",
    cause="what is kept is taken to be settled at the first resume, or once it was sent again",
    needs=("PEER-RESUME-04", "PEER-RESUME-10"),
)
def exactly_once_over_losses(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one", "say two")
    let_in_again(t)
    t.tell(t.message("ann", "one"))
    loses(t)  # within the replay
    pong = let_in_again(t)
    comes_in_again(t)
    comes_in_again(t)
    sends_again(t, pong, b"two")
    loses(t)  # before its reply
    pong = let_in_again(t)
    comes_in_again(t)
    sends_again(t, pong, b"two")


@section.case(
    14,
    "does not send again what an Error has refused",
    "EP-3.6-3",
    cause="only an Ack takes a request off what is kept",
    needs=("PEER-RESUME-04", "PEER-ERROR-01"),
)
def refused_is_answered(t: Peer) -> None:
    told_to_resume(t)
    t.order("say one")
    t.tell(Frame(raw.error(t.asked(raw.MESSAGE).seq, raw.UNEXPECTED_EVENT)))
    loses_unanswered(t, "say two")
    pong = let_in_again(t)
    comes_in_again(t)
    sends_again(t, pong, b"two")


@section.case(
    15,
    "waits before it connects again to a server that turns it away",
    "EP-9.3-1",
    cause="a server that is in trouble is attacked by its own clients",
    needs=("PEER-RESUME-01",),
    level=Level.SHOULD,
    segmentations=ONCE,
)
def waits(t: Peer) -> None:
    _broken(t)
    count = t.turn_away(GLANCE, TOO_OFTEN)
    t.check(count < TOO_OFTEN, f"fewer attempts than {TOO_OFTEN} in {GLANCE} s", f"{count} of them")


@section.case(
    16,
    "sends nothing at the Pong where USER_TAKEN refused its resume, and tries it again",
    "EP-4.4-4",
    "EP-6.5-3",
    cause="any Pong ends the replay, or a name that is in use for a moment is given up forever",
    needs=("PEER-RESUME-11",),
)
def name_is_taken(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    login = t.login()
    t.tell(Frame(raw.error(login.seq, raw.USER_TAKEN)))
    asks_for_nothing(t)
    t.finish()
    t.tells_end("refused", "lost")
    pong = let_in_again(t)
    comes_in_again(t)
    sends_again(t, pong, b"one")
