"""Clients that have one name for all servers of a room, and servers that come and go under load."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.refserver.sharing import QUICK, Killable, Proxy, contents, serving_room, sharing
from tests.support.raw import ACK, LEFT, MESSAGE, Bystander, Client, member, message, said
from tests.support.redis import RedisServer, needs_redis

from refserver.client.blocking import connect

redis = pytest.importorskip("redis")
pytestmark = needs_redis

NAME = "room.test"
WRITERS = 5


@contextmanager
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The ports of this machine that are behind `NAME` by now, in the order in which they are
    tried."""
    ports: list[int] = []
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, *others: Any, **more: Any) -> Any:
        if host != NAME:
            return original(host, *others, **more)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
            for port in ports
        ]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield ports


class Writer(threading.Thread):
    """Says numbered lines, each exactly once, until it is told to stop."""

    def __init__(self, user: str) -> None:
        super().__init__(daemon=True)
        self.user = user
        self.positions: list[int] = []
        self.said = threading.Semaphore(0)
        self.stops = threading.Event()
        self.start()

    def run(self) -> None:
        with connect(NAME, 1, user=self.user, listen=False) as room:
            while not self.stops.is_set():
                self.positions.append(room.say(f"{self.user} {len(self.positions)}"))
                self.said.release()

    def goes_on(self, count: int) -> None:
        """Returns when it has said so much more."""
        for _ in range(count):
            assert self.said.acquire(timeout=600)


def under_load(
    reader: Bystander, between: Sequence[Callable[[], object]], count: int
) -> dict[int, tuple[str, bytes]]:
    """Writers say something before, between and after these. All of it is read, each line once.

    Returns who said what, by its position.
    """
    writers = [Writer(f"writer {each}") for each in range(WRITERS)]
    steps: list[Callable[[], object]] = [*between, lambda: None]
    for happens in steps:
        for writer in writers:
            writer.goes_on(count)
        happens()
    for writer in writers:
        writer.goes_on(count)
        writer.stops.set()
    for writer in writers:
        writer.join(600)
        assert not writer.is_alive()

    wanted = {
        position: (writer.user, b"%s %d" % (writer.user.encode(), number))
        for writer in writers
        for number, position in enumerate(writer.positions)
    }
    told: dict[int, tuple[str, bytes]] = {}
    while len(told) < len(wanted):
        fact = reader.frame()
        if fact.type == MESSAGE:
            told[fact.seq] = said(fact)
    assert told == wanted, "lost, doubled, or in another place than the Ack said"
    return told


@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_server_that_is_killed_under_load_loses_nothing_that_was_acknowledged(
    tmp_path: Path, engine: RedisServer, monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    with (
        named(monkeypatch) as ports,
        serving_room(tmp_path / "a", engine, f"killed {victim}", *QUICK) as one,
        serving_room(tmp_path / "b", engine, f"killed {victim}", *QUICK) as other,
    ):
        victims, stays = [one, other][victim], [one, other][1 - victim]
        ports[:] = [victims.port, stays.port]
        with Bystander(stays.port, "eve") as eve:
            under_load(eve, [lambda: victims.kill()], 20)


@pytest.mark.slow
def test_servers_that_are_replaced_one_by_one_under_load_lose_and_double_nothing(
    tmp_path: Path, engine: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(name: str) -> AbstractContextManager[Killable]:
        return serving_room(tmp_path / name, engine, "rolling")

    with named(monkeypatch) as ports, ExitStack() as stack:
        servers = [stack.enter_context(serve(f"old {each}")) for each in range(3)]
        ports[:] = [server.port for server in servers]
        last = stack.enter_context(serve("last"))

        def replace(each: int) -> None:
            ports.append(stack.enter_context(serve(f"new {each}")).port)
            ports.remove(servers[each].port)
            assert servers[each].stop() == 0

        with Bystander(last.port, "eve") as eve:
            under_load(eve, [partial(replace, each) for each in range(3)], 100)


@pytest.mark.parametrize("crowd", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.unmeasured
def test_members_of_three_servers_read_one_sequence_while_authors_move_between_them(
    tmp_path: Path, engine: RedisServer, monkeypatch: pytest.MonkeyPatch, crowd: int
) -> None:
    with (
        named(monkeypatch) as ports,
        sharing(tmp_path, f"many {crowd}", [engine.port] * 3) as servers,
        ExitStack() as stack,
    ):
        proxies = [Proxy(server.port, Random(0), 0.0) for server in servers]
        for proxy in proxies:
            stack.callback(proxy.close)
        ports[:] = [proxy.port for proxy in proxies]
        readers = [
            stack.enter_context(Bystander(server.port)) for server in servers for _ in range(crowd)
        ]

        def move(each: int) -> None:
            """Cut off everybody whose server this is; they go on at the next."""
            proxies[each].cut()
            ports.append(ports.pop(0))
            proxies[each].mend()

        first, *others = readers
        told = under_load(first, [partial(move, each % 3) for each in range(crowd)], crowd)
        for reader in others:
            heard: dict[int, tuple[str, bytes]] = {}
            while len(heard) < len(told):
                fact = reader.frame()
                if fact.type == MESSAGE:
                    heard[fact.seq] = said(fact)
            assert heard == told


HOUR = 3_600_000


def test_a_clock_of_the_engine_that_jumps_by_an_hour_costs_nobody_a_lease(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "clocks", [engine.port] * 2) as (here, there),
        Client(here.port) as ann,
        Bystander(there.port, "eve") as eve,
        redis.Redis(port=engine.port) as keys,
    ):
        ann.join("ann")
        for number in range(40):  # what the room takes for the last time of the engine
            keys.hincrby("{clocks}:room", "at", HOUR if number % 2 else -HOUR)
            ann.send(message(b"m%d" % number, 2 + number))
            ann.until(ACK)

        assert contents(eve, b"m39") == [b"m%d" % number for number in range(40)]
        for server in (here, there):
            assert "dead=" not in server.log and "ended=" not in server.log


@pytest.mark.slow
def test_a_server_that_is_stopped_until_its_stretch_of_the_stream_is_trimmed_ends_its_members(
    tmp_path: Path, engine: RedisServer
) -> None:
    large = 1 << 20
    with (
        sharing(tmp_path, "trimmed", [engine.port] * 2, "--max-frame", str(2 * large)) as (
            here,
            there,
        ),
        member(here.port, "ann") as ann,
        Client(there.port) as bob,
    ):
        bob.join("bob")
        os.kill(here.pid, signal.SIGSTOP)
        try:
            for number in range(100):  # 16 MiB of history, and 64 MiB for a server that lags
                bob.send(message(bytes(large), 2 + number))
                bob.until(ACK)
        finally:
            os.kill(here.pid, signal.SIGCONT)

        ann.sock.settimeout(600)
        with suppress(ConnectionResetError):
            while ann.sock.recv(1 << 20):
                pass
        came = False
        while not came:  # it goes on under a new identity
            with Client(here.port) as again, suppress(AssertionError, OSError):
                again.join("joe")
                came = True
        assert any(each.type == LEFT for each in bob.until(LEFT))
        assert 'ended="fenced"' in here.log
