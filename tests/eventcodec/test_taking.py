"""No event is lost and none comes twice: every end, every way of taking events, every cut.

Rule: a receiver, the end of its stream and a way to take events are three tables; every
combination is tried with the stream cut at each of its bytes. After each event the place that
the receiver tells is the one behind this event and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from types import coroutine
from typing import Any

import pytest
from tests.eventcodec.streams import END_OF_STREAM, Fault, Receiver, fault, feed, settled, welcome

from eventcodec import (
    Ack,
    ClientConnection,
    ConnectionEnded,
    ConnectionLostError,
    Decoder,
    Error,
    ErrorCode,
    Event,
    Joined,
    Login,
    Logout,
    Message,
    PeerError,
    Ping,
    Pong,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    Unknown,
    encode,
)

MALFORMED: dict[str, tuple[str, ErrorCode, str | None]] = {
    "a length below 12": ("0000000b", ErrorCode.MALFORMED, "length"),
    "a length above the limit": ("ffffffff", ErrorCode.FRAME_TOO_LARGE, "length"),
    "another version": (
        "00001000 00 01 0000 0000000000000001",
        ErrorCode.UNSUPPORTED_VERSION,
        "version",
    ),
    "reserved bits": ("00001000 01 01 0001 0000000000000001", ErrorCode.MALFORMED, "reserved"),
    "seq 0": ("00001000 01 02 0000 0000000000000000", ErrorCode.MALFORMED, "seq"),
    "a stray byte": ("0000000d 01 07 0000 0000000000000001 00", ErrorCode.MALFORMED, None),
    "no UTF-8": ("0000000e 01 02 0000 0000000000000001 00 ff", ErrorCode.MALFORMED, "content"),
    "a field cut": ("0000000d 01 80 0000 0000000000000001 01", ErrorCode.MALFORMED, "sender"),
}
BEHIND = encode(Unknown(type=0x20, seq=9))


@dataclass
class Setting:
    """A receiver, what comes to it, and what it has to give."""

    make: Callable[[], Receiver]
    stream: bytes
    events: list[object]
    positions: list[int] = field(default_factory=list)
    """The client's place behind each of these events."""


@dataclass
class Ending:
    """What comes behind the good events, and what it is told as."""

    data: bytes
    told: Fault | None
    more: list[object] = field(default_factory=list)
    """Events that the end has in front of it."""


def client() -> ClientConnection:
    """A member at position 1 that has asked for something, and wants to leave."""
    conn = settled()
    for request in (Message(content="hi"), Ping(), Logout()):
        conn.send(request)
    conn.data_to_send()
    return conn


def facts(*positions: int) -> list[Event]:
    return [Joined(user="bob", seq=position) for position in positions]


SAID: list[Event] = [
    *facts(2, 3),
    Ping(seq=1),
    Ack(seq=2, position=4),
    Unknown(type=0x20, seq=1),
    *facts(5, 6, 7),
    Pong(seq=3),
]
ASKED: list[Event] = [Ping(seq=1), Pong(seq=1), Login(seq=2), *[Message(content="x", seq=3)] * 3]


def received(event: Event) -> object:
    requests: dict[int, Event] = {2: Message(content="hi", seq=2), 3: Ping(seq=3)}
    return Reply(requests[event.seq], event) if isinstance(event, Ack | Pong) else event


SETTINGS = {
    "decoder": Setting(Decoder, b"".join(map(encode, SAID)), [*SAID]),
    "client": Setting(
        client,
        b"".join(map(encode, SAID)),
        [received(event) for event in SAID if not isinstance(event, Ping)],
        [2, 3, 4, 4, 5, 6, 7, 7],
    ),
    "server": Setting(
        ServerConnection,
        b"".join(map(encode, ASKED)),
        [event for event in ASKED if not isinstance(event, Pong)],
    ),
}

