"""A server and a client that say anything at any moment: half right, half random.

Rule: what they do hangs on a seed alone. They are right often enough to come deep into
a case, and everything that they say may be cut, changed, doubled or left out.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import BinaryIO

from refserver.conformance import raw
from refserver.conformance.peer.lines import line_of
from refserver.conformance.raw import Frame

SANE = 0.85
"""How often a right thing is left as it is."""
HUGE = 1 << 12
ZEROS = bytes(4)


def mutated(rng: Random, data: bytes) -> bytes:
    """The bytes, or what somebody made of them."""
    if rng.random() < SANE:
        return data
    at = rng.randrange(len(data) + 1)
    ways: list[Callable[[], bytes]] = [
        lambda: data[:at],
        lambda: data[at:],
        lambda: data + data,
        lambda: b"",
        lambda: data[:at] + rng.randbytes(1) + data[at + 1 :],
        lambda: data[:at] + rng.randbytes(rng.randrange(40)) + data[at:],
        lambda: ZEROS,
        lambda: rng.randbytes(rng.randrange(200)),
        lambda: rng.randrange(1 << 32).to_bytes(4, "big") + data,
        lambda: bytes(rng.randrange(HUGE)),
        lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ]
    return rng.choice(ways)()


def any_frame(rng: Random) -> bytes:
    """A frame of some type, with a body that may be its own."""
    seq = rng.choice([0, 1, 2, rng.randrange(1 << 64)])
    name = rng.choice(["", "ann", "\u202e", "x" * 60])
    right = [
        raw.message(seq, "hello", name),
        raw.joined(seq, name),
        raw.left(seq, name, rng.randrange(256)),
        raw.error(seq, rng.randrange(1 << 16), name),
        raw.ping(seq),
        raw.pong(seq),
        raw.ack(seq, rng.randrange(1 << 64)),
        raw.welcome(seq, name, rng.randrange(1 << 64), seq, rng.randrange(1 << 32)),
        raw.application(seq, rng.randrange(0x80, 0x100), rng.randbytes(9), name),
    ]
    if rng.random() < 0.7:
        return rng.choice(right)
    return raw.frame(rng.randrange(256), seq, rng.randbytes(rng.randrange(60)))


def frames(buffer: bytearray) -> Iterator[Frame]:
    """The whole frames that stand there, taken out."""
    while len(buffer) >= 4:
        size = 4 + int.from_bytes(buffer[:4], "big")
        if size < 16 or len(buffer) < size:
            return
        yield Frame(bytes(buffer[:size]))
        del buffer[:size]


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def misbehave(rng: Random, sock: socket.socket) -> bool:
    """Now and then end the connection in some way; False where it goes on."""
    if rng.random() < 0.96:
        return False
    way = rng.choice(["close", "reset", "half", "nothing"])
    if way == "reset":
        reset(sock)
    elif way == "close":
        sock.close()
    elif way == "half":
        sock.shutdown(socket.SHUT_WR)
    return way in ("reset", "close")


class HostileServer:
    """Answers each request, perhaps, and says what nobody asked for."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.place = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self._stop, self._stopped = socket.socketpair()
        self._buffers: dict[socket.socket, bytearray] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.close()
        self._thread.join()
        for each in (*self._buffers, self.listener, self._stopped):
            each.close()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self.listener, self._stopped, *self._buffers], [], [])
            if self._stopped in ready:
                return
            if self.listener in ready:
                sock, _ = self.listener.accept()
                sock.settimeout(0.2)
                self._buffers[sock] = bytearray()
            for sock in set(ready) & set(self._buffers):
                try:
                    self._serve(sock)
                except OSError:
                    self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._buffers.pop(sock, None)
        sock.close()

    def _serve(self, sock: socket.socket) -> None:
        data = sock.recv(1 << 16)
        if not data:
            # The kit has ended its stream: what is said now comes while it closes.
            with suppress(OSError):
                sock.sendall(mutated(self.rng, self.rng.choice([b"", ZEROS, any_frame(self.rng)])))
            return self._drop(sock)
        buffer = self._buffers[sock]
        buffer += data
        for frame in frames(buffer):
            sock.sendall(mutated(self.rng, self._answer(frame)))
            while self.rng.random() < 0.1:
                sock.sendall(mutated(self.rng, any_frame(self.rng)))
        if misbehave(self.rng, sock):
            self._buffers.pop(sock, None)
        return None

    def _answer(self, frame: Frame) -> bytes:
        self.place += 1
        user = (frame.text("user") or b"ann").decode("utf-8", "replace")[:60]
        if frame.type == raw.LOGIN:
            return raw.welcome(frame.seq, user, self.place, self.place)
        if frame.type == raw.PING:
            return raw.pong(frame.seq)
        if frame.fields is None:
            return raw.error(0, raw.MALFORMED)
        return raw.ack(frame.seq, self.place)


@contextmanager
def hostile_server(seed: int) -> Iterator[HostileServer]:
    server = HostileServer(seed)
    try:
        yield server
    finally:
        server.close()


TALES: list[object] = [
    {},
    [],
    1,
    None,
    {"event": 7},
    {"event": "End"},
    {"event": "End", "how": "clean"},
    {"event": "End", "how": ["lost"], "code": {}},
    {"event": "End", "how": "fault", "code": 1},
    {"event": "Ack", "position": 1e400, "seq": True},
    {"event": "Message", "content": "\ud800", "sender": [[]]},
    {"event": "x" * 5000},
]


def hostile_client(seed: int) -> Callable[..., None]:
    """What plays a client, for `InThread`."""

    def play(
        host: str, port: int, rest: str, out: BinaryIO, wait: Callable[[socket.socket], bool]
    ) -> None:
        rng = Random(f"{seed}/{rest}")
        with suppress(OSError), socket.create_connection((host, port)) as sock:
            sock.sendall(mutated(rng, raw.login(1, "ann")))
            buffer = bytearray()
            while wait(sock) and (data := sock.recv(1 << 16)):
                buffer += data
                for frame in frames(buffer):
                    _react(rng, sock, out, frame)
                if misbehave(rng, sock):
                    break
            out.write(mutated(rng, b'{"event": "End", "how": "clean"}\n'))
        if rng.random() < 0.2:
            raise SystemExit(rng.randrange(3))

    return play


def _react(rng: Random, sock: socket.socket, out: BinaryIO, frame: Frame) -> None:
    with suppress(UnicodeDecodeError):
        line = json.dumps(line_of(frame)).encode()
        out.write(mutated(rng, line) + (b"\n" if rng.random() < 0.95 else b""))
    if rng.random() < 0.1:
        out.write(mutated(rng, json.dumps(rng.choice(TALES)).encode() + b"\n"))
    answers = {raw.PING: raw.pong(frame.seq), raw.MESSAGE: raw.message(frame.seq, "good morning")}
    sock.sendall(mutated(rng, answers.get(frame.type, b"")))
    if rng.random() < 0.1:
        sock.sendall(mutated(rng, any_frame(rng)))
