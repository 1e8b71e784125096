"""Servers that share a room over a real Redis, and what can stand between them and it.

Rule: what fails is outside the servers: a process that is stopped or killed, a connection
that is cut.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

from tests.support.raw import MESSAGE, Bystander, said
from tests.support.redis import RedisServer
from tests.support.server import Running, launched, running

PATIENT = ("--log-timeout", "60")
"""A server that stops answering is taken for dead after one and a half of it: on a busy machine,
after more than any test lasts."""
QUICK = ("--log-timeout", "2")
"""For tests in which one is taken for dead."""


@contextmanager
def sharing(
    folder: Path, room: str, ports: Sequence[int], *options: str, failing: Sequence[str] = ()
) -> Iterator[list[Running]]:
    """Servers of one room, one for each of these ports of Redis.

    They ping nobody: a test need not read all the time.
    """
    with ExitStack() as stack:
        servers = []
        for number, port in enumerate(ports):
            (own := folder / f"{room} {number}").mkdir()
            shared = ("--log", f"redis://127.0.0.1:{port}/0", "--room", room, "--heartbeat", "0")
            words = (*shared, *PATIENT, *options)
            servers.append(stack.enter_context(running(own, *words, failing=failing)))
        yield servers


class Killable:
    """A server in a process that need not end well."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def kill(self) -> None:
        """As a crash."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Send SIGTERM and give the exit code."""
        self._process.terminate()
        return self._process.wait(600)


@contextmanager
def serving_room(folder: Path, engine: RedisServer, room: str, *options: str) -> Iterator[Killable]:
    """One server of a room, which the test may kill."""
    folder.mkdir()
    shared = ("--log", engine.url, "--room", room, "--heartbeat", "0", *options)
    with (folder / "server.log").open("wb") as log, launched(*shared, log=log) as server:
        yield Killable(server.process, server.port)


class Proxy:
    """Stands before a server, as Redis. `chance` is how often a reply of Redis is lost, with the
    connection."""

    def __init__(self, port: int, random: Random, chance: float) -> None:
        self.lost = 0
        self.leads_to = port
        """Where new connections go."""
        self._random = random
        self._chance = chance
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._refuses = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    if self._refuses:
                        raise ConnectionRefusedError
                    server = socket.create_connection(("127.0.0.1", self.leads_to))
                except ConnectionError:
                    client.close()
                    continue
                self._open += [client, server]
                for source, target, loses in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._carry, args=(source, target, loses), daemon=True
                    ).start()

    def _carry(self, source: socket.socket, target: socket.socket, loses: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                # The first word of a call's reply: not all of this one arrives.
                if loses and b"OK\r\n" in data and self._random.random() < self._chance:
                    self.lost += 1
                    target.sendall(data[: self._random.randrange(len(data))])
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Nobody gets through from now on."""
        self._refuses = True
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Connections are taken again."""
        self._refuses = False

    def close(self) -> None:
        self.cut()
        self._listener.close()


@contextmanager
def behind(engine: RedisServer, seed: int, chance: float = 0.0) -> Iterator[Proxy]:
    proxy = Proxy(engine.port, Random(seed), chance)
    try:
        yield proxy
    finally:
        proxy.close()


def contents(reader: Bystander, last: bytes) -> list[bytes]:
    """All that is said, up to and with this."""
    found: list[bytes] = []
    while not found or found[-1] != last:
        fact = reader.frame()
        if fact.type == MESSAGE:
            found.append(said(fact)[1])
    return found