BROKEN = {
    name: Ending(bytes.fromhex(frame) + BEHIND, Fault(RemoteProtocolError, code, field))
    for name, (frame, code, field) in MALFORMED.items()
}
LOST = {
    "the stream ends": Ending(b"", Fault(ConnectionLostError)),
    "the stream ends in a frame": Ending(BEHIND[:15], Fault(ConnectionLostError)),
}
BYE = Error(code=ErrorCode.SHUTTING_DOWN)
WRONG = Fault(RemoteProtocolError, ErrorCode.UNEXPECTED_EVENT, "seq")
LEAVE = Reply(Logout(seq=4), Ack(seq=4, position=8))
ENDINGS: dict[str, dict[str, Ending]] = {
    "decoder": BROKEN
    | {
        "the stream ends": Ending(b"", None),
        "the stream ends in a frame": LOST["the stream ends in a frame"],
    },
    "client": BROKEN
    | LOST
    | {
        "the last Error": Ending(encode(BYE) + BEHIND, Fault(PeerError, BYE.code)),
        "a fact left out": Ending(encode(facts(9)[0]) + BEHIND, WRONG),
        "a fact twice": Ending(encode(facts(7)[0]) + BEHIND, WRONG),
        "a reply to nothing": Ending(encode(Pong(seq=99)) + BEHIND, WRONG),
        "the Ack of a Logout": Ending(encode(LEAVE.event) + BEHIND, None, [LEAVE]),
    },
    "server": BROKEN
    | LOST
    | {"a Logout": Ending(encode(Logout(seq=6)) + BEHIND, None, [Logout(seq=6)])},
}


class Taker:
    """Takes events, replies where it is a server's, and looks at the place each time."""

    def __init__(self, receiver: Receiver, positions: Iterable[int]) -> None:
        self.receiver = receiver
        self.taken: list[object] = []
        self._positions = [*positions]

    def take(self, event: Any) -> None:
        """Keep an event, in the moment in which it was given."""
        self.taken.append(event)
        conn = self.receiver
        if isinstance(conn, ClientConnection):
            place = min(len(self.taken), len(self._positions)) - 1
            assert conn.position == self._positions[place]
        elif isinstance(conn, ServerConnection) and not isinstance(event, ConnectionEnded):
            match event:
                case Login():
                    conn.reply(event, welcome())
                case Ping():
                    conn.reply(event, Pong())
                case _:
                    conn.reply(event, Ack())


class Oops(Exception):
    """A handler's own."""


def as_a_list(taker: Taker) -> None:
    events = []
    while some := [*taker.receiver.events()]:
        # A server gives the next only when it has the reply.
        if isinstance(taker.receiver, ClientConnection):
            events += some
        else:
            for event in some:
                taker.take(event)
    taker.taken += events


def in_a_loop(taker: Taker) -> None:
    for event in taker.receiver.events():
        taker.take(event)


def one_by_one(taker: Taker) -> None:
    while (event := taker.receiver.next_event()) is not None:
        taker.take(event)


def with_a_break(taker: Taker) -> None:
    before = -1
    while before != len(taker.taken):
        before = len(taker.taken)
        for event in taker.receiver.events():
            taker.take(event)
            break


def with_an_exception(taker: Taker) -> None:
    def handle(event: object) -> None:
        taker.take(event)
        raise Oops

    before = -1
    while before != len(taker.taken):
        before = len(taker.taken)
        try:
            for event in taker.receiver.events():
                handle(event)
        except Oops:
            pass


def by_two_loops_in_turns(taker: Taker) -> None:
    loops = [taker.receiver.events(), taker.receiver.events()]
    while loops:
        loop = loops.pop(0)
        event = next(loop, None)
        if event is not None:
            taker.take(event)
            loops.append(loop)


WAYS = (as_a_list, in_a_loop, one_by_one, with_a_break, with_an_exception, by_two_loops_in_turns)
EACH = pytest.mark.parametrize(
    ("name", "end"), [(name, end) for name, ends in ENDINGS.items() for end in ends]
)


def cuts(stream: bytes, step: int = 1) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every byte, or at some of them."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for at in range(1, len(stream), step):
        yield [stream[:at], stream[at:]]


