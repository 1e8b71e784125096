"""The binding to WebSocket: the stream, the handshake, the end. Section 16.

Rule: a frame of WebSocket is written byte for byte, so that a case can send what no library sends.
What the server sends is read by a library, which accepts no wrong frame.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, cast

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection, entries
from ..model import Direction
from ..streams import NotUpgraded
from ..suite import NotReached
from ..web_frames import BINARY, CLOSE, CONT, PING, TEXT, put, web, web_frame

if TYPE_CHECKING:
    from ..websocket import OverWebSocket

__all__ = ["section", "shake_hands"]

section = Section("websocket", "WS", segmentations=ONCE)
OVER = ("websocket",)
BEFORE_WELCOME = 4_100
"""The most bytes of a message before the Welcome."""
SERVER_ALLOWANCE = 259
"""How many bytes longer than `max_frame` a message of the server may be."""


def shake_hands(t: Attempt) -> OverWebSocket:
    """What makes a connected socket a WebSocket."""
    return cast("OverWebSocket", t.setting.wrap)


def asking(t: Attempt, **headers: str | None) -> Connection:
    """A connection whose handshake has these headers. Raises NotReached."""
    told = ", ".join(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
    t.step("ann", Direction.NOTE, note=f"WebSocket: a handshake with {told}")
    return t.connect("ann", wrap=shake_hands(t).asking(**headers))


def check_answer(t: Attempt, status: int, **headers: str | None) -> None:
    """The handshake with these headers is answered with this status; 0 means any refusal."""
    found = 101
    try:
        asking(t, **headers)
    except NotReached as error:
        cause = error.__cause__
        if not isinstance(cause, NotUpgraded):
            raise
        found = cause.status
    expected = f"status {status}" if status else "a refusal"
    t.check(found == status if status else found != 101, expected, f"status {found}")


# ---------------------------------------------------------------- the stream


@section.case(
    1,
    "several frames in one message are each handled",
    "EP-16.1-1",
    "EP-16.1-2",
    cause="a message is taken for one frame, and what follows in it is dropped",
    capabilities=OVER,
)
def frames_in_a_message(t: Attempt) -> None:
    ann = t.member()
    contents = [raw.message(seq, t.text(f"number {seq}")) for seq in (7, 8)]
    put(ann, "three frames in one message", web_frame(BINARY, b"".join([*contents, raw.ping(9)])))
    ann.expect(e.ack(7), e.ack(8), e.pong(9))


@section.case(
    2,
    "a frame can be spread over several messages",
    "EP-16.1-1",
    "EP-16.1-2",
    cause="the rest of a message that is no whole frame is dropped",
    capabilities=OVER,
)
def a_frame_in_several_messages(t: Attempt) -> None:
    ann = t.member()
    stream = raw.message(7, t.text("in pieces")) + raw.ping(8)
    pieces = [stream[:3], stream[3:18], stream[18:-2], stream[-2:]]
    put(ann, "two frames in four messages", *(web_frame(BINARY, piece) for piece in pieces))
    ann.expect(e.ack(7), e.pong(8))


@section.case(
    3,
    "a message can be in several frames of WebSocket, with a control frame between them",
    "EP-16.1-1",
    "EP-16.1-2",
    "EP-16.1-3",
    cause="only the first fragment of a message is taken, or the payload of a Ping too",
    capabilities=OVER,
)
def fragments(t: Attempt) -> None:
    ann = t.member()
    said = raw.message(7, t.text("in fragments"))
    put(
        ann,
        "a message in three fragments, with a Ping between",
        web_frame(BINARY, said[:9], fin=False),
        web_frame(PING, b"still there?"),
        web_frame(CONT, b"", fin=False),
        web_frame(CONT, said[9:] + raw.ping(8)),
    )
    ann.expect(e.ack(7), e.pong(8))


@section.case(
    4,
    "an empty message adds nothing",
    "EP-16.1-2",
    cause="an empty message is taken for an end of the stream, or for a fault",
    capabilities=OVER,
)
def empty_messages(t: Attempt) -> None:
    ann = t.member()
    ping = raw.ping(7)
    put(ann, "empty messages", web_frame(BINARY), web_frame(BINARY, ping[:5]), web_frame(BINARY))
    put(ann, "the rest", web_frame(BINARY, ping[5:]), web_frame(BINARY))
    ann.expect(e.pong(7))
    ann.expect_silence()


@section.case(
    5,
    "a text message ends the connection with 1003, after what came before it",
    "EP-16.1-4",
    cause="text is taken like binary, or the end has another code",
    capabilities=OVER,
    negative=True,
)
def text(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    said = t.text("before the text")
    put(ann, "a message", web_frame(BINARY, raw.message(7, said)))
    put(ann, "a text message with a Ping in it", web_frame(TEXT, raw.ping(8)))
    ann.to_the_end()
    t.check(not any(f.type == raw.PONG for f in ann.seen), "no Pong", "a Pong")
    t.check(web(ann).close_code == 1003, "close code 1003", f"{web(ann).close_code}")
    bob.expect(e.message(ann.user, said))


@section.case(
    6,
    "a message of the server before the Welcome has at most 4,100 bytes",
    "EP-16.1-5",
    cause="the replies are written as one message, however many they are",
    capabilities=OVER,
)
def short_before_welcome(t: Attempt) -> None:
    stranger = t.connect("stranger")
    many = b"".join(raw.ping(seq) for seq in range(1, 257))
    put(stranger, "four messages with 256 Pings each", web_frame(BINARY, many) * 4)
    stranger.recording = False
    for _ in range(4):
        stranger.expect(*(e.pong(seq) for seq in range(1, 257)))
    check_sizes(t, stranger, BEFORE_WELCOME)


@section.case(
    7,
    "a message of the server after the Welcome has at most max_frame + 259 bytes",
    "EP-16.1-5",
    cause="many entries are written as one message",
    capabilities=(*OVER, "resume"),
    needs=("RESUME-01",),
)
def short_behind_welcome(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    ann.sync()
    place = max([ann.place, *entries(ann.seen)])
    size = min(ann.max_frame - 400, 60_000)
    ann.reset()
    bob.recording = False
    count = 2 + (ann.max_frame + SERVER_ALLOWANCE) // size
    for _ in range(count):
        bob.said("x" * size)
    again = t.connect("ann")
    again.recording = False
    again.login(ticket=ann.ticket, position=place)
    again.sync()
    said = [each for each in again.seen if each.type == raw.MESSAGE]
    t.check(len(said) == count, f"{count} Messages", f"{len(said)}")
    check_sizes(t, again, again.max_frame + SERVER_ALLOWANCE)
    first = web(again).sizes[0]
    t.check(first <= BEFORE_WELCOME, f"a first message of at most {BEFORE_WELCOME} bytes", first)


def check_sizes(t: Attempt, conn: Connection, most: int) -> None:
    """No message of the server was longer."""
    longest = max(web(conn).sizes, default=0)
    t.check(longest <= most, f"messages of at most {most} bytes", f"one of {longest}")


@section.case(
    8,
    "no extension is negotiated, although the client offers compression",
    "EP-16.1-7",
    cause="the library of the server negotiates permessage-deflate unless it is told not to",
    capabilities=OVER,
)
def no_extension(t: Attempt) -> None:
    offer = "permessage-deflate; client_max_window_bits"
    try:
        ann = asking(t, Sec_WebSocket_Extensions=offer)
    except NotReached as error:
        raise t.fail("an answer without an extension", str(error)) from error
    ann.login()


@section.case(
    9,
    "a message of max_frame + 4 bytes is taken",
    "EP-16.1-5",
    cause="the limit of a message is that of a frame without its length, or a constant",
    capabilities=OVER,
)
def longest_message(t: Attempt) -> None:
    bob, ann = t.members("bob", "ann")
    content = "y" * (ann.max_frame - len(raw.message(7, "")) + 4)
    put(ann, "a frame of max_frame + 4 bytes", web_frame(BINARY, raw.message(7, content)))
    ann.expect(e.ack(7))
    bob.expect(e.message(ann.user, content))


@section.case(
    10,
    "a frame that is not masked ends the connection, and is not taken",
    "EP-16.1-1",
    cause="the frames of a client are read without the check that RFC 6455 asks for",
    capabilities=OVER,
    negative=True,
)
def unmasked(t: Attempt) -> None:
    ann = t.member()
    put(ann, "a frame without a mask", web_frame(BINARY, raw.ping(7), masked=False))
    ann.to_the_end()
    t.check(not any(f.type == raw.PONG for f in ann.seen), "no Pong", "a Pong")


# ---------------------------------------------------------------- the handshake


@section.case(
    11,
    "of several subprotocols the server selects event-protocol.1",
    "EP-16.2-2",
    cause="the first one that is offered is selected",
    capabilities=OVER,
)
def several_subprotocols(t: Attempt) -> None:
    check_answer(t, 101, Sec_WebSocket_Protocol="event-protocol.2, event-protocol.1")
    try:
        ann = asking(t, Sec_WebSocket_Protocol="event-protocol.2, event-protocol.1")
    except NotReached as error:
        raise t.fail("event-protocol.1 is selected", str(error)) from error
    ann.login()


@section.case(
    12,
    "a handshake that does not offer event-protocol.1 is refused",
    "EP-16.2-2",
    cause="without a common subprotocol the server goes on without one",
    capabilities=OVER,
    negative=True,
)
def other_subprotocols(t: Attempt) -> None:
    check_answer(t, 0, Sec_WebSocket_Protocol=None)
    check_answer(t, 0, Sec_WebSocket_Protocol="event-protocol.2")


@section.case(
    13,
    "a handshake from a page that is not allowed is refused with 403",
    "EP-16.2-4",
    cause="the Origin is not looked at, or null is taken for no page",
    capabilities=OVER,
    negative=True,
)
def strange_origin(t: Attempt) -> None:
    check_answer(t, 403, Origin="https://page.invalid")
    check_answer(t, 403, Origin="null")


@section.case(
    14,
    "a handshake for a Host that is not the server's is refused with 403",
    "EP-16.2-5",
    cause="any Host is taken, also the name of a page that leads to this machine",
    capabilities=OVER,
    negative=True,
)
def strange_host(t: Attempt) -> None:
    check_answer(t, 403, Host="page.invalid")


@section.case(
    15,
    "a Cookie and an Authorization of the handshake give nobody a name",
    "EP-16.2-6",
    cause="what a browser sends by itself is taken for a proof, so that any page can use it",
    capabilities=(*OVER, "any-name"),
)
def no_identity(t: Attempt) -> None:
    name = t.name("ann")
    basic = base64.b64encode(f"{name}:".encode()).decode()
    ann = asking(t, Cookie=f"user={name}; name={name}", Authorization=f"Basic {basic}")
    ann.send(raw.login(1, ""))
    welcome = ann.welcomed(1)
    t.check(welcome.text("user") != name.encode(), "a name of the server's choice", name)


# ---------------------------------------------------------------- the end


def check_close(t: Attempt, code: int) -> None:
    """A Close with this code comes after what was said, and is a loss."""
    bob, ann = t.members("bob", "ann")
    said = t.text("last words")
    put(ann, "a message", web_frame(BINARY, raw.message(7, said)))
    put(ann, f"a Close with code {code}", web_frame(CLOSE, struct.pack(">H", code)))
    ann.to_the_end()
    bob.expect(e.message(ann.user, said), e.left(ann.user, raw.LOST_REASON))


@section.case(
    16,
    "a Close with code 1000 ends both streams like a lost connection",
    "EP-16.3-1",
    "EP-16.3-3",
    cause="the code (normal) is taken for a Logout, or what came before it is dropped",
    capabilities=(*OVER, "presence"),
)
def normal_close(t: Attempt) -> None:
    check_close(t, 1000)


@section.case(
    17,
    "a Close with code 1001 ends both streams like a lost connection",
    "EP-16.3-1",
    "EP-16.3-3",
    cause="the code (going away) is taken for a Logout, or what came before it is dropped",
    capabilities=(*OVER, "presence"),
)
def going_away(t: Attempt) -> None:
    check_close(t, 1001)


@section.case(
    18,
    "a Close with code 4000 ends both streams like a lost connection",
    "EP-16.3-1",
    "EP-16.3-3",
    cause="the code (private) is taken for a Logout, or what came before it is dropped",
    capabilities=(*OVER, "presence"),
)
def private_close(t: Attempt) -> None:
    check_close(t, 4000)


@section.case(
    19,
    "after its last frame the server sends a Close",
    "EP-16.3-2",
    cause="the TCP connection ends without a Close, which a page takes for a failure",
    capabilities=OVER,
)
def close_behind_the_last_frame(t: Attempt) -> None:
    ann = t.member()
    ann.log_out()
    ann.to_the_end()
    t.check(web(ann).close_code is not None, "a Close", ann.silence)


@section.case(
    20,
    "after its Close the server reads until the client's Close",
    "EP-16.3-2",
    cause="the TCP connection is closed with the Close, and a late byte resets it",
    capabilities=OVER,
    needs=("WS-19",),
)
def reads_behind_its_close(t: Attempt) -> None:
    ann = t.connect()
    web(ann).answers_close = False
    ann.login()
    ann.log_out()
    ann.to_the_end()
    is_read = put(ann, "a late message", web_frame(BINARY, raw.ping(9)))
    is_read &= put(ann, "a Close", web_frame(CLOSE, struct.pack(">H", 1000)))
    is_read &= web(ann).ended_in_order(ann.deadline())
    t.check(is_read, "the end of the TCP stream", "a reset")
