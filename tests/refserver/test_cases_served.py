"""The table of cases through a real socket: every event that goes to a server, in any pieces.

The clients are written as the README teaches, with `ClientConnection` and a blocking socket.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.eventcodec.cases import EACH_CASE_TO_SERVER, Case
from tests.eventcodec.declared import CODEC
from tests.eventcodec.streams import EACH_CHUNKING, Chunking
from tests.support.raw import DEADLINE, PING, Client, Frame
from tests.support.server import Running

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    Error,
    ErrorCode,
    Event,
    Joined,
    Left,
    LeftReason,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Reply,
    Unknown,
    Welcome,
    decode,
    encode,
)

BARRIER = 777


class CodecClient:
    """A member of the room, as the README teaches it; it knows the declared events."""

    def __init__(self, port: int, user: str) -> None:
        self.conn = ClientConnection(codec=CODEC)
        self.sock = socket.create_connection(("localhost", port), timeout=DEADLINE)
        self.events: list[Event | Reply] = []
        self.ask(Login(user=user))

    def next(self) -> Event | Reply:
        while not self.events:
            self.conn.receive_data(self.sock.recv(65_536))
            for event in self.conn.events():
                assert not isinstance(event, ConnectionEnded)
                self.events.append(event)
        return self.events.pop(0)

    def ask(self, request: Event) -> list[Event | Reply]:
        """What comes up to and with the reply."""
        self.conn.send(request)
        self.sock.sendall(self.conn.data_to_send())
        came = [self.next()]
        while not isinstance(came[-1], Reply):
            came.append(self.next())
        return came

    def sync(self) -> list[Event | Reply]:
        return self.ask(Ping())[:-1]


@pytest.fixture(scope="module")
def bob(server: Running) -> Iterator[CodecClient]:
    member = CodecClient(server.port, "bob")
    yield member
    member.sock.close()


def answer_to(event: Event) -> tuple[type[Event], ErrorCode | None] | None:
    """What a server with nobody else of that name must reply."""
    match event:
        case Pong():
            return None
        case Ping():
            return Pong, None
        case Unknown():
            return Error, ErrorCode.UNKNOWN_TYPE
        case Login() if event.ticket or event.position:
            return Error, ErrorCode.HISTORY_GONE
        case Login():
            return Welcome, None
        case _:
            return Ack, None


@pytest.mark.proves("EP-2.1-5", "EP-3.3-5", "EP-3.11-4", "EP-4.2-1", "EP-5.2-3", "EP-7.2-3")
@EACH_CHUNKING
@EACH_CASE_TO_SERVER
def test_a_server_takes_every_event_in_any_pieces(
    server: Running, bob: CodecClient, case: Case, chunking: Chunking
) -> None:
    is_login = isinstance(case.event, Login)
    barrier = encode(Ping(seq=BARRIER))
    with Client(server.port) as ann:
        if not is_login:
            ann.join("ann")
            assert bob.next() == Joined(user="ann", seq=bob.conn.position)
        for piece in chunking(case.frame + barrier):
            ann.send(piece)

        answers = []
        expected = answer_to(case.event)
        if expected is not None:
            answers.append(ann.frame())
        if not isinstance(case.event, Logout):
            assert ann.frame() == Frame(PING + 1, BARRIER)
        if is_login and expected == (Welcome, None):
            assert isinstance(bob.next(), Joined)
        check_answer(case.event, answers, expected)
        check_fact(case, bob)
    if not is_login or expected == (Welcome, None):
        left = bob.next()
        assert isinstance(left, Left)
        reason = LeftReason.LEFT if isinstance(case.event, Logout) else LeftReason.LOST
        assert left.why is reason


def check_answer(
    event: Event, answers: list[Frame], expected: tuple[type[Event], ErrorCode | None] | None
) -> None:
    if expected is None:
        assert answers == []
        return
    [frame] = answers
    kind, code = expected
    reply = decode(
        (12 + len(frame.body)).to_bytes(4, "big")
        + bytes([1, frame.type, 0, 0])
        + frame.seq.to_bytes(8, "big")
        + frame.body
    )
    assert (type(reply), reply.seq) == (kind, event.seq)
    assert code is None or (isinstance(reply, Error) and reply.code == code)


def check_fact(case: Case, bob: CodecClient) -> None:
    """What the others read: the same event, under the author's name and with its position."""
    if not isinstance(case.event, Message | ApplicationEvent):
        return
    fact = bob.next()
    assert isinstance(fact, Message | ApplicationEvent)
    assert fact.sender == "ann"
    assert fact.position == bob.conn.position
    assert encode(fact)[16 + len(b"\3ann") :] == case.frame[16 + 1 :]