def check(taken: list[object], setting: Setting, ending: Ending) -> None:
    """All events were given, each once, in order, and the end behind them."""
    *events, end = taken
    assert events == setting.events + ending.more
    assert isinstance(end, ConnectionEnded)
    if ending.told is None:
        assert end.error is None
    else:
        assert end.error is not None
        assert fault(end.error)[:3] == ending.told[:3]
    if ending.told is not None and ending.told.kind is RemoteProtocolError:
        error = end.error
        assert isinstance(error, RemoteProtocolError)


def taking(setting: Setting, ending: Ending) -> Taker:
    last = setting.positions[-1:]
    positions = setting.positions + [last[0] + 1] * len(ending.more) if last else []
    return Taker(setting.make(), positions)


@EACH
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.proves("EP-2.1-5", "EP-4.2-12", "EP-4.2-13")
def test_each_event_is_given_once_however_it_is_taken(
    name: str, end: str, way: Callable[[Taker], None]
) -> None:
    setting, ending = SETTINGS[name], ENDINGS[name][end]

    for chunks in cuts(setting.stream + ending.data):
        taker = taking(setting, ending)
        for chunk in [*chunks, END_OF_STREAM]:
            feed(taker.receiver, chunk)
            way(taker)

        check(taker.taken, setting, ending)
        assert taker.receiver.ended
        assert taker.receiver.next_event() is None


@EACH
@pytest.mark.parametrize("way", WAYS)
def test_what_came_while_nobody_looked_is_given_later(
    name: str, end: str, way: Callable[[Taker], None]
) -> None:
    setting, ending = SETTINGS[name], ENDINGS[name][end]

    for chunks in cuts(setting.stream + ending.data, 11):
        taker = taking(setting, ending)
        for chunk in [*chunks, END_OF_STREAM]:
            feed(taker.receiver, chunk)
        way(taker)

        check(taker.taken, setting, ending)


@coroutine
def pause() -> Generator[None, None, None]:
    yield


async def handle_all(taker: Taker) -> None:
    """A task that waits before and after each event; meanwhile others go on."""
    for event in taker.receiver.events():
        taker.take(event)
        await pause()


@EACH
@pytest.mark.proves("EP-4.2-6")
def test_data_may_come_while_a_handler_waits(name: str, end: str) -> None:
    """Each piece starts a task, and the tasks take turns with the pieces that come."""
    setting, ending = SETTINGS[name], ENDINGS[name][end]

    for chunks in cuts(setting.stream + ending.data, 11):
        taker = taking(setting, ending)
        tasks = []
        for chunk in [*chunks, END_OF_STREAM]:
            feed(taker.receiver, chunk)
            tasks.append(handle_all(taker))
            _turn(tasks)
        while tasks:
            _turn(tasks)

        check(taker.taken, setting, ending)


def _turn(tasks: list[Any]) -> None:
    """Let each task go on to its next pause."""
    for task in [*tasks]:
        try:
            task.send(None)
        except StopIteration:
            tasks.remove(task)


def test_a_reply_may_come_later_from_elsewhere() -> None:
    server = ServerConnection()
    feed(server, encode(Login(seq=1)) + encode(Message(content="x", seq=2)))
    login = server.next_event()
    assert isinstance(login, Login)

    for data in (encode(Ping(seq=3)), END_OF_STREAM):
        feed(server, data)
        assert [*server.events()] == []
    server.reply(login, welcome())

    assert server.next_event() == Message(content="x", seq=2)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_place_of_a_fault_is_behind_all_that_was_given(name: str) -> None:
    setting = SETTINGS[name]

    for chunks in cuts(setting.stream + bytes(4)):
        taker = taking(setting, Ending(b"", None))
        for chunk in chunks:
            feed(taker.receiver, chunk)
            in_a_loop(taker)
        error = taker.taken[-1].error  # type: ignore[attr-defined]

        start = len(encode(welcome(seq=1))) if name == "client" else 0
        assert error.offset == start + len(setting.stream)
