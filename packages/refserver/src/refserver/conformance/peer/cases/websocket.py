"""A client over WebSocket: the stream, the handshake, the end. Section 16.

Rule: a client in a browser has no say in the frames of WebSocket, so that these cases ask only for
what every library lets a client choose.

Layer: above `peer`, in the catalogue of cases for clients.
"""

from __future__ import annotations

from ... import raw
from ...catalogue import ONCE, Section
from ...model import Direction
from ...web_frames import BINARY, CONT, PING, TEXT, put, web, web_frame
from ..peer import PROBE, Peer

__all__ = ["section"]

section = Section(
    "websocket", "PEER-WS", needs=("PEER-WS-01",), capabilities=("websocket",), segmentations=ONCE
)
CLIENT_ALLOWANCE = 4
"""How many bytes longer than `max_frame` a message of the client may be."""
ALLOWANCE = 259
"""How many bytes longer than `max_frame` a message of the server may be."""


def show(t: Peer, told: str, *frames: bytes) -> None:
    """Send frames of WebSocket as they are."""
    put(t.connection, told, *frames)


def message(payload: bytes, opcode: int = BINARY, *, fin: bool = True) -> bytes:
    """One frame of WebSocket as a server sends it."""
    return web_frame(opcode, payload, fin=fin, masked=False)


@section.case(
    1,
    "offers the subprotocol event-protocol.1, and sends binary messages",
    "EP-16.2-1",
    "EP-16.1-1",
    cause="the WebSocket is opened without a subprotocol, or frames are sent as text",
)
def offers(t: Peer) -> None:
    t.welcome()
    t.order("say over WebSocket")
    t.tell(t.ack(t.asked(raw.MESSAGE)))


@section.case(
    2,
    "closes where the server does not select event-protocol.1, and sends nothing",
    "EP-16.2-3",
    cause="the selected subprotocol is not looked at",
)
def not_selected(t: Peer) -> None:
    from ...websocket import accepted_without_subprotocol

    t.accept(accepted_without_subprotocol)
    frame = t.connection.next(t.deadline())
    t.check(frame is None, "no frame", "a frame")
    t.check(bool(t.connection.ended), "the client closes the connection", "it keeps it open")


@section.case(
    3,
    "sends no message that is longer than max_frame + 4 bytes",
    "EP-16.1-5",
    cause="what is to be sent is gathered into one message, however much it is",
)
def short_messages(t: Peer) -> None:
    t.welcome(max_frame=4_096)
    facts = [t.message("kit", "say " + letter * 1_500) for letter in "abcde"]
    t.send_whole(*facts)
    t.shows(*facts)
    for _ in facts:
        t.asked(raw.MESSAGE)
    longest = max(web(t.connection).sizes)
    most = 4_096 + CLIENT_ALLOWANCE
    t.check(longest <= most, f"messages of at most {most} bytes", f"one of {longest}")


@section.case(
    4,
    "takes frames across messages, fragments, and messages of several frames",
    "EP-16.1-1",
    "EP-16.1-2",
    cause="one message is taken for one frame",
)
def boundaries(t: Peer) -> None:
    t.welcome()
    facts = [t.message("bob", f"number {number}") for number in range(4)]
    stream = b"".join(fact.raw for fact in facts)
    first, second, third = stream[:9], stream[9:60], stream[60:]
    show(t, "four frames in three messages", *map(message, (first, second, third)))
    t.shows(*facts)
    more = [t.message("bob", "in fragments"), t.message("bob", "and behind them")]
    stream = b"".join(fact.raw for fact in more)
    show(
        t,
        "two frames in a message of three fragments, with a Ping between",
        message(stream[:7], fin=False),
        message(b"are you there?", PING),
        message(b"", CONT, fin=False),
        message(stream[7:], CONT),
    )
    t.shows(*more)
    t.expect_silence()


@section.case(
    5,
    "takes an empty message for nothing",
    "EP-16.1-2",
    cause="an empty message is taken for the end of the stream",
)
def empty(t: Peer) -> None:
    t.welcome()
    fact = t.message("bob", "hello")
    show(t, "empty messages", message(b""), message(fact.raw[:5]), message(b""))
    show(t, "the rest", message(fact.raw[5:]))
    t.shows(fact)
    t.expect_silence()


@section.case(
    6,
    "takes a message of max_frame + 259 bytes",
    "EP-16.1-5",
    "EP-16.1-2",
    cause="the limit of a message is that of the time before the Welcome, or max_frame",
)
def longest(t: Peer) -> None:
    t.welcome(max_frame=8_192)
    header = len(raw.message(1, "", "bob"))
    facts = [t.message("bob", "x" * 4_000), t.message("bob", "y" * (4_451 - 2 * header))]
    data = b"".join(fact.raw for fact in facts)
    assert len(data) == 8_192 + ALLOWANCE
    show(t, f"a message of {len(data)} bytes", message(data))
    t.shows(*facts)
    t.expect_silence()


@section.case(
    7,
    "ends the connection at a text message",
    "EP-16.1-4",
    cause="text is taken like binary, or passed over",
)
def text(t: Peer) -> None:
    t.welcome()
    fact = t.message("bob", "before the text")
    show(t, "a message", message(fact.raw))
    t.shows(fact)
    pings = message(raw.ping(7), TEXT) + message(raw.ping(PROBE))
    show(t, "a text message with a Ping in it, and a binary one with another", pings)
    while (frame := t.connection.next(t.deadline())) is not None:
        t.check(frame.type != raw.PONG, "the client ends the connection", "it answers")
    t.check(bool(t.connection.ended), "the client ends the connection", "it keeps it open")
    t.tells_end("fault", "lost")


def check_code(t: Peer, code: int) -> None:
    """A Close with this code, without a last frame, is a loss."""
    t.welcome()
    t.step(t.connection.who, Direction.NOTE, note=f"WebSocket: a Close with code {code}")
    web(t.connection).end(code)
    t.tells_end("lost")


@section.case(
    8,
    "takes a Close with code 1000 for a loss, where no Logout was acknowledged",
    "EP-16.3-3",
    "EP-10.3-1",
    cause="the normal code is taken for a clean end",
)
def normal_close(t: Peer) -> None:
    check_code(t, 1000)


@section.case(
    9,
    "takes a Close with code 1008 for a loss, where no Error came before it",
    "EP-16.3-3",
    "EP-10.3-1",
    cause="a code that sounds like a refusal is taken for one",
)
def policy_close(t: Peer) -> None:
    check_code(t, 1008)
