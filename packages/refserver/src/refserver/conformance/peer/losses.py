"""What a case about a session does: it loses the client, and lets it resume.

Rule: each function is one thing that happens to a session, in the words of section 6.5; what
is asked of the client stands in the cases.

Layer: above `peer`, below the cases.
"""

from __future__ import annotations

from .. import raw
from ..raw import Frame
from .peer import KIT, Peer

__all__ = [
    "asks_for_nothing",
    "comes_in_again",
    "let_in_again",
    "loses",
    "loses_unanswered",
    "pauses",
    "sends_again",
    "sends_no_more",
    "told_to_resume",
]


def told_to_resume(t: Peer, user: str = "ann", max_frame: int = 65_536) -> None:
    """Let the client in, under this name, and order it to resume."""
    t.welcome(user=user, max_frame=max_frame)
    t.order("resume")


def loses(t: Peer) -> None:
    """End the server's stream: the client tells the loss."""
    t.finish()
    t.tells_end("lost")


def loses_unanswered(t: Peer, *orders: str) -> None:
    """Give orders that are requests, and break off before any of them has its reply."""
    _orders(t, *orders)
    loses(t)


def pauses(t: Peer, code: int, *orders: str) -> None:
    """The same, but the connection ends with an Error of this code, seq 0."""
    _orders(t, *orders)
    t.send(raw.error(0, code))
    t.finish()
    t.tells_end("explained", code=code)


def _orders(t: Peer, *orders: str) -> None:
    t.tell(*(t.message(KIT, order) for order in orders))
    t.asked(raw.MESSAGE, *raw.APPLICATION)  # the next may wait for the first one's reply


def let_in_again(t: Peer, user: str = "ann", max_frame: int = 65_536) -> Frame:
    """Let the client continue; returns the Pong that ends the replay, not sent yet."""
    login = t.login()
    pong = Frame(raw.pong(t.asked(raw.PING).seq))
    t.tell(t.welcome_to(login, user=user, position=t.place, max_frame=max_frame))
    return pong


def comes_in_again(t: Peer, user: str = "ann") -> None:
    """Tell what a loss and a resume enter."""
    t.tell(t.left(user, raw.LOST_REASON), t.joined(user))


def sends_again(t: Peer, pong: Frame, *contents: bytes) -> Frame:
    """End the replay: then, and not before, the client sends these again, in this order.

    Messages by their content, application events by their data. Returns the last one, which has
    no reply yet; the others get their Acks, for each may wait for the one before.
    """
    t.expect_silence()
    t.send(pong)
    sent: list[Frame] = []
    for content in contents:
        if sent:
            t.tell(t.ack(sent[-1]))
        request = t.asked(raw.MESSAGE, *raw.APPLICATION)
        said = request.body[1:]
        t.check(said == content, f"{ascii(content)[1:]}: it was not accepted", said)
        sent.append(request)
    return sent[-1]


def sends_no_more(t: Peer) -> None:
    """Nothing is sent again any more."""
    frame = t.connection.next(t.soon())
    while frame is not None and frame.type == raw.PING:
        t.connection.answer(frame)
        frame = t.connection.next(t.soon())
    t.check(frame is None, "nothing more: the rest was accepted", "another request")


def asks_for_nothing(t: Peer) -> None:
    """A Login or the end comes, and no request of a member, though a Ping gets its Pong."""
    while (frame := t.connection.next(t.soon())) is not None:
        if frame.type == raw.PING:
            t.connection.answer(frame)
        is_right = frame.type in (raw.LOGIN, raw.PING)
        t.check(is_right, "a Login, or the end", "a request of a member")
