"""Replies to requests, in their order. Sections 4.2 and 4.4."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import KIT, Peer

section = Section("replies", "PEER-REPLY", needs=("PEER-LOGIN-01", "PEER-SAY-01"))


@section.case(
    1,
    "refuses a reply whose seq is not that of its oldest request",
    "EP-4.2-11",
    cause="the seq of a reply is not compared",
)
def another_seq(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    t.refuses(raw.UNEXPECTED_EVENT, raw.ack(request.seq + 1, t.place + 1))


@section.case(
    2,
    "refuses a reply where nothing was asked",
    "EP-4.2-11",
    cause="a reply without a request is passed over",
)
def unasked(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.UNEXPECTED_EVENT, raw.pong(5))


@section.case(
    3,
    "refuses a reply of a kind that its request does not have",
    "EP-4.2-10",
    "EP-4.2-11",
    cause="only the seq of a reply is compared",
)
def another_kind(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    t.refuses(raw.UNEXPECTED_EVENT, raw.pong(request.seq))


@section.case(
    4,
    "refuses a second Welcome",
    "EP-4.2-11",
    cause="a Welcome is handled whenever it comes",
)
def second_welcome(t: Peer) -> None:
    t.welcome()
    t.order("say hello")
    request = t.asked(raw.MESSAGE)
    second = raw.welcome(request.seq, "ann", 1, t.place)
    t.refuses(raw.UNEXPECTED_EVENT, second)


@section.case(
    5,
    "refuses a Login from a server",
    "EP-4.4-2",
    cause="what only clients send is passed over",
)
def login_from_server(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.UNEXPECTED_EVENT, raw.login(3, "bob"))


@section.case(
    6,
    "refuses a Logout from a server",
    "EP-4.4-2",
    cause="it is taken for the server's way to say goodbye",
)
def logout_from_server(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.UNEXPECTED_EVENT, raw.logout(3))


@section.case(
    7,
    "takes replies that come together with facts between them",
    "EP-4.2-11",
    "EP-5.2-5",
    cause="a reply is expected to be the next frame",
)
def among_facts(t: Peer) -> None:
    t.welcome()
    orders = [t.message(KIT, f"say {word}") for word in ("one", "two", "three")]
    t.tell(*orders)
    for _ in orders:
        request = t.asked(raw.MESSAGE)
        t.tell(t.message("bob", "before it"), t.ack(request), t.message("bob", "behind it"))


@section.case(
    8,
    "judges the body of a Login from a server before it refuses the Login itself",
    "EP-8.3-4",
    cause="the type is refused before its body is read",
    needs=("PEER-REPLY-05",),
)
def broken_login_from_server(t: Peer) -> None:
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(raw.LOGIN, 3, b"\x03ann"))
