"""No event is lost and none is returned twice: every end, every way of taking events, every cut.

Rule: receivers, ends of their streams and ways of taking events are three tables. Every combination
is tried with the stream cut at each byte of its end. What comes before the ends is the same for all
of them: it is cut at each byte for one, and at every thirty-first for the others. After each event
the position of the receiver is the one of this event.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from types import coroutine
from typing import Any

import pytest
from tests.eventcodec.streams import END_OF_STREAM, Fault, Receiver, fault, feed, settled, welcome
from tests.together import together

from eventcodec import (
    Ack,
    ClientConnection,
    ClientSession,
    Closed,
    ConnectionEnded,
    ConnectionLostError,
    Decoder,
    Error,
    ErrorCode,
    Event,
    Fate,
    InvalidRequest,
    Joined,
    Login,
    Logout,
    Message,
    Offline,
    Online,
    Outcome,
    Paused,
    PeerError,
    Ping,
    Pong,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    Unknown,
    decode,
    encode,
)
from eventcodec.limits import MAX_POSITION

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


@pytest.fixture(autouse=True)
def no_more_unsent_pongs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client holds one unsent Pong here, so that a second Ping is a fault."""
    monkeypatch.setattr("eventcodec.connection.MAX_UNSENT_PONGS", 1)


@dataclass
class Setting:
    """A receiver, its stream, and the events that it returns for this stream."""

    make: Callable[[], Receiver]
    stream: bytes
    events: list[object]
    positions: list[int] = field(default_factory=list)
    """The client's position after each of these events."""


@dataclass
class Ending:
    """The bytes after the good events, and the error of the end."""

    data: bytes
    error: Fault | None
    more: list[object] = field(default_factory=list)
    """Events that are returned before the end."""


def newcomer() -> ClientConnection:
    """A client whose first request was a Ping; its Login has no reply."""
    conn = ClientConnection()
    for request in (Ping(), Login()):
        conn.send(request)
    conn.data_to_send()
    return conn


def client() -> ClientConnection:
    """A member at position 1 with three requests that have no reply: the last is a Logout."""
    conn = settled()
    for request in (Message(content="hi"), Ping(), Logout()):
        conn.send(request)
    conn.data_to_send()
    return conn


def facts(*positions: int) -> list[Event]:
    return [Joined(user="bob", seq=position) for position in positions]


ANSWERED: list[Event] = [Pong(seq=1), Unknown(type=0x20, seq=1), Ping(seq=1)]
SAID: list[Event] = [
    *facts(2, 3),
    Ping(seq=1),
    Ack(seq=2, position=4),
    Unknown(type=0x20, seq=1),
    *facts(5, 6, 7),
    Pong(seq=3),
]
EARLY, ODD = Logout(seq=1), Unknown(type=0x20, seq=6)
ASKED: list[Event] = [
    EARLY,
    Ping(seq=1),
    Pong(seq=1),
    Login(seq=2),
    *[Message(content="x", seq=3)] * 3,
    ODD,
    *[Pong(seq=2)] * 2,
    Message(content="y", seq=7),
]
SAME_CONTENT = {event.content: event for event in ASKED if isinstance(event, Message)}


def invalid(event: Event, code: ErrorCode) -> InvalidRequest:
    return InvalidRequest(event.seq, Error(code=code, text=code.meaning))


def received(event: Event) -> object:
    requests: dict[int, Event] = {2: Message(content="hi", seq=2), 3: Ping(seq=3)}
    return Reply(requests[event.seq], event) if isinstance(event, Ack | Pong) else event


