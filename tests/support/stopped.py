"""The server in this process, in a loop whose clock stands still until it is told.

Rule: sockets are real, time is not. A test never waits for time; it says how much
has passed. That something did *not* happen is shown by a reply that came after it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.raw import (
    PONG,
    SHUTTING_DOWN,
    ErrorReply,
    Frame,
    Frames,
    Welcomed,
    error_of,
    login,
    ping,
    welcomed,
)

from refserver.server.auth import Auth
from refserver.server.config import Config
from refserver.server.server import Server
from refserver.server.tls import Tls

TURNS = 20
"""Turns of the loop in which everything that is due has been done."""
STEP = 1 / 16
"""Seconds that pass at once, less than `clock.LATE`: else the server would not count them."""
TURNS_A_STEP = 4
"""Turns in which what is due by then has been done."""
HOST = "127.0.0.1"


class StoppedLoop(asyncio.SelectorEventLoop):
    """A loop without a clock. What nobody caught is kept, and fails the test."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.unhandled: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.unhandled.append(context))

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        """Whether callbacks and futures remember all who called, which took half of the time.

        The loop itself does not ask: it makes all the checks of its debug mode.
        """
        return False


class HostedClient:
    """A client of the server in the same loop; it reads only when it is asked to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._frames = Frames()
        self._whole: list[Frame] = []
        self._pings = 1_000_000

    async def send(self, *data: bytes) -> None:
        """Write, all of it."""
        await asyncio.get_running_loop().sock_sendall(self.sock, b"".join(data))

    async def frame(self) -> Frame:
        """The next frame. Raises EOFError at the end of the stream."""
        while not self._whole:
            data = await self._receive()
            if not data:
                raise EOFError
            self._whole.extend(self._frames.receive(data))
        return self._whole.pop(0)

    async def _receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 65_536)

    async def frames(self, count: int) -> list[Frame]:
        """So many frames."""
        return [await self.frame() for _ in range(count)]

    async def rest(self) -> list[Frame]:
        """All frames to the end of the stream."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(await self.frame())
        except EOFError:
            return frames

    async def last(self) -> ErrorReply:
        """The Error at the end of the stream."""
        return error_of((await self.rest())[-1])

    async def sync(self) -> list[Frame]:
        """Everything up to now: what stands before the answer to a Ping sent now."""
        self._pings += 1
        await self.send(ping(self._pings))
        frames = [await self.frame()]
        while frames[-1] != Frame(PONG, self._pings):
            frames.append(await self.frame())
        return frames[:-1]

    async def until(self, type: int) -> list[Frame]:
        """All frames up to and with the first of this type."""
        frames = [await self.frame()]
        while frames[-1].type != type:
            frames.append(await self.frame())
        return frames

    async def join(
        self, user: str = "", *, credential: bytes = b"", ticket: int = 0, position: int = 0
    ) -> Welcomed:
        """Log in."""
        await self.send(login(user, credential=credential, ticket=ticket, position=position))
        return welcomed(await self.frame())

    def end(self) -> None:
        """Send no more."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away so that the other side sees an error, not an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Go away."""
        self.sock.close()


class SecureClient(HostedClient):
    """A client over TLS, whose handshake goes step by step."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def say_hello(self) -> None:
        """Send the first message of the handshake."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        await super().send(self._outgoing.read())

    async def shake_hands(self) -> None:
        """Do the rest of the handshake."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
        await super().send(self._outgoing.read())

    async def send(self, *data: bytes) -> None:
        self._tls.write(b"".join(data))
        await super().send(self._outgoing.read())

    async def _receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(65_536)
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLZeroReturnError:
                return b""

    async def _flush(self) -> None:
        """Send what TLS has to send, and wait for more."""
        await super().send(self._outgoing.read())
        data = await super()._receive()
        if not data:
            raise EOFError
        self._incoming.write(data)


class Host:
    """The server, its clock, and its clients."""

    def __init__(self, server: Server, loop: StoppedLoop, port: int) -> None:
        self.server = server
        self.loop = loop
        self.port = port
        self.clients: list[HostedClient] = []

    async def client(
        self, *, address: str = HOST, receive_buffer: int | None = None
    ) -> HostedClient:
        """A client that has connected from this address, which is one of 127.0.0.0/8."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((address, 0))
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client = HostedClient(sock)
        self.clients.append(client)
        await self.loop.sock_connect(sock, (HOST, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    async def member(self, user: str = "", *, receive_buffer: int | None = None) -> HostedClient:
        """A client that is logged in."""
        client = await self.client(receive_buffer=receive_buffer)
        await client.join(user)
        return client

    async def secure_client(self, context: ssl.SSLContext) -> SecureClient:
        """Somebody who has connected and has not begun a TLS handshake."""
        plain = await self.client()
        client = SecureClient(plain.sock, context)
        self.clients[-1] = client
        return client

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and the server do what is due all the while."""
        until = self.loop.now + seconds
        while until - self.loop.now > STEP:
            self.loop.now += STEP
            for _ in range(TURNS_A_STEP):
                await asyncio.sleep(0)
        self.loop.now = until
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def stand_still(self, seconds: float) -> None:
        """Let so much time pass in which the server does not run."""
        self.loop.now += seconds
        for _ in range(TURNS):
            await asyncio.sleep(0)


@asynccontextmanager
async def hosting(
    auth: Auth | None = None, tls: Tls | None = None, /, **settings: Any
) -> AsyncIterator[Host]:
    """A server with this authenticator and these settings. At the end nothing is left of it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StoppedLoop)
    server = Server(Config(port=0, **settings), auth, tls)
    host = Host(server, loop, server.start())
    try:
        yield host
    finally:
        for client in host.clients:
            client.close()
        server.stop()
        await server.ended.wait()
        await host.pass_time()


SHUT = ErrorReply(0, SHUTTING_DOWN)
"""How a server says that it stops."""
