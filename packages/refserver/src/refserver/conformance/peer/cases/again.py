"""When a client comes back, and what a connection begins anew. Sections 6.4 and 9.3."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
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
from ..script import HIGH_TICKET

section = Section(
    "again", "PEER-AGAIN", needs=("PEER-RESUME-01", "PEER-RESUME-02"), capabilities=("resume",)
)
FLOAT = 2**53
"""From here on a floating-point number takes two neighbours for the same."""


# ------------------------------------------------------------- who comes back


@section.case(
    5,
    "does not come back by itself after a fault in a replay: a gap",
    "EP-5.2-6",
    "EP-9.3-4",
    cause="positions are not compared in a replay, or a fault is resumed as a loss is",
)
def gap_in_a_replay(t: Peer) -> None:
    told_to_resume(t)
    loses(t)
    let_in_again(t)
    t.tell(t.message("bob", "meanwhile"))
    t.refuses(raw.UNEXPECTED_EVENT, raw.message(t.place + 2, "one too far", "bob"))


@section.case(
    6,
    "does not come back after the Ack of its Logout",
    "EP-10.1-2",
    cause="the end of a connection is resumed, whatever it was",
)
def clean(t: Peer) -> None:
    told_to_resume(t)
    t.leaves()


@section.case(
    7,
    "tries again with the same ticket where it is lost before the Welcome of its resume",
    "EP-6.5-4",
    "EP-6.5-13",
    cause="a resume that has no reply is treated as one that was refused",
)
def lost_in_the_login(t: Peer) -> None:
    told_to_resume(t)
    loses(t)
    first = t.login()
    loses(t)
    login = t.login()
    same = all(login.number(name) == first.number(name) for name in ("ticket", "position"))
    t.check(same, "the ticket and the position of the attempt before", "others")


@section.case(
    8,
    "asks for its session under the name that it was granted",
    "EP-3.8-4",
    "EP-6.4-9",
    cause="the name of the first Login is written into every Login",
)
def granted_name(t: Peer) -> None:
    told_to_resume(t, user="ann 2")
    loses(t)
    user = t.login().text("user")
    t.check(user in (b"ann 2", b""), "the session's name, or none", user)


@section.case(
    9,
    "begins with nothing of the old session where it logs in afresh after HISTORY_GONE",
    "EP-6.4-7",
    "EP-6.5-15",
    cause="the position of the session that is gone stands in the fresh Login",
    needs=("PEER-RESUME-06",),
)
def afresh(t: Peer) -> None:
    told_to_resume(t)
    loses(t)
    login = t.login()
    t.tell(Frame(raw.error(login.seq, raw.HISTORY_GONE)))
    seen = len(t.connection.seen)
    asks_for_nothing(t)
    for frame in t.connection.seen[seen:]:
        if frame.type == raw.LOGIN:
            named = frame.number("ticket"), frame.number("position")
            t.check(named == (0, 0), "ticket 0 and position 0", "others")


# ------------------------------------------------------------- what begins anew


@section.case(
    10,
    "begins each connection with an empty buffer",
    "EP-2.1-6",
    "EP-10.3-1",
    cause="a piece of a frame is put in front of the next connection's first frame",
)
def empty_buffer(t: Peer) -> None:
    told_to_resume(t)
    t.send(raw.message(t.place + 1, "never whole", "bob")[:-3])
    loses(t)
    let_in_again(t)
    t.tell(t.message("bob", "whole"))


@section.case(
    11,
    "begins each connection with the limit of before the Welcome",
    "EP-2.1-4",
    "EP-7.1-6",
    cause="the limit of the connection before is there from the start",
    needs=("PEER-LIMIT-06",),
)
def limit(t: Peer) -> None:
    told_to_resume(t)
    loses(t)
    t.login()
    t.refuses(raw.FRAME_TOO_LARGE, (4_096 + 256).to_bytes(4, "big"), probe=False)


@section.case(
    12,
    "begins each connection with request 1",
    "EP-4.2-4",
    cause="numbers go on over the connections of a session",
    level=Level.SHOULD,
)
def numbers(t: Peer) -> None:
    told_to_resume(t)
    t.order("say one")
    t.tell(t.ack(t.asked(raw.MESSAGE)))
    loses(t)
    login = t.login()
    t.check(login.seq == 1, "seq 1", login.seq)


@section.case(
    13,
    "refuses the Pong of its Ping before the Welcome of its resume",
    "EP-4.2-11",
    cause="a Pong ends the replay whenever it comes",
    needs=("PEER-RESUME-03",),
)
def pong_before_welcome(t: Peer) -> None:
    told_to_resume(t)
    loses(t)
    t.login()
    t.refuses(raw.UNEXPECTED_EVENT, raw.pong(t.asked(raw.PING).seq))


# ------------------------------------------------------------- numbers of 64 bits


@section.case(
    14,
    "resumes with a ticket whose highest and lowest bits are set",
    "EP-2.3-1",
    "EP-6.5-4",
    cause="the ticket is held as a signed or a floating-point number",
)
def high_ticket(t: Peer) -> None:
    t.tell(t.welcome_to(t.login(), ticket=HIGH_TICKET))
    t.order("resume")
    loses(t)
    t.check(t.login().number("ticket") == HIGH_TICKET, "the session's ticket", "another ticket")


@section.case(
    15,
    "resumes from a position beyond 2^53",
    "EP-5.1-2",
    "EP-6.5-4",
    cause="the position of a Login goes through a floating-point number",
)
def high_position(t: Peer) -> None:
    _lost_at(t, FLOAT + 1)
    position = t.login().number("position")
    t.check(position == t.place, f"position {t.place}", position)


@section.case(
    16,
    "refuses a Welcome with the position next to the one that it requested, beyond 2^53 too",
    "EP-5.1-2",
    "EP-6.4-16",
    cause="the positions are compared as floating-point numbers",
    needs=("PEER-RESUME-05",),
)
def neighbouring_position(t: Peer) -> None:
    _lost_at(t, FLOAT + 1)
    t.refuses(raw.UNEXPECTED_EVENT, t.welcome_to(t.login(), position=FLOAT))


def _lost_at(t: Peer, place: int) -> None:
    """Let the client in so that it is at this place when it is lost."""
    t.welcome(position=place - 1)
    t.order("resume")
    loses(t)


# ------------------------------------------------------------- secrets


@section.case(
    17,
    "lets nobody see the ticket, over a loss and a resume",
    "EP-12-1",
    cause="what is resumed is told or logged with its ticket",
    needs=("PEER-CLOSE-08",),
)
def no_ticket(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    pong = let_in_again(t)
    comes_in_again(t)
    t.tell(t.ack(sends_again(t, pong, b"one")))
    t.leaves()
    shown = t.process.said + t.process.errors
    told = [form for form in t.ticket_forms() if form in shown.lower()]
    t.check(not told, "no ticket on stdout and stderr", "the ticket stands there")


# ------------------------------------------------------------- a session that is gone


@section.case(
    18,
    "does not ask again for a session that is gone",
    "EP-6.4-7",
    "EP-6.5-15",
    cause="every refused resume is tried again, forever, or the old position is requested afresh",
    needs=("PEER-RESUME-06",),
)
def gone_is_gone(t: Peer) -> None:
    told_to_resume(t)
    loses(t)
    t.tell(Frame(raw.error(t.login().seq, raw.HISTORY_GONE)))
    t.finish()
    t.tells_end("refused", "lost")
    if t.comes_back():
        login = t.login()
        named = login.number("ticket"), login.number("position")
        t.check(named == (0, 0), "ticket 0 and position 0", "others")


# ------------------------------------------------------------- what comes in a replay


@section.case(
    19,
    "resumes from the position of an application event, where that came last",
    "EP-6.5-4",
    "EP-5.2-5",
    cause="the position to resume from is kept where Messages and presence are handled",
    needs=("PEER-APP-01",),
)
def behind_an_application_event(t: Peer) -> None:
    told_to_resume(t)
    t.tell(t.application(0x90, "bob", b"the last one"))
    loses(t)
    login = t.login()
    t.check(login.number("position") == t.place, f"position {t.place}", login.number("position"))


@section.case(
    20,
    "answers a Ping in a replay that has its marker's number, and waits on for the Pong",
    "EP-3.7-2",
    "EP-6.5-6",
    cause="the seq of the marker is looked for, and not its Pong",
    needs=("PEER-PING-03", "PEER-RESUME-03"),
)
def ping_of_the_markers_number(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one")
    pong = let_in_again(t)
    seq = int.from_bytes(pong.raw[8:16], "big")
    t.send(raw.ping(seq))
    t.answers(seq)
    comes_in_again(t)
    sends_again(t, pong, b"one")


@section.case(
    21,
    "goes on with a replay after an unknown type",
    "EP-3.12-2",
    "EP-6.5-6",
    cause="what is not known in a replay ends it",
    needs=("PEER-UNKNOWN-01", "PEER-RESUME-04"),
)
def unknown_in_a_replay(t: Peer) -> None:
    told_to_resume(t)
    loses_unanswered(t, "say one", "say two")
    pong = let_in_again(t)
    t.tell(Frame(raw.frame(0x0B, 9, b"of a later version")), t.message("ann", "one"))
    comes_in_again(t)
    sends_again(t, pong, b"two")
