"""What hostile clients do to a server in a process of its own, and how long others wait meanwhile.

Rule: a storm is bounded in time, talks to loopback alone, and says how much of it arrived.

The server writes its log as usual. One bystander asks for Pongs, and again and again a newcomer
logs in; both are in this process, the storm is in another.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from tests.support.raw import ACK, PONG, Bystander, Client, Welcomed, login, message, ping
from tests.support.server import Running, running

from eventcodec import Pong, encode

SECONDS = 4.0
CHUNK = 1 << 16
HISTORY = 15 << 20
LONG = 60_000
PAUSE = 0.002
"""Seconds between a Pong and the next Ping of the bystander."""
PINGS_A_LOGIN = 10
"""After so many Pings a newcomer logs in."""
OPTIONS = ("--heartbeat", "0", "--metrics", "0", "--logins", "0")
"""The newcomers and the storm have one address, so its logins have no limit."""


def flood(port: int, seconds: float, frame: bytes, members: int, logged_in: bool = True) -> int:
    """So many connections that send one frame without end; how many bytes were taken."""
    sent, data = 0, frame * (CHUNK // len(frame))
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(members):
            client = stack.enter_context(Client(port))
            if logged_in:
                client.join()
            client.sock.setblocking(False)
            selector.register(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        until = time.monotonic() + seconds
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


def pongs(port: int, seconds: float) -> int:
    """300 members that send Pongs."""
    return flood(port, seconds, encode(Pong(seq=9)), 300)


def pings(port: int, seconds: float) -> int:
    """300 members that send Pings, and read the answers."""
    return flood(port, seconds, ping(9), 300)


def strangers_pongs(port: int, seconds: float) -> int:
    """200 connections that send Pongs and never log in."""
    return flood(port, seconds, encode(Pong(seq=9)), 200, logged_in=False)


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


def histories(port: int, seconds: float, absent: list[Welcomed]) -> int:
    """All who are absent resume at once, and read 15 MiB each; how many bytes they read."""
    read = 0
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for welcome in absent:
            client = stack.enter_context(Client(port))
            client.send(login(welcome.user, ticket=welcome.ticket, position=welcome.position))
            selector.register(client.sock, selectors.EVENT_READ)
        until = time.monotonic() + 2 * seconds
        while time.monotonic() < until:
            for key, _ in selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(1 << 18)
                read += len(data)
                if not data:
                    selector.unregister(key.fileobj)
    return read


def resumes(port: int, seconds: float, absent: list[Welcomed]) -> int:
    """One member that resumes every 2 ms and never reads; how often it did."""
    [welcome] = absent
    with ExitStack() as stack:
        count, until = 0, time.monotonic() + seconds
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


def failed_logins(port: int, seconds: float) -> int:
    """20 connections that ask for a name that is taken, again and again."""
    return flood(port, seconds, login("bob"), 20, logged_in=False)


def scrapes(port: int, seconds: float) -> int:
    """Somebody who asks for the metrics without a pause; how often."""
    count, until = 0, time.monotonic() + seconds
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


# ---------------------------------------------------------------- who waits


class Wait(NamedTuple):
    """Seconds that an answer took, and how many of them the server computed."""

    lasted: float
    computed: float


class Waits(NamedTuple):
    """How long a bystander waited for each Pong and each newcomer for its Welcome."""

    arrived: int
    pongs: list[Wait]
    welcomes: list[Wait]


def waits_in(storm: str, folder: Path, seconds: float = SECONDS) -> Waits:
    """Serve, let this storm loose for so long, and measure until it is over.

    Every newcomer must get in.
    """
    context = multiprocessing.get_context("spawn")
    with (
        running(folder, *OPTIONS, dev=False) as server,
        ProcessPoolExecutor(1, context) as elsewhere,
    ):
        rage, absent = STORMS[storm]
        history = [make_history(server.port, absent)] if absent else []
        port = metrics_port(server) if storm == "scrapes" else server.port
        with Bystander(server.port, "bob") as bob:
            return _measured(bob, elsewhere.submit(rage, port, seconds, *history), server)


def _measured(bob: Bystander, done: Future[int], server: Running) -> Waits:
    pongs: list[Wait] = []
    welcomes: list[Wait] = []
    while not done.done() or not welcomes:
        for _ in range(PINGS_A_LOGIN):
            pongs.append(_timed(server, lambda: _ask(bob, len(pongs) + 2)))
            time.sleep(PAUSE)
        welcomes.append(_timed(server, lambda: _log_in(server.port)))
    return Waits(done.result(), pongs, welcomes)


def _timed(server: Running, ask: Callable[[], object]) -> Wait:
    began, computed = time.perf_counter(), processor_time(server)
    ask()
    return Wait(time.perf_counter() - began, processor_time(server) - computed)


def _ask(bob: Bystander, seq: int) -> None:
    bob.send(ping(seq))
    bob.until(PONG, seq)


def _log_in(port: int) -> None:
    with Client(port) as newcomer:
        newcomer.join()


def processor_time(server: Running) -> float:
    """Seconds that the process has computed."""
    return int(Path(f"/proc/{server.pid}/schedstat").read_text().split()[0]) / 1e9


def metrics_port(server: Running) -> int:
    """Where the metrics of this server are served."""
    sockets = {
        match[1]
        for each in os.listdir(f"/proc/{server.pid}/fd")
        if (match := re.match(r"socket:\[(\d+)\]", _link(server.pid, each)))
    }
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        port = int(fields[1].split(":")[1], 16)
        if fields[3] == "0A" and fields[9] in sockets and port != server.port:
            return port
    raise AssertionError("the metrics are served nowhere")


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{name}")
    except OSError:
        return ""
