"""What hostile clients do to a server, each in a process of its own.

Rule: a storm is bounded in time, talks to loopback alone, and says how much of it arrived.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException

from tests.support.raw import ACK, Client, Welcomed, login, message, ping

from eventcodec import Pong, encode

SECONDS = 4.0
CHUNK = 1 << 16
HISTORY = 15 << 20
LONG = 60_000


def flood(port: int, frame: bytes, members: int, logged_in: bool = True) -> int:
    """So many connections that send one frame without end; how many bytes were taken."""
    sent, data = 0, frame * (CHUNK // len(frame))
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(members):
            client = stack.enter_context(Client(port))
            if logged_in:
                client.join()
            client.sock.setblocking(False)
            selector.register(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for key, events in selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                with suppress(BlockingIOError):
                    if events & selectors.EVENT_READ and not sock.recv(CHUNK):
                        selector.unregister(sock)
                    elif events & selectors.EVENT_WRITE:
                        sent += sock.send(data)
    return sent


def pongs(port: int) -> int:
    """300 members that send Pongs."""
    return flood(port, encode(Pong(seq=9)), 300)


def pings(port: int) -> int:
    """300 members that send Pings, and read the answers."""
    return flood(port, ping(9), 300)


def strangers_pongs(port: int) -> int:
    """200 connections that send Pongs and never log in."""
    return flood(port, encode(Pong(seq=9)), 200, logged_in=False)


def make_history(port: int, absent: int) -> list[Welcomed]:
    """Let so many members come and go, and then be said what the log can hold."""
    welcomes = []
    for number in range(absent):
        with Client(port) as client:
            welcomes.append(client.join(f"absent {number}"))
    with Client(port) as author:
        author.join("author")
        for number in range(HISTORY // LONG):
            author.send(message(bytes(LONG), number + 2))
            author.until(ACK)
    return welcomes


def histories(port: int, absent: list[Welcomed]) -> int:
    """All who are absent resume at once, and read 15 MiB each; how many bytes they read."""
    read = 0
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for welcome in absent:
            client = stack.enter_context(Client(port))
            client.send(login(welcome.user, ticket=welcome.ticket, position=welcome.position))
            selector.register(client.sock, selectors.EVENT_READ)
        until = time.monotonic() + 2 * SECONDS
        while time.monotonic() < until:
            for key, _ in selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(1 << 18)
                read += len(data)
                if not data:
                    selector.unregister(key.fileobj)
    return read


def resumes(port: int, absent: list[Welcomed]) -> int:
    """One member that resumes every 2 ms and never reads; how often it did."""
    [welcome] = absent
    with ExitStack() as stack:
        count, until = 0, time.monotonic() + SECONDS
        held: list[Client] = []
        while time.monotonic() < until:
            with suppress(OSError):
                client = stack.enter_context(Client(port))
                client.send(login(welcome.user, ticket=welcome.ticket, position=welcome.position))
                held.append(client)
                count += 1
            if len(held) > 200:
                held.pop(0).sock.close()
            time.sleep(0.002)
        return count


def failed_logins(port: int) -> int:
    """20 connections that ask for a name that is taken, again and again."""
    return flood(port, login("bob"), 20, logged_in=False)


def scrapes(port: int) -> int:
    """Somebody who asks for the metrics without a pause; how often."""
    count, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, HTTPException):
            connection.request("GET", "/metrics")
            connection.getresponse().read()
            count += 1
        connection.close()
    return count


STORMS: dict[str, tuple[Callable[..., int], int]] = {
    "pongs": (pongs, 0),
    "pings": (pings, 0),
    "pongs of strangers": (strangers_pongs, 0),
    "histories": (histories, 400),
    "resumes": (resumes, 1),
    "failed logins": (failed_logins, 0),
    "scrapes": (scrapes, 0),
}
"""Each storm, and how many members must be absent, with a history to be replayed."""
