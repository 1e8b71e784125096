"""The end: clean, explained or lost. Section 10."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...model import Level
from ..peer import Peer

section = Section("closing", "PEER-CLOSE", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    1,
    "tells a clean end at the Ack of its Logout",
    "EP-10.1-2",
    cause="a clean end is only known from the end of the stream",
    needs=("PEER-SAY-01",),
)
def clean(t: Peer) -> None:
    t.welcome()
    t.leaves()


@section.case(
    2,
    "takes a Logout whose Ack has position 0, with presence off",
    "EP-3.5-2",
    "EP-5.2-5",
    "EP-5.4-7",
    cause="position 0 is checked as a position",
    needs=("PEER-SAY-01",),
)
def clean_without_presence(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    t.tell(t.ack(t.asked(raw.LOGOUT), 0))
    t.finish()
    t.ends("clean")


@section.case(
    3,
    "tells a loss where the stream ends after its Logout without the Ack",
    "EP-10.1-2",
    "EP-10.3-1",
    cause="who has sent a Logout takes any end for a clean one",
    needs=("PEER-SAY-01",),
)
def no_ack(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    t.asked(raw.LOGOUT)
    t.finish()
    t.ends("lost")


@section.case(
    4,
    "tells a loss where the stream ends by itself",
    "EP-10.3-1",
    cause="the end of the stream is treated as a clean end, or not noticed",
)
def lost(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", "the last one"))
    t.finish()
    t.ends("lost")


@section.case(
    5,
    "tells a loss where the connection is reset",
    "EP-10.3-1",
    cause="an error of the transport is not caught",
)
def reset(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", "the last one"))
    t.connection.reset()
    t.ends("lost")


@section.case(
    6,
    "closes by itself when its Logout has its Ack, without awaiting the server's close",
    "EP-10.4-2",
    cause="both sides wait for the other to close",
    level=Level.SHOULD,
    needs=("PEER-SAY-01",),
)
def closes_first(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    t.tell(t.ack(t.asked(raw.LOGOUT)))
    t.ends("clean")


@section.case(
    7,
    "closes by itself after the last Error, so that a staged close goes through",
    "EP-10.4-2",
    cause="the client waits for more after the last frame",
    level=Level.SHOULD,
)
def closes_after_error(t: Peer) -> None:
    t.welcome()
    t.send(raw.error(0, raw.TIMEOUT))
    t.ends("explained", code=raw.TIMEOUT)


@section.case(
    8,
    "lets nobody see the ticket",
    "EP-12-1",
    cause="a Welcome is told or logged with all its fields",
)
def no_ticket(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", "the last one"))
    t.send(raw.error(0, raw.SHUTTING_DOWN))
    t.finish()
    t.ends("explained", code=raw.SHUTTING_DOWN)
    shown = t.process.said + t.process.errors
    told = [form for form in t.ticket_forms() if form in shown.lower()]
    t.check(not told, "no ticket on stdout and stderr", "the ticket stands there")
