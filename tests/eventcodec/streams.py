"""A stream in pieces, what reads it, and what came out.

Rule: everything that a caller can observe goes into an `Outcome`, so that two of them
are equal only if nobody could tell the readings apart.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from tests.eventcodec.declared import CODEC
from tests.together import together

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    Decoder,
    Event,
    EventCodecError,
    InvalidRequest,
    Login,
    Logout,
    Message,
    PeerError,
    Pong,
    RemoteProtocolError,
    ServerConnection,
    Welcome,
    encode,
)

Chunks = Sequence[bytes]
Chunking = Callable[[bytes], Chunks]
END_OF_STREAM = b""


def whole(data: bytes) -> Chunks:
    """All of it at once; of nothing no piece, for an empty one is the end of the stream."""
    return [data] if data else []


def byte_by_byte(data: bytes) -> Chunks:
    """As many pieces as there can be."""
    return [data[at : at + 1] for at in range(len(data))]


def cut_by(random: Random) -> Chunking:
    """Pieces of any size: some of a few bytes, some of many frames."""

    def cut(data: bytes) -> Chunks:
        chunks, at = [], 0
        while at < len(data):
            size = random.randint(1, random.choice((3, 20, 300, 70_000)))
            chunks.append(data[at : at + size])
            at += size
        return chunks

    return cut


def cut_at_random(data: bytes) -> Chunks:
    """Pieces of any size, the same for the same stream."""
    return cut_by(Random(len(data)))(data)


EACH_CHUNKING = together("chunking", [whole, byte_by_byte, cut_at_random])


def in_memory(chunks: Chunks) -> Iterator[bytes]:
    """The pieces as they were cut."""
    return iter(chunks)


def over_tcp(chunks: Chunks) -> Iterator[bytes]:
    """The pieces as a connection carries them: each sent alone, read as they come."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        ThreadPoolExecutor(1) as thread,
        socket.create_connection(server.getsockname()) as reader,
    ):
        thread.submit(_send, server.accept()[0], chunks)
        while data := reader.recv(65_536):
            yield data


def _send(sock: socket.socket, chunks: Chunks) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for chunk in chunks:
            sock.sendall(chunk)


Carrier = Callable[[Chunks], Iterator[bytes]]
EACH_CARRIER = together("carrier", [in_memory, over_tcp])


class Fault(NamedTuple):
    """An error by its attributes; its text is for people and may change."""

    kind: type[EventCodecError]
    code: int | None = None
    field: str | None = None
    seq: int | None = None
    offset: int | None = None


def fault(error: EventCodecError) -> Fault:
    """The attributes of an error."""
    if isinstance(error, RemoteProtocolError):
        return Fault(RemoteProtocolError, error.code, error.field, error.seq, error.offset)
    return Fault(type(error), error.code if isinstance(error, PeerError) else None)


@dataclass
class Outcome:
    """What came out of a stream: events, its end with the error, and the bytes in answer."""

    events: list[object] = field(default_factory=list)
    misfits: list[Fault] = field(default_factory=list)
    ended: bool = False
    fault: Fault | None = None
    output: bytes = b""

    def take(self, event: object) -> None:
        """Keep an event, and what equality does not show of it."""
        if isinstance(event, ConnectionEnded):
            assert not self.ended, "the end comes once"
            self.ended = True
            self.fault = None if event.error is None else fault(event.error)
            return
        assert not self.ended, "nothing comes behind the end"
        self.events.append(event)
        if isinstance(event, ApplicationEvent) and event.decode_error is not None:
            self.misfits.append(fault(event.decode_error))


Receiver = Decoder | ClientConnection | ServerConnection


def feed(receiver: Receiver, chunk: bytes) -> None:
    """Give a piece of a stream, or its end."""
    if chunk == END_OF_STREAM:
        receiver.receive_eof()
    else:
        receiver.receive_data(chunk)


def ready(receiver: Receiver, chunk: bytes) -> list[Any]:
    """The events that are ready when a piece has come; the end is one of them."""
    feed(receiver, chunk)
    return list(receiver.events())


def error_of(events: Iterable[object]) -> EventCodecError:
    """The error with which the last of these events ends the connection."""
    *_, end = events
    assert isinstance(end, ConnectionEnded)
    assert end.error is not None
    return end.error


def read(decoder: Decoder, chunks: Iterable[bytes]) -> Outcome:
    """What a decoder makes of a stream, up to its end."""
    outcome = Outcome()
    for chunk in chunks:
        for event in ready(decoder, chunk):
            outcome.take(event)
    return outcome


def listen(client: ClientConnection, chunks: Iterable[bytes]) -> Outcome:
    """What a client makes of a server's stream, and what it writes in answer."""
    outcome = Outcome()
    for chunk in chunks:
        for event in ready(client, chunk):
            outcome.take(event)
        outcome.output += client.data_to_send()
    return outcome


def welcome(
    *, user: str = "ann", position: int = 1, max_frame: int = 65_536, seq: int = 0
) -> Welcome:
    """A Welcome of which only what matters is said."""
    return Welcome(
        user=user, ticket=7, position=position, max_frame=max_frame, heartbeat=0, seq=seq
    )


class Host:
    """The least server that there can be: it accepts everything that the protocol does."""

    def __init__(self, server: ServerConnection, *, max_frame: int = 65_536) -> None:
        self.server = server
        self.max_frame = max_frame
        self.position = 0
        self.outcome = Outcome()

    def answer(self, request: Event | InvalidRequest) -> Event:
        """The reply of a server with no other member in its room."""
        match request:
            case InvalidRequest():
                return request.error
            case Login():
                self.position += 1
                user = request.user or "guest"
                return welcome(user=user, position=self.position, max_frame=self.max_frame)
            case Message() | ApplicationEvent() | Logout():
                self.position += 1
                return Ack(position=self.position)
            case _:
                return Pong()

    def receive(self, data: bytes) -> None:
        """Answer all that is whole; say goodbye where the client broke a rule."""
        feed(self.server, data)
        for request in self.server.events():
            self.outcome.take(request)
            if not isinstance(request, ConnectionEnded):
                self.server.reply(request, self.answer(request))
            elif isinstance(request.error, RemoteProtocolError):
                self.server.goodbye(request.error.code)
        self.outcome.output += self.server.data_to_send()


def serve(chunks: Iterable[bytes], server: ServerConnection | None = None) -> Outcome:
    """What a server makes of a client's stream, and what it answers."""
    host = Host(ServerConnection() if server is None else server)
    for chunk in chunks:
        host.receive(chunk)
    return host.outcome


def member(server: ServerConnection | None = None, *, max_frame: int = 65_536) -> ServerConnection:
    """A server's end whose client is logged in."""
    server = ServerConnection() if server is None else server
    Host(server, max_frame=max_frame).receive(encode(Login(seq=1)))
    return server


def asking() -> ClientConnection:
    """A client's end whose Login is on its way."""
    client = ClientConnection(codec=CODEC)
    client.send(Login())
    client.data_to_send()
    return client


def settled(
    client: ClientConnection | None = None, *, position: int = 1, max_frame: int = 65_536
) -> ClientConnection:
    """A client's end that is logged in, with nothing on its way."""
    client = ClientConnection() if client is None else client
    login = client.send(Login())
    reply = welcome(position=position, max_frame=max_frame, seq=login.seq)
    assert len(ready(client, encode(reply))) == 1
    client.data_to_send()
    return client
