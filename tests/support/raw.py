"""A client of plain sockets and `struct`, written from docs/protocol.md alone.

Rule: nothing of the packages is imported. So where this client differs from the server, or from
the judge, one of them is wrong.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

LOGIN, MESSAGE, LOGOUT, ACK, ERROR, PING, PONG, WELCOME, JOINED, LEFT = range(0x01, 0x0B)
APPLICATION = 0x80

MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED_VERSION, UNKNOWN_TYPE, UNEXPECTED_EVENT = range(1, 6)
LOGIN_REQUIRED, ALREADY_LOGGED_IN, UNAUTHORIZED, USER_TAKEN, BAD_USER, HISTORY_GONE = range(10, 16)
SLOW_CONSUMER, TIMEOUT, SERVER_FULL, SHUTTING_DOWN, UNAVAILABLE = range(21, 26)

HEADER = struct.Struct(">IBBHQ")
DEADLINE = 600
"""Seconds until a read that never ends fails its test."""


class Frame(NamedTuple):
    """What stands in one frame."""

    type: int
    seq: int
    body: bytes = b""


class Welcomed(NamedTuple):
    """The body of a Welcome."""

    user: str
    ticket: int
    position: int
    max_frame: int
    heartbeat: int
    server: str


class ErrorReply(NamedTuple):
    """An Error without its text. The text is for people."""

    seq: int
    code: int


def frame(type: int, seq: int, body: bytes = b"") -> bytes:
    """One frame of version 1."""
    return HEADER.pack(12 + len(body), 1, type, 0, seq) + body


def short(text: str | bytes) -> bytes:
    """A short text."""
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def login(
    user: str | bytes = "",
    *,
    seq: int = 1,
    credential: bytes = b"",
    ticket: int = 0,
    position: int = 0,
) -> bytes:
    """A Login; a resume where a ticket is given."""
    body = short(user) + struct.pack(">H", len(credential)) + credential
    return frame(LOGIN, seq, body + struct.pack(">QQ", ticket, position))


def message(content: str | bytes, seq: int) -> bytes:
    """A Message as a client sends it."""
    data = content.encode() if isinstance(content, str) else content
    return frame(MESSAGE, seq, b"\0" + data)


def ping(seq: int) -> bytes:
    """A Ping."""
    return frame(PING, seq)


def logout(seq: int) -> bytes:
    """A Logout."""
    return frame(LOGOUT, seq)


def error(seq: int, code: int, text: str = "") -> bytes:
    """An Error as a server sends it."""
    return frame(ERROR, seq, struct.pack(">H", code) + short(text))


def said(fact: Frame) -> tuple[str, bytes]:
    """Sender and content of a Message or an application event."""
    size = fact.body[0]
    return fact.body[1 : 1 + size].decode(), fact.body[1 + size :]


def error_of(reply: Frame) -> ErrorReply:
    """The code in an Error."""
    assert reply.type == ERROR, reply
    return ErrorReply(reply.seq, *struct.unpack_from(">H", reply.body))


def acked(reply: Frame) -> int:
    """The position in an Ack."""
    assert reply.type == ACK, reply
    (position,) = struct.unpack(">Q", reply.body)
    return int(position)


def welcomed(reply: Frame) -> Welcomed:
    """The fields of a Welcome."""
    assert reply.type == WELCOME, reply
    size = reply.body[0]
    user, rest = reply.body[1 : 1 + size], reply.body[1 + size :]
    ticket, position, max_frame, heartbeat, named = struct.unpack_from(">QQIHB", rest)
    server = rest[23 : 23 + named]
    return Welcomed(user.decode(), ticket, position, max_frame, heartbeat, server.decode())


def frames_of(buffer: bytearray) -> list[bytes]:
    """Takes the whole frames out of a buffer."""
    found = []
    at = 0
    while len(buffer) - at >= 4:
        end = at + 4 + int.from_bytes(buffer[at : at + 4], "big")
        if len(buffer) < end:
            break
        found.append(bytes(buffer[at:end]))
        at = end
    del buffer[:at]
    return found


def parsed(whole: bytes) -> Frame:
    """The fields of a frame of version 1."""
    _, version, type, reserved, seq = HEADER.unpack_from(whole)
    assert (version, reserved) == (1, 0), "not a header of version 1"
    return Frame(type, seq, whole[HEADER.size :])


class Frames:
    """Cut what comes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""
        self._buffer += data
        return [parsed(whole) for whole in frames_of(self._buffer)]

    @property
    def held(self) -> int:
        """Bytes of a frame that is not whole."""
        return len(self._buffer)


class Client:
    """One connection in a test's hands."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", receive_buffer: int | None = None
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:  # counts only if it is set before the connection is made
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames = Frames()
        self._whole: list[Frame] = []
        self.received = bytearray()
        self._returned = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    def send(self, *data: bytes) -> None:
        """Write, all of it."""
        self.sock.sendall(b"".join(data))

    def end(self) -> None:
        """Send no more."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close so that the other side sees an error, not an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def frame(self) -> Frame:
        """The next frame. Raises EOFError at the end of the stream."""
        while not self._whole:
            data = self.sock.recv(65_536)
            if not data:
                assert not self._frames.held, "the stream ends inside a frame"
                raise EOFError
            self.received += data
            self._whole.extend(self._frames.receive(data))
        first = self._whole.pop(0)
        self._returned += HEADER.size + len(first.body)
        return first

    @property
    def pending(self) -> bytes:
        """What came behind the last frame that was returned; for who reads the socket itself."""
        return bytes(self.received[self._returned :])

    def frames(self, count: int) -> list[Frame]:
        """So many frames."""
        return [self.frame() for _ in range(count)]

    def until(self, type: int, seq: int | None = None) -> list[Frame]:
        """All frames up to and with the first of this type (and number)."""
        frames = [self.frame()]
        while frames[-1].type != type or seq not in (None, frames[-1].seq):
            frames.append(self.frame())
        return frames

    def rest(self) -> list[Frame]:
        """All frames to the end of the stream."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(self.frame())
        except EOFError:
            return frames

    def join(self, user: str = "", *, ticket: int = 0, position: int = 0) -> Welcomed:
        """Log in."""
        self.send(login(user, ticket=ticket, position=position))
        return welcomed(self.frame())


class Bystander(Client):
    """A member that has nothing to do with it, whose stream stays exact."""

    def __init__(self, port: int, user: str = "") -> None:
        super().__init__(port)
        welcome = self.join(user)
        self.user = welcome.user
        self.place = welcome.position
        self._pings = 1

    def facts(self) -> list[Frame]:
        """What it was told since it was asked last: facts alone, numbered without a gap."""
        self._pings += 1
        self.send(ping(self._pings))
        *facts, pong = self.until(PONG)
        assert pong == Frame(PONG, self._pings)
        return [self._fact(each) for each in facts]

    def until_left(self, user: str) -> list[Frame]:
        """What it is told, up to and with somebody's `Left`."""
        facts = [self._fact(self.frame())]
        while facts[-1].type != LEFT or facts[-1].body[:-1] != short(user):
            facts.append(self._fact(self.frame()))
        return facts

    def _fact(self, frame: Frame) -> Frame:
        self.place += 1
        assert frame.seq == self.place
        assert frame.type in (MESSAGE, JOINED, LEFT) or frame.type >= APPLICATION
        return frame


@contextmanager
def member(port: int, user: str = "", *, receive_buffer: int | None = None) -> Iterator[Client]:
    """A client that is logged in; its Welcome is read."""
    with Client(port, receive_buffer=receive_buffer) as client:
        client.join(user)
        yield client
