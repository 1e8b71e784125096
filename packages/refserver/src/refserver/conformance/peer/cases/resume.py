"""A session over several connections. Sections 6.4, 6.5 and 9.3."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...model import Level
from ...raw import Frame
from ..peer import KIT, Peer
from ..script import OTHER_TICKET, TICKET

section = Section("resume", "PEER-RESUME", needs=("PEER-LOGIN-01", "PEER-FACT-01", "PEER-SAY-01"))
RESUMES = ("resume",)


def _broken(t: Peer) -> int:
    """Let a client in that is to resume, tell it something, and break off; its place."""
    t.welcome()
    t.order("resume")
    t.tell(t.message("bob", "the last one"))
    t.wire.half_close()
    t.tells_end("lost")
    return t.place


@section.case(
    1,
    "resumes with its ticket, from the last position that it has handled",
    "EP-6.5-4",
    cause="the position is that of the Welcome, or the ticket is not kept",
    capabilities=RESUMES,
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
    cause="one's own messages or one's own Joined are not expected as facts",
    capabilities=RESUMES,
)
def replay(t: Peer) -> None:
    place = _broken(t)
    t.tell(t.welcome_to(t.login(), position=place))
    t.tell(t.left("ann", raw.LOST_REASON), t.message("bob", "meanwhile"), t.joined("ann"))


@section.case(
    3,
    "sends a Ping right behind the Login, and no message before its Pong",
    "EP-6.5-2",
    cause="the end of the replay is guessed from the facts",
    capabilities=RESUMES,
    level=Level.SHOULD,
)
def asks_for_the_end(t: Peer) -> None:
    _broken(t)
    t.login()
    t.asked(raw.PING)


@section.case(
    4,
    "sends again what was not accepted, and nothing that was",
    "EP-6.5-3",
    cause="everything without an Ack is sent again, or nothing",
    capabilities=RESUMES,
    needs=("PEER-RESUME-02", "PEER-RESUME-03"),
)
def exactly_once(t: Peer) -> None:
    t.welcome()
    t.order("resume")
    t.tell(*(t.message(KIT, f"say {word}") for word in ("one", "two")))
    t.asked(raw.MESSAGE)  # the second may wait for the first one's Ack
    t.wire.half_close()
    t.tells_end("lost")
    t.tell(t.welcome_to(t.login(), position=t.place))
    pong = Frame(raw.pong(t.asked(raw.PING).seq))
    t.tell(t.message("ann", "one"), t.left("ann", raw.LOST_REASON), t.joined("ann"))
    t.send(pong)
    again = t.asked(raw.MESSAGE).text("content")
    t.check(again == b"two", "two: it was not accepted", again)


@section.case(
    5,
    "refuses a Welcome with another position than it asked for",
    "EP-6.4-16",
    cause="the position of the Welcome is taken as it is",
    capabilities=RESUMES,
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
    cause="a session that is gone is taken for one that goes on",
    capabilities=RESUMES,
)
def history_gone(t: Peer) -> None:
    t.welcome()
    t.order("resume")
    t.tell(t.message(KIT, "say one"))
    t.asked(raw.MESSAGE)
    t.finish()
    t.tells_end("lost")
    login = t.login()
    t.tell(Frame(raw.error(login.seq, raw.HISTORY_GONE)))
    frame = t.wire.next(t.soon())
    while frame is not None and frame.type == raw.PING:
        frame = t.wire.next(t.soon())
    is_login = frame is None or frame.type == raw.LOGIN
    t.check(is_login, "a fresh Login, or the end", "a request of a member")


@section.case(
    7,
    "does not come back by itself after USER_TAKEN ended its connection",
    "EP-9.3-3",
    cause="two clients of one session throw each other out for ever",
    capabilities=RESUMES,
    level=Level.SHOULD,
)
def taken_over(t: Peer) -> None:
    t.welcome()
    t.order("resume")
    t.send(raw.error(0, raw.USER_TAKEN))
    t.finish()
    t.ends("explained", code=raw.USER_TAKEN)


@section.case(
    8,
    "resumes with the ticket of its latest Welcome, or ends where that is another one",
    "EP-3.8-5",
    "EP-3.8-6",
    cause="only the first ticket is kept",
    capabilities=RESUMES,
    needs=("PEER-RESUME-01", "PEER-RESUME-02"),
)
def another_ticket(t: Peer) -> None:
    place = _broken(t)
    welcome = t.welcome_to(t.login(), ticket=OTHER_TICKET, position=place)
    t.send(welcome)
    if t.goes_on_or_refuses(welcome):
        t.wire.half_close()
        t.tells_end("lost")
        ticket = t.login().number("ticket")
        t.check(ticket == OTHER_TICKET, "the ticket of the latest Welcome", "another ticket")
