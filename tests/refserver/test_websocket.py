"""Section 16: the server over WebSocket, with a client that writes its own frames."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.raw import (
    ACK,
    JOINED,
    LEFT,
    MESSAGE,
    PING,
    PONG,
    SERVER_FULL,
    SHUTTING_DOWN,
    TIMEOUT,
    USER_TAKEN,
    WELCOME,
    ErrorReply,
    Frame,
    acked,
    error_of,
    login,
    logout,
    message,
    ping,
    said,
    short,
)
from tests.support.stopped import HOST, SHUT, Host, HostedClient, hosting

pytest.importorskip("websockets", reason="the extra ws is not installed")

from websockets.frames import Frame as WsFrame

from refserver.server import process
from refserver.server.config import ConfigError

KEY = base64.b64encode(bytes(16)).decode()
ACCEPT = base64.b64encode(
    hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
).decode()
CONT, TEXT, BINARY, CLOSE, WS_PING, WS_PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x01\x02\x03\x04"
HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "event-protocol.1",
}


def wrapped(payload: bytes, opcode: int = BINARY, *, fin: bool = True) -> bytes:
    """One frame of WebSocket as a client sends it."""
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += struct.pack(">BH", 0x80 | 126, size)
    else:
        head += struct.pack(">BQ", 0x80 | 127, size)
    masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return head + MASK + masked


class WebClient(HostedClient):
    """A client over WebSocket; `messages` are the sizes of the messages that came."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.messages: list[int] = []
        self.controls: list[tuple[int, bytes]] = []
        self._raw = b""

    async def shake_hands(self, **headers: str | None) -> tuple[str, dict[str, str]]:
        """Ask for WebSocket; returns the status line and the headers of the answer."""
        asked = HANDSHAKE | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in asked.items() if value is not None]
        await self.send_raw("\r\n".join(["GET /any HTTP/1.1", *lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._raw:
            await self._more()
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        return status, {
            name.lower(): value for name, _, value in (f.partition(": ") for f in fields)
        }

    async def send_raw(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send(self, *data: bytes) -> None:
        """All of it as one message."""
        await self.send_raw(wrapped(b"".join(data)))

    async def frame(self) -> Frame:
        while not self._whole:
            opcode, payload = await self.ws_frame()
            if opcode == BINARY:
                self.messages.append(len(payload))
                self._whole.extend(self._frames.receive(payload))
            else:
                self.controls.append((opcode, payload))
                if opcode == CLOSE:
                    raise EOFError
        return self._whole.pop(0)

    async def ws_frame(self) -> tuple[int, bytes]:
        """The next frame of WebSocket. Raises EOFError at the end of the stream."""
        while True:
            if len(self._raw) >= 2:
                size, at = self._raw[1], 2
                assert size < 128, "a server masks nothing"
                if size > 125:
                    at, form = (4, ">H") if size == 126 else (10, ">Q")
                    size = (
                        struct.unpack(form, self._raw[2:at])[0] if len(self._raw) >= at else 1 << 40
                    )
                if len(self._raw) >= at + size:
                    opcode, payload = self._raw[0], self._raw[at : at + size]
                    self._raw = self._raw[at + size :]
                    assert opcode & 0xF0 == 0x80, "whole messages, and no extension"
                    return opcode & 0xF, payload
            await self._more()

    async def _more(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65_536)
        if not data:
            raise EOFError
        self._raw += data

    async def closed(self) -> int:
        """The code of the Close at the end; frames before it are read."""
        await self.rest()
        opcode, payload = self.controls[-1]
        assert opcode == CLOSE
        return int.from_bytes(payload[:2], "big")


class WebHost:
    """A server that also listens for WebSocket, and its clients."""

    def __init__(self, host: Host, port: int) -> None:
        self.host = host
        self.port = port

    async def connect(self, *, receive_buffer: int | None = None) -> WebClient:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client = WebClient(sock)
        self.host.clients.append(client)
        await self.host.loop.sock_connect(sock, (HOST, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    async def client(self, *, receive_buffer: int | None = None) -> WebClient:
        client = await self.connect(receive_buffer=receive_buffer)
        status, _ = await client.shake_hands()
        assert status.startswith("HTTP/1.1 101 ")
        return client

    async def member(self, user: str = "", *, receive_buffer: int | None = None) -> WebClient:
        client = await self.client(receive_buffer=receive_buffer)
        await client.join(user)
        return client


@asynccontextmanager
async def web(**settings: Any) -> AsyncIterator[tuple[WebHost, Host]]:
    async with hosting(ws=0, **settings) as host:
        yield WebHost(host, host.server.start_websockets(0)), host


@pytest.mark.proves("EP-16.1-1", "EP-16.2-1", "EP-16.2-2", "EP-16.1-7")
async def test_a_conversation_is_the_same_over_websocket_and_tcp() -> None:
    async with web() as (ws, host):
        bob = await host.member("bob")
        ann = await ws.connect()
        status, headers = await ann.shake_hands(
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
            Sec_WebSocket_Protocol="other, event-protocol.1",
        )
        await ann.join("ann")
        await ann.send(message("from a page", 2))

        assert status == "HTTP/1.1 101 Switching Protocols"
        assert headers["sec-websocket-accept"] == ACCEPT
        assert headers["sec-websocket-protocol"] == "event-protocol.1"
        assert "sec-websocket-extensions" not in headers
        assert acked(await ann.frame()) == 3
        assert [frame.type for frame in await bob.frames(2)] == [JOINED, MESSAGE]
        await bob.send(message("from a socket", 3))
        assert said(await ann.frame()) == ("bob", b"from a socket")


@pytest.mark.proves("EP-16.1-2")
@pytest.mark.parametrize("size", [1, 7, 4_000])
async def test_the_boundaries_of_messages_and_frames_mean_nothing(size: int) -> None:
    async with web() as (ws, _):
        ann = await ws.client()
        stream = login("ann", seq=1) + message("one", 2) + message("two", 3) + ping(4)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

        await ann.send_raw(wrapped(b""))
        for number, piece in enumerate(pieces):
            if number % 2:  # a message of two frames, an empty one and a Ping between
                half = len(piece) // 2
                await ann.send_raw(wrapped(piece[:half], fin=False) + wrapped(b"?", WS_PING))
                await ann.send_raw(wrapped(b"", CONT, fin=False) + wrapped(piece[half:], CONT))
            else:
                await ann.send(piece)

        replies = await ann.frames(4)
        assert [frame.type for frame in replies] == [WELCOME, ACK, ACK, PONG]


@pytest.mark.proves("EP-16.1-3")
async def test_only_bytes_of_whole_frames_break_a_silence() -> None:
    async with web(heartbeat=20) as (ws, host):
        ann, bob = await ws.member("ann"), await ws.member("bob")
        whole = wrapped(ping(9))

        for at in range(7):
            await host.pass_time(5)
            await ann.send_raw(wrapped(b"x", WS_PONG) if at < 2 else whole[at - 2 : at - 1])
            await bob.send(ping(3))
        await host.pass_time(5)

        frames = await ann.rest()
        assert error_of(frames[-1]) == ErrorReply(0, TIMEOUT)
        assert [frame.type for frame in frames[:-1]] == [JOINED, PING]
        assert LEFT in [frame.type for frame in await bob.sync()]


@pytest.mark.proves("EP-16.1-4")
@pytest.mark.parametrize("fin", [True, False])
async def test_a_text_message_ends_the_connection_with_1003(fin: bool) -> None:
    async with web() as (ws, host):
        bob, ann = await host.member("bob"), await ws.member("ann")
        await ann.send_raw(wrapped(message("before", 2)) + wrapped(b"text", TEXT, fin=fin))

        assert await ann.closed() == 1003
        frames = await bob.until(LEFT)
        assert [frame.type for frame in frames] == [JOINED, MESSAGE, LEFT]
        assert frames[-1].body == short("ann") + b"\1"


@pytest.mark.proves("EP-16.1-6")
async def test_a_message_that_is_too_long_ends_the_connection_with_1009() -> None:
    async with web(max_frame=4_096) as (ws, _):
        ann, bob = await ws.member("ann"), await ws.member("bob")
        longest = b"".join(ping(n) for n in range(1, 257)) + bytes(4)
        await ann.send(longest)
        assert [frame.type for frame in await ann.frames(257)] == [JOINED, *[PONG] * 256]

        await bob.send(longest + bytes(1))
        assert await bob.closed() == 1009


async def test_a_stranger_cannot_make_the_server_hold_a_long_message() -> None:
    async with web(max_frame=1 << 20) as (ws, _):
        stranger = await ws.client()

        await stranger.send_raw(wrapped(bytes(1 << 20))[: 1 << 16])

        assert await stranger.closed() == 1009


@pytest.mark.proves("EP-16.1-5")
async def test_a_server_sends_no_message_longer_than_a_client_must_take() -> None:
    async with web(max_frame=4_096) as (ws, host):
        bob = await host.member("bob")
        ann = await ws.client()
        for number in range(2, 12):
            await bob.send(message("x" * 4_000, number))
        await bob.frames(10)

        await ann.send(*(login("bob", seq=n) for n in range(1, 50)), login("ann", seq=50))
        frames = [await ann.frame()]
        while frames[-1].type != WELCOME:
            frames.append(await ann.frame())
        before = len(ann.messages)
        for number in range(20, 40):
            await bob.send(message("y" * 4_000, number))
        await ann.frames(20)

        assert {error_of(frame).code for frame in frames[:-1]} == {USER_TAKEN}
        assert max(ann.messages[:before]) <= 4_100
        assert max(ann.messages) <= 4_096 + 259


@pytest.mark.proves("EP-16.2-2", "EP-16.2-4", "EP-16.2-5")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Protocol": None}, "400"),
        ({"Sec_WebSocket_Protocol": "event-protocol.2"}, "400"),
        ({"Origin": "http://evil.example"}, "403"),
        ({"Origin": "null"}, "403"),
        ({"Host": "evil.example"}, "403"),
        ({"Host": "evil.example:3000", "Origin": "http://page.example"}, "403"),
        ({"Host": None}, "403"),
        ({"Upgrade": None}, "426"),
        ({"Sec_WebSocket_Key": "short"}, "400"),
        ({"Origin": "http://page.example"}, "101"),
        ({"Host": "LOCALHOST:3000"}, "101"),
        ({"Host": "127.0.0.1"}, "101"),
        ({"Host": "[::1]:3000"}, "101"),
        ({"Host": "chat.example"}, "101"),
    ],
)
async def test_a_handshake_is_judged_by_its_headers(
    headers: dict[str, str | None], status: str
) -> None:
    names = {"ws_hosts": "chat.example, other.example", "ws_origins": "http://page.example"}
    async with web(**names) as (ws, host):
        client = await ws.connect()

        line, _ = await client.shake_hands(**headers)

        assert line.split()[1] == status
        if status != "101":
            await host.pass_time()
            assert not host.server.handshakes
            with pytest.raises(EOFError):
                while True:
                    await client._more()


@pytest.mark.proves("EP-16.2-6")
async def test_nothing_in_a_handshake_is_an_identity() -> None:
    async with web() as (ws, _):
        client = await ws.connect()
        await client.shake_hands(Cookie="user=ann", Authorization="Basic YW5uOmFubg==")

        assert (await client.join()).user != "ann"


@pytest.mark.proves("EP-16.2-7")
async def test_the_time_to_log_in_begins_before_the_handshake() -> None:
    async with web(login_timeout=5) as (ws, host):
        silent, late = await ws.connect(), await ws.connect()
        await host.pass_time(4.9)
        await late.shake_hands()
        await host.pass_time(0.2)

        assert await late.last() == ErrorReply(0, TIMEOUT)
        with pytest.raises((EOFError, ConnectionResetError)):
            await silent._more()


@pytest.mark.proves("EP-16.2-8")
@pytest.mark.parametrize(
    "head", [b"x" * 9_000, b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 200 + b"\r\n") * 100]
)
async def test_a_long_or_strange_request_is_refused(head: bytes) -> None:
    async with web() as (ws, host):
        client = await ws.connect()

        await client.send_raw(head)
        await host.pass_time()

        with pytest.raises((EOFError, ConnectionResetError)):
            while True:
                await client._more()
        assert not host.server.handshakes


@pytest.mark.proves("EP-16.2-9")
async def test_who_is_turned_away_can_read_why() -> None:
    async with web(connections=1) as (ws, host):
        ann = await ws.member("ann")

        assert await (await ws.client()).last() == ErrorReply(0, SERVER_FULL)
        host.server.stop()
        assert await ann.last() == SHUT


@pytest.mark.proves("EP-16.2-9")
async def test_a_handshake_that_was_begun_before_the_stop_reads_shutting_down() -> None:
    async with web() as (ws, host):
        await ws.member("ann")
        late = await ws.connect()
        await host.pass_time()
        host.server.stop()
        await late.shake_hands()

        assert await late.last() == ErrorReply(0, SHUTTING_DOWN)


@pytest.mark.proves("EP-16.3-1", "EP-16.3-3")
@pytest.mark.parametrize("code", [1000, 1011, 4321])
async def test_a_close_is_the_end_of_both_streams_whatever_its_code(code: int) -> None:
    async with web() as (ws, host):
        bob, ann = await host.member("bob"), await ws.member("ann")
        close = struct.pack(">H", code)
        await ann.send_raw(wrapped(message("last", 2)) + wrapped(close, CLOSE))

        await ann.rest()
        frames = await bob.until(LEFT)
        assert [frame.type for frame in frames] == [JOINED, MESSAGE, LEFT]
        assert frames[-1].body == short("ann") + b"\1"
        assert ann.controls[-1] == (CLOSE, close)


@pytest.mark.proves("EP-16.3-2")
async def test_a_close_follows_the_last_frame_and_the_clients_is_waited_for() -> None:
    async with web(close_timeout=2) as (ws, host):
        ann = await ws.member("ann")
        await ann.send(logout(2), ping(3))

        assert acked(await ann.frame()) == 2
        assert await ann.closed() == 1000
        await host.pass_time(1.9)
        assert len(host.server.connections) == 1
        await ann.send(bytes(1_000))  # read and discarded
        await ann.send_raw(wrapped(struct.pack(">H", 1000), CLOSE))
        await host.pass_time()
        assert not host.server.connections


@pytest.mark.proves("EP-16.3-2")
async def test_a_client_that_sends_no_close_is_cut_off() -> None:
    async with web(close_timeout=2) as (ws, host):
        ann = await ws.member("ann")
        await ann.send(logout(2))
        assert await ann.closed() == 1000

        await host.pass_time(2.1)

        assert not host.server.connections


@pytest.mark.proves("EP-16.1-5")
async def test_what_comes_with_a_welcome_is_cut_into_messages_too() -> None:
    async with web(max_frame=4_096) as (ws, host):
        bob, ann = await host.member("bob"), await ws.client()
        welcome = await ann.join("ann")
        ann.close()
        for number in range(2, 12):
            await bob.send(message("x" * 4_000, number))
        again = await ws.client()

        await again.join("ann", ticket=welcome.ticket, position=welcome.position)
        await again.until(JOINED)

        assert again.messages[0] <= 4_100
        assert max(again.messages) <= 4_096 + 259


@pytest.mark.proves("EP-7.2-2")
async def test_pongs_that_nobody_reads_are_not_kept() -> None:
    async with web(heartbeat=0) as (ws, host):
        bob = await host.member("bob")
        ann = await ws.member("ann", receive_buffer=4_096)
        [connection] = [each for each in host.server.connections if each.has_handshake]
        number = 2
        while connection.writable:
            await bob.send(message("z" * 30_000, number))
            await bob.frame()
            await host.pass_time()
            number += 1

        for _ in range(40):
            await ann.send_raw(wrapped(bytes(125), WS_PING) * 100)
            await host.pass_time()

        assert connection.transport.get_write_buffer_size() < 200_000


async def test_a_client_that_never_reads_is_evicted_and_its_pings_cost_nothing() -> None:
    async with web(log_bytes=65_536, heartbeat=0) as (ws, host):
        bob = await host.member("bob")
        ann = await ws.member("ann", receive_buffer=4_096)
        [connection] = [each for each in host.server.connections if each.has_handshake]

        for number in range(2, 400):
            await bob.send(message("z" * 30_000, number))
            await ann.send_raw(wrapped(bytes(125), WS_PING) * 20)
            await host.pass_time()
            assert connection.transport.get_write_buffer_size() < 400_000
            if any(frame.type == LEFT for frame in await bob.sync()):
                break
        else:
            pytest.fail("nobody was evicted")


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\x82\x04abcd", wrapped(b"x", 0x3)])
async def test_what_is_no_websocket_costs_its_sender_alone(junk: bytes) -> None:
    async with web() as (ws, host):
        ann, bob = await ws.member("ann"), await ws.member("bob")

        await ann.send_raw(junk)

        assert await ann.closed() == 1002
        assert [frame.type for frame in await bob.until(LEFT)][-1] == LEFT
        await host.pass_time(3)
        assert len(host.server.connections) == 1


async def test_a_fan_out_is_wrapped_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as (ws, host):
        members = [await ws.member(f"member {number}") for number in range(5)]
        for member in members:
            await member.sync()
        wrapped_ones: list[bytes] = []
        serialize = WsFrame.serialize

        def counted(frame: WsFrame, **how: Any) -> bytes:
            wrapped_ones.append(bytes(frame.data))
            return serialize(frame, **how)

        bob = await host.member("bob")
        for member in members:
            await member.frame()
        monkeypatch.setattr(WsFrame, "serialize", counted)
        await bob.send(message("to all", 2))

        for member in members:
            assert said(await member.frame()) == ("bob", b"to all")
        assert len(wrapped_ones) == 1


# ---------------------------------------------------------------- the library


class Absent:
    """A finder for which `websockets` is not installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name.partition(".")[0] == "websockets":
            raise ModuleNotFoundError(f"No module named {name!r}", name="websockets")


def as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the library nor what is built upon it has been imported."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "websockets" or name == "refserver.server.websocket":
            monkeypatch.delitem(sys.modules, name)


async def test_without_the_extra_the_option_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_at_the_start(monkeypatch)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])

    async with hosting() as host:
        with pytest.raises(ConfigError, match=r"^--ws needs websockets: .* refserver\[ws\]$"):
            process.start_websockets(host.server, 0)


async def test_a_library_that_lacks_what_is_needed_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("websockets.server.ServerProtocol")
    monkeypatch.delitem(sys.modules, "refserver.server.websocket", raising=False)

    async with hosting() as host:
        with pytest.raises(ConfigError, match="websockets that is installed: cannot import name"):
            process.start_websockets(host.server, 0)


async def test_a_port_for_websocket_that_is_taken_is_told_with_its_option() -> None:
    async with hosting() as host:
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=f"{port} for --ws: something listens there"):
                process.start_websockets(host.server, port)
