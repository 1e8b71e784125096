"""Clients of a real server with plain sockets, and a server that does not start.

Rule: a client is written as the README teaches, with `ClientConnection`.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.warm import ran

from eventcodec import ClientConnection, ConnectionEnded, Event, EventCodecError, Login, Reply

REFSERVER = Path(sys.executable).with_name("refserver")
TIMEOUT = 600.0
"""Seconds until what does not come fails its test."""


def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of a server that does not start."""
    done = ran(
        [REFSERVER, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


class Client:
    """A client in the test's own hands: a blocking socket and a `ClientConnection`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.conn = ClientConnection()
        self.events: list[Event | Reply] = []
        self.end: EventCodecError | None = None

    def send(self, *requests: Event) -> None:
        for request in requests:
            self.conn.send(request)
        self.sock.sendall(self.conn.data_to_send())

    def next(self) -> Event | Reply:
        """The next event; behind the last, raises what ended the connection."""
        while not self.events:
            if self.end is not None:
                raise self.end
            if data := self.sock.recv(65_536):
                self.conn.receive_data(data)
            else:
                self.conn.receive_eof()
            for event in self.conn.events():
                if isinstance(event, ConnectionEnded):
                    self.end = event.error
                else:
                    self.events.append(event)
            with suppress(OSError):  # what ended the connection is read next
                self.sock.sendall(self.conn.data_to_send())  # Pongs
        return self.events.pop(0)

    def ask(self, request: Event) -> Event:
        """Send a request and give its reply; what comes before it is passed over."""
        sent = self.conn.send(request)
        self.sock.sendall(self.conn.data_to_send())
        while True:
            event = self.next()
            if isinstance(event, Reply) and event.request == sent:
                return event.event


@contextmanager
def client(port: int, tls: ssl.SSLContext | None = None) -> Iterator[Client]:
    """A connection to 127.0.0.1, closed at the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain:
        if tls is None:
            yield Client(plain)
        else:
            with tls.wrap_socket(plain, server_hostname="localhost") as sock:
                yield Client(sock)


@contextmanager
def member(
    port: int, user: str = "", credential: bytes = b"", tls: ssl.SSLContext | None = None
) -> Iterator[Client]:
    """A client that has logged in."""
    with client(port, tls) as one:
        reply = one.ask(Login(user=user, credential=credential))
        assert one.conn.welcome is not None, reply
        yield one
