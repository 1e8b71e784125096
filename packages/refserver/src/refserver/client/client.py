"""One connection of a client on a blocking socket: log in, send, read, log out.

Rule: every failure is a `CommandError` with one line of text. The text is safe for a terminal:
bytes of the peer are escaped in it (EP-12-6).

Layer: below `commands`; knows eventcodec and the network alone.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    ConnectionLostError,
    Error,
    ErrorCode,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    PeerError,
    RemoteProtocolError,
    Reply,
    Unknown,
)

from ..arguments import spelled
from ..characters import escape
from ..exit_codes import Exit
from ..readiness import READ, ready

__all__ = ["CHUNK", "Client", "CommandError", "Fact", "connect", "trusting", "why"]

CHUNK = 1 << 16

Fact = Message | Joined | Left | ApplicationEvent | Unknown


class CommandError(Exception):
    """The command failed. The message is the reason, in one line."""

    def __init__(self, reason: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(reason)
        self.code = code


class Client:
    """A connection to a server: sends requests and returns events."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self.conn = ClientConnection()
        self.timeout = timeout
        self._sock = sock
        self._early: list[Fact | Reply] = []  # what came right behind the Welcome
        self._heard = False

    def log_in(self, login: Login) -> None:
        """Log in and wait for the Welcome. Raises CommandError."""
        self.conn.send(login)
        self.flush()
        deadline = time.monotonic() + self.timeout
        while self.conn.welcome is None:
            if not self.wait_until(deadline):
                raise CommandError(f"no Welcome within {self.timeout:g} s{self._hint}")
            came = list(self.read())
            if came and isinstance(came[0], Reply) and isinstance(came[0].event, Error):
                raise CommandError(f"the server refused the login: {why(came[0].event)}")
            self._early = came[1:]

    def log_out(self) -> None:
        """Log out and wait for the Ack. Raises CommandError."""
        self.conn.send(Logout())
        self.flush()
        deadline = time.monotonic() + self.timeout
        while not self.conn.ended:
            if not self.wait_until(deadline):
                raise CommandError(f"no Ack of the Logout within {self.timeout:g} s")
            for _ in self.read():
                self.flush()

    def flush(self) -> None:
        data = self.conn.data_to_send()
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise CommandError(f"cannot send: {error.strerror or error}") from error

    @property
    def _hint(self) -> str:
        """A possible reason for a server that sends nothing."""
        is_plain = not isinstance(self._sock, ssl.SSLSocket)
        return "; the port may speak TLS: --tls" if is_plain and not self._heard else ""

    @property
    def fd(self) -> int:
        return self._sock.fileno()

    def wait(self, seconds: float | None, *others: int) -> set[int]:
        """Wait at most so many seconds. Returns the descriptors that can be read."""
        if self._early or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            return {self.fd}
        seconds = None if seconds is None else max(0.0, seconds)
        return ready(dict.fromkeys((self.fd, *others), READ), seconds)

    def wait_until(self, deadline: float, *others: int) -> set[int]:
        """Wait until the deadline. Returns the descriptors that can be read; none after the
        deadline."""
        left = deadline - time.monotonic()
        return self.wait(left, *others) if left > 0 else set()

    def read(self) -> Iterator[Fact | Reply]:
        """The received events. Raises CommandError for an end that is not clean."""
        if self._early:
            came, self._early = self._early, []
            yield from came
            return
        try:
            data = self._sock.recv(CHUNK)
        except OSError as error:
            raise CommandError(
                f"the connection failed: {error.strerror or error}{self._hint}"
            ) from error
        self._heard |= bool(data)
        if data:
            self.conn.receive_data(data)
        else:
            self.conn.receive_eof()
        for event in self.conn.events():
            if isinstance(event, ConnectionEnded):
                self._check(event)
            else:
                yield event
        self.flush()

    def _check(self, end: ConnectionEnded) -> None:
        """Raise CommandError for an end that is not clean."""
        match end.error:
            case PeerError(code=code, text=text):
                said = Error(code=code, text=text)
                raise CommandError(f"the server ended the connection: {why(said)}")
            case ConnectionLostError():
                raise CommandError(f"the connection was lost{self._hint}")
            case RemoteProtocolError() as error:
                raise CommandError(f"the server broke the protocol: {error}")


def why(error: Error) -> str:
    code = ErrorCode.known(error.code)
    name = f"code {error.code}" if code is None else code.name
    return f"{name}, {escape(error.text)}" if error.text else name


def connect(
    address: tuple[str, int], timeout: float, credential: bytes, tls: bool, ca: Path | None
) -> socket.socket:
    """Connect to this address, with TLS if requested. Raises CommandError."""
    host, port = address
    where = spelled(host, port)
    context = trusting(ca) if tls or ca else None
    try:
        sock = socket.create_connection(address, timeout)
    except OSError as error:
        raise CommandError(
            f"cannot connect to {where}: {error.strerror or error}", Exit.UNREACHABLE
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        # EP-6.3-1: the address of the connection counts, not the name.
        if credential and not ipaddress.ip_address(sock.getpeername()[0]).is_loopback:
            sock.close()
            raise CommandError(f"a credential goes to {where} over TLS only: add --tls", Exit.USAGE)
        return sock
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except (OSError, ValueError) as error:
        sock.close()
        raise CommandError(
            f"no TLS with {where}: {escape(str(error))}", Exit.UNREACHABLE
        ) from error


def trusting(ca: Path | None) -> ssl.SSLContext:
    """TLS settings that trust these certificates, or those of the system. Raises CommandError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        is_read = isinstance(error, ssl.SSLError)
        reason = "holds no certificate in PEM form" if is_read else error.strerror
        raise CommandError(f"--ca {ca}: {reason}", Exit.USAGE) from error