SETTINGS = {
    "decoder": Setting(Decoder, b"".join(map(encode, SAID)), [*SAID]),
    "newcomer": Setting(
        newcomer,
        b"".join(map(encode, ANSWERED)),
        [Reply(Ping(seq=1), Pong(seq=1)), Unknown(type=0x20, seq=1)],
        [0, 0],
    ),
    "client": Setting(
        client,
        b"".join(map(encode, SAID)),
        [received(event) for event in SAID if not isinstance(event, Ping)],
        [2, 3, 4, 4, 5, 6, 7, 7],
    ),
    "server": Setting(
        ServerConnection,
        b"".join(map(encode, ASKED)),
        [
            invalid(EARLY, ErrorCode.LOGIN_REQUIRED),
            *[event for event in ASKED if not isinstance(event, Pong | Unknown | Logout)][:-1],
            invalid(ODD, ErrorCode.UNKNOWN_TYPE),
            ASKED[-1],
        ],
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


def wrong(event: Event, field: str | None) -> Ending:
    """An event that a server must not send here."""
    told = Fault(RemoteProtocolError, ErrorCode.UNEXPECTED_EVENT, field)
    return Ending(encode(event) + BEHIND, told)


LEAVE = Reply(Logout(seq=4), Ack(seq=4, position=8))
LAST_PING = Ping(seq=8)  # the server replies to it with a goodbye
ENDINGS: dict[str, dict[str, Ending]] = {
    "decoder": BROKEN
    | {
        "the stream ends": Ending(b"", None),
        "the stream ends in a frame": LOST["the stream ends in a frame"],
    },
    "newcomer": BROKEN
    | LOST
    | {
        "the last Error": Ending(encode(BYE) + BEHIND, Fault(PeerError, BYE.code)),
        "a fact before the Welcome": wrong(facts(1)[0], None),
        "a Welcome at no position": wrong(welcome(seq=2, position=MAX_POSITION + 1), "position"),
        "an Ack of the Login": wrong(Ack(seq=2, position=1), None),
    },
    "client": BROKEN
    | LOST
    | {
        "the last Error": Ending(encode(BYE) + BEHIND, Fault(PeerError, BYE.code)),
        "a fact left out": wrong(facts(9)[0], "seq"),
        "a fact twice": wrong(facts(7)[0], "seq"),
        "a reply to nothing": wrong(Pong(seq=99), "seq"),
        "a reply of another kind": wrong(Pong(seq=4), None),
        "an Ack with a position left out": wrong(Ack(seq=4, position=9), "position"),
        "a second Welcome": wrong(welcome(seq=4), None),
        "a request": wrong(Login(seq=1), None),
        "a Pong too many to hold": wrong(Ping(seq=2), None),
        "the Ack of a Logout": Ending(encode(LEAVE.event) + BEHIND, None, [LEAVE]),
    },
    "server": BROKEN
    | LOST
    | {
        "a Logout": Ending(encode(Logout(seq=8)) + BEHIND, None, [Logout(seq=8)]),
        "a goodbye": Ending(encode(LAST_PING) + BEHIND, None, [LAST_PING]),
    },
}


class Taker:
    """Takes events, replies as a server, and checks the client's position each time."""

    def __init__(self, receiver: Receiver, positions: Iterable[int]) -> None:
        self.receiver = receiver
        self.taken: list[object] = []
        self._positions = [*positions]

    def take(self, event: Any) -> None:
        """Keep an event at the moment at which it is returned."""
        self.taken.append(event)
        conn = self.receiver
        if isinstance(conn, ClientConnection):
            place = min(len(self.taken), len(self._positions)) - 1
            assert conn.position == self._positions[place]
        elif isinstance(conn, ServerConnection) and not isinstance(event, ConnectionEnded):
            match event:
                case Login():
                    conn.reply(event, welcome())
                case Ping() if event == LAST_PING:
                    conn.goodbye(ErrorCode.SHUTTING_DOWN)
                case Ping():
                    conn.reply(event, Pong())
                case InvalidRequest():
                    conn.reply(event, event.error)
                case _:
                    conn.reply(event, Ack())


class Oops(Exception):
    """A handler's own."""


def as_a_list(taker: Taker) -> None:
    events = []
    while some := [*taker.receiver.events()]:
        # A server returns the next request only after the reply.
        if not isinstance(taker.receiver, ServerConnection):
            events += some
        else:
            for event in some:
                taker.take(event)
    taker.taken += events


def by_extending(taker: Taker) -> None:
    """`seen += conn.events()`, which asks an iterator for its length before it takes anything."""
    if isinstance(taker.receiver, ServerConnection):
        in_a_loop(taker)
    else:
        taker.taken += taker.receiver.events()


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


def by_relay(taker: Taker) -> None:
    """A server takes runs of messages as bytes, and Pongs by number; the rest is events."""
    conn = taker.receiver
    if not isinstance(conn, ServerConnection):
        one_by_one(taker)
        return
    while True:
        conn.take_pongs(1)
        for frame in conn.relay(100, 2):
            fact = decode(frame)
            assert isinstance(fact, Message)
            taker.taken.append(SAME_CONTENT[fact.content])
        event = conn.next_event()
        if event is None:
            return
        taker.take(event)


WAYS = (
    as_a_list,
    by_extending,
    in_a_loop,
    one_by_one,
    with_a_break,
    with_an_exception,
    by_two_loops_in_turns,
    by_relay,
)
EACH = pytest.mark.parametrize(
    ("name", "end"), [(name, end) for name, ends in ENDINGS.items() for end in ends]
)


FIRST = {name: next(iter(ends)) for name, ends in ENDINGS.items()}


def cuts(stream: bytes, step: int, tail: bytes = b"") -> Iterator[list[bytes]]:
    """Whole, byte by byte, in two at some bytes of the stream, and at each of its tail."""
    whole = stream + tail
    yield [whole]
    yield [whole[at : at + 1] for at in range(len(whole))]
    for at in (*range(1, len(stream), step), *range(len(stream), len(whole))):
        yield [whole[:at], whole[at:]]


def check(taken: list[object], setting: Setting, ending: Ending) -> None:
    """All events were given, each once, in order, and the end behind them."""
    *events, end = taken
    assert events == setting.events + ending.more
    assert isinstance(end, ConnectionEnded)
    if ending.error is None:
        assert end.error is None
    else:
        assert end.error is not None
        assert fault(end.error)[:3] == ending.error[:3]
    if ending.error is not None and ending.error.kind is RemoteProtocolError:
        error = end.error
        assert isinstance(error, RemoteProtocolError)


def taking(setting: Setting, ending: Ending) -> Taker:
    last = setting.positions[-1:]
    positions = setting.positions + [last[0] + 1] * len(ending.more) if last else []
    return Taker(setting.make(), positions)


@EACH
@together("way", WAYS)
@pytest.mark.proves("EP-2.1-5", "EP-4.2-12", "EP-4.2-13")
@pytest.mark.unmeasured
def test_each_event_is_returned_once_however_it_is_taken(
    name: str, end: str, way: Callable[[Taker], None]
) -> None:
    setting, ending = SETTINGS[name], ENDINGS[name][end]

    for chunks in cuts(setting.stream, 1 if end == FIRST[name] else 31, ending.data):
        taker = taking(setting, ending)
        for chunk in [*chunks, END_OF_STREAM]:
            feed(taker.receiver, chunk)
            way(taker)

        check(taker.taken, setting, ending)
        assert taker.receiver.ended
        assert taker.receiver.next_event() is None


@EACH
@together("way", WAYS)
@pytest.mark.unmeasured
def test_what_came_while_nobody_looked_is_given_later(
    name: str, end: str, way: Callable[[Taker], None]
) -> None:
    setting, ending = SETTINGS[name], ENDINGS[name][end]

    for chunks in cuts(setting.stream + ending.data, 31):
        taker = taking(setting, ending)
        for chunk in [*chunks, END_OF_STREAM]:
            feed(taker.receiver, chunk)
        way(taker)

        check(taker.taken, setting, ending)


# ---------------------------------------------------------------- sessions


def said_to_a_session() -> ClientSession:
    """A session at position 1 with a Message, a Ping and a Logout on their way."""
    session = ClientSession(heartbeat=0)
    session.connected(0.0)
    session.receive_data(encode(welcome(seq=1)), 0.0)
    assert [type(event) for event in session.events()] == [Online]
    session.say(Message(content="hi"))
    session.data_to_send()
    session.ping()
    session.logout()
    session.data_to_send()
    return session


def read_session(chunks: Iterable[bytes], way: Callable[[Any], None]) -> list[object]:
    session = said_to_a_session()
    taker = Taker(session, [])  # type: ignore[arg-type]
    for chunk in chunks:
        session.receive_data(chunk, 0.0)
        way(taker)
    session.receive_eof(0.0)
    way(taker)
    return taker.taken


@pytest.mark.parametrize("end", ENDINGS["client"])
@together("way", WAYS)
@pytest.mark.unmeasured
def test_a_session_returns_each_event_once_and_then_its_end(
    end: str, way: Callable[[Any], None]
) -> None:
    stream = SETTINGS["client"].stream + ENDINGS["client"][end].data
    said = Outcome(1, Message(content="hi"), Fate.ACKNOWLEDGED, 4)
    expected: list[object] = [
        said if isinstance(event, Reply) and event.request.seq == 2 else event
        for event in SETTINGS["client"].events
    ]

    for chunks in cuts(stream, 31):
        *events, last = read_session(chunks, way)

        assert events == expected
        assert isinstance(last, Closed | Offline | Paused)


# ---------------------------------------------------------------- tasks


@coroutine
def pause() -> Generator[None, None, None]:
    yield


async def handle_all(taker: Taker) -> None:
    """A task that waits before and after each event. Meanwhile other tasks continue."""
    await pause()
    for event in taker.receiver.events():
        taker.take(event)
        await pause()


@EACH
@pytest.mark.proves("EP-4.2-6")
def test_data_may_come_while_a_handler_waits(name: str, end: str) -> None:
    """Each piece starts a task, and the tasks take turns with the pieces that come."""
    setting, ending = SETTINGS[name], ENDINGS[name][end]

    for chunks in cuts(setting.stream + ending.data, 31):
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

    for chunks in cuts(setting.stream, 1, bytes(4)):
        taker = taking(setting, Ending(b"", None))
        for chunk in chunks:
            feed(taker.receiver, chunk)
            in_a_loop(taker)
        error = taker.taken[-1].error  # type: ignore[attr-defined]

        start = len(encode(welcome(seq=1))) if name == "client" else 0
        assert error.offset == start + len(setting.stream)
