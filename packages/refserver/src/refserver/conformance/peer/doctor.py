"""Is a client's command right? The contract, step by step.

Rule: one run of the command, one line for each step, and at the first that fails what
to do about it; the protocol itself is the cases' business.

Layer: above `peer`, below `commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .. import raw
from ..raw import Frame
from ..suite import CaseFailed
from .lines import line_of
from .peer import KIT, Peer
from .script import TICKET

__all__ = ["STEPS", "Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the contract: what to see, how to look for it, what to do where it is not so."""

    title: str
    look: Callable[[Peer], None]
    advice: str
    needs: frozenset[str] = frozenset()
    """What must be declared of the client, or the step is left out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a step; an empty `failure` is all right."""

    title: str
    failure: str = ""
    advice: str = ""


def _logs_in(t: Peer) -> None:
    login = t.asked(raw.LOGIN)
    t.check(login.text("user") == b"ann", 'user "ann"', login.text("user"))
    t.send(t.welcome_to(login))


def _tells_welcome(t: Peer) -> None:
    t.says({"event": "Welcome", "user": "ann"})


def _tells_fields(t: Peer) -> None:
    fact = t.message("bob", "hello")
    t.send(fact)
    t.says(line_of(fact))


def _says(t: Peer) -> None:
    t.send(t.message(KIT, "say good morning"))
    t.says({"event": "Message", "sender": KIT})
    request = t.asked(raw.MESSAGE)
    t.check(request.text("content") == b"good morning", "good morning", request.text("content"))
    t.send(t.ack(request))


def _tells_reply(t: Peer) -> None:
    t.says({"event": "Ack", "position": str(t.place)})


def _sends_event(t: Peer) -> None:
    t.send(t.message(KIT, "event 200 00ff"))
    t.says({"event": "Message", "sender": KIT})
    request = t.asked(200)
    t.check(request.text("data") == b"\x00\xff", "data 00ff", request.text("data"))
    ack = t.ack(request)
    t.tell(ack)


def _pings(t: Peer) -> None:
    t.send(t.message(KIT, "ping"))
    t.says({"event": "Message", "sender": KIT})
    t.tell(Frame(raw.pong(t.asked(raw.PING).seq)))


def _resumes(t: Peer) -> None:
    t.order("resume")
    t.finish()
    t.tells_end("lost")
    login = t.login()
    named = login.number("ticket"), login.number("position")
    t.check(named == (TICKET, t.place), f"its ticket, and position {t.place}", "other numbers")
    t.tell(t.welcome_to(login, position=t.place))


def _logs_out(t: Peer) -> None:
    t.send(t.message(KIT, "logout"))
    t.says({"event": "Message", "sender": KIT})
    t.tell(t.ack(t.asked(raw.LOGOUT)))


def _tells_end(t: Peer) -> None:
    t.finish()
    t.tells_end("clean")


def _is_done(t: Peer) -> None:
    status = t.process.exit_code(t.deadline())
    t.check(status == 0, "status 0", "it runs on" if status is None else f"status {status}")


STEPS = (
    Step(
        "the command connects",
        Peer.accept,
        "connect to {host} and {port}, which stand in the command, at once",
    ),
    Step("it logs in as ann", _logs_in, 'send Login(user="ann"), without any order, first'),
    Step(
        "it tells the Welcome on stdout",
        _tells_welcome,
        'print {"event": "Welcome", "user": "ann", ...} on a line of its own, and flush stdout',
    ),
    Step(
        "it tells a fact with its fields",
        _tells_fields,
        "name the fields as the specification does; seq and position as strings of digits",
    ),
    Step(
        "it follows an order: say",
        _says,
        f'when {KIT} says "say TEXT", send a Message with TEXT',
    ),
    Step(
        "it tells a reply",
        _tells_reply,
        "tell replies as facts: seq is that of the request",
    ),
    Step(
        "it follows an order: event",
        _sends_event,
        f'when {KIT} says "event TYPE HEX", send an application event of that type and data',
    ),
    Step("it follows an order: ping", _pings, f'when {KIT} says "ping", send a Ping'),
    Step(
        "it follows an order: resume",
        _resumes,
        f'when {KIT} said "resume" and the connection is lost, tell that, connect again, '
        "and log in with the ticket and the last position",
        needs=frozenset({"resume"}),
    ),
    Step("it follows an order: logout", _logs_out, f'when {KIT} says "logout", send a Logout'),
    Step(
        "it tells how its connection ended",
        _tells_end,
        'print {"event": "End", "how": "clean"} when the Ack of the Logout has come',
    ),
    Step("it ends with status 0", _is_done, "leave with status 0 after the End, whatever it was"),
)


def examine(peer: Peer) -> Iterator[Finding]:
    """Go through the steps for what is declared, up to the first that fails."""
    for step in STEPS:
        if not step.needs <= peer.setting.capabilities:
            continue
        try:
            step.look(peer)
        except CaseFailed as failure:
            yield Finding(step.title, str(failure), step.advice)
            return
        yield Finding(step.title)
