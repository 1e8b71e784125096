"""Errors that end a connection, and those that do not. Sections 3.6 and 8."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import Peer

section = Section("errors", "PEER-ERROR", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    1,
    "goes on after an Error that answers a request",
    "EP-3.6-3",
    cause="every Error is treated as the end",
    needs=("PEER-SAY-01", "PEER-PING-01"),
)
def not_fatal(t: Peer) -> None:
    t.welcome()
    t.order("event 128 00")
    request = t.asked(128)
    t.tell(raw.Frame(raw.error(request.seq, raw.UNKNOWN_TYPE, "no such type here")))
    t.tell(t.message("bob", "still there?"))
    t.expect_silence()


@section.case(
    2,
    "goes on after an Error with a request's seq, also where its code is a fatal one",
    "EP-3.6-3",
    cause="the end is told by the code, not by seq 0",
    needs=("PEER-SAY-01", "PEER-PING-01"),
)
def fatal_code_as_reply(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    t.tell(raw.Frame(raw.error(request.seq, raw.INTERNAL)), t.message("bob", "still there?"))
    t.expect_silence()


@section.case(
    3,
    "takes a code that it does not know as it takes the others",
    "EP-2.3-2",
    "EP-3.6-3",
    cause="an unknown code has no place in an enumeration",
    needs=("PEER-SAY-01", "PEER-PING-01"),
)
def unknown_code(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    t.tell(raw.Frame(raw.error(request.seq, 4711, "of a later version")))
    t.expect_silence()


@section.case(
    6,
    "takes everything before the last Error, and nothing after it",
    "EP-3.6-3",
    "EP-4.2-13",
    "EP-8.2-3",
    cause="an Error overtakes what was read before it, or reading continues after it",
)
def last_frame(t: Peer) -> None:
    t.welcome()
    facts = [t.message("bob", "one"), t.left("bob")]
    t.send(*facts, raw.error(0, raw.SHUTTING_DOWN), t.message("bob", "after the end"))
    t.finish()
    t.shows(*facts)
    t.ends("explained", code=raw.SHUTTING_DOWN)


@section.case(
    7,
    "goes on after an Error that answers a Ping",
    "EP-3.6-3",
    cause="only a Pong is treated as the reply to a Ping",
    needs=("PEER-SAY-04", "PEER-ERROR-01"),
)
def ping_refused(t: Peer) -> None:
    t.welcome()
    t.order("ping")
    request = t.asked(raw.PING)
    t.tell(raw.Frame(raw.error(request.seq, raw.UNKNOWN_TYPE)), t.message("bob", "still there?"))
    t.expect_silence()
