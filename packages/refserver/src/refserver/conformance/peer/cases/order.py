"""Which reply answers which request. Sections 4.2 and 4.4.

A client that looks a reply up by its seq, or keeps a queue for each kind of request, finds
a request for every reply that is out of order.
"""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...raw import Frame
from ..peer import KIT, Peer

section = Section("order", "PEER-ORDER", needs=("PEER-LOGIN-01", "PEER-SAY-01", "PEER-REPLY-01"))


def _two_requests(t: Peer, first: int, second: int) -> list[Frame]:
    """Order a request of each type at once; returns those that come before any reply."""
    orders = {raw.MESSAGE: "say hello", raw.PING: "ping", raw.LOGOUT: "logout"}
    t.welcome()
    t.tell(*(t.message(KIT, orders[type]) for type in (first, second)))
    requests = [t.asked(first)]
    frame = t.connection.next(t.soon())  # the second may wait for the reply to the first
    return requests if frame is None else [*requests, frame]


@section.case(
    1,
    "refuses the Ack of a later request before that of the oldest one",
    "EP-4.2-11",
    cause="a reply is looked up by its seq, or an Ack answers all requests up to its own",
)
def ack_of_a_later_request(t: Peer) -> None:
    requests = _two_requests(t, raw.MESSAGE, raw.MESSAGE)
    if len(requests) == 2:
        t.refuses(raw.UNEXPECTED_EVENT, raw.ack(requests[1].seq, t.place + 1))


@section.case(
    2,
    "refuses the Pong to a Ping before the Ack of an older Message",
    "EP-4.2-11",
    cause="Pings have a queue of their own",
    needs=("PEER-SAY-04",),
)
def pong_before_ack(t: Peer) -> None:
    requests = _two_requests(t, raw.MESSAGE, raw.PING)
    if len(requests) == 2:
        t.refuses(raw.UNEXPECTED_EVENT, raw.pong(requests[1].seq))


@section.case(
    3,
    "refuses the Ack of its Logout before that of an older Message",
    "EP-4.2-11",
    "EP-10.1-2",
    cause="the Ack of a Logout is looked for by its seq, and the Message is given up",
)
def goodbye_before_ack(t: Peer) -> None:
    requests = _two_requests(t, raw.MESSAGE, raw.LOGOUT)
    if len(requests) == 2:
        t.refuses(raw.UNEXPECTED_EVENT, raw.ack(requests[1].seq, t.place + 1))


@section.case(
    12,
    "goes on after an Error that answers its Logout",
    "EP-3.6-3",
    "EP-4.2-9",
    "EP-10.1-2",
    cause="any reply to a Logout is treated as the end",
    needs=("PEER-PING-01",),
)
def logout_refused(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    t.tell(Frame(raw.error(t.asked(raw.LOGOUT).seq, raw.INTERNAL)), t.message("bob", "still here"))
    t.expect_silence()
