"""Redis fails over to a replica, and the servers of a room follow it: what is lost is noticed.

Rule: the replica is a real one, and is promoted as an operator or Sentinel does it. Each server
reaches Redis through a proxy, which then leads to the replica.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from tests.refserver.sharing import QUICK, Proxy, contents, sharing
from tests.support.raw import (
    ACK,
    HISTORY_GONE,
    UNAVAILABLE,
    WELCOME,
    Bystander,
    Client,
    ErrorReply,
    Welcomed,
    error_of,
    login,
    member,
    message,
)
from tests.support.redis import RedisServer, needs_redis, redis_server
from tests.support.server import Running, when

redis = pytest.importorskip("redis")
pytestmark = needs_redis


@dataclass
class Pair:
    """A Redis and its replica. Servers reach the first one until they are led to the other one."""

    first: RedisServer
    replica: RedisServer
    link: Proxy
    """Between the two."""
    ways: list[Proxy]
    """One for each server."""

    @property
    def ports(self) -> list[int]:
        return [way.port for way in self.ways]

    def copied(self) -> None:
        """Returns when the replica has all that was written."""
        with redis.Redis(port=self.first.port) as asks:
            asks.set("copied", 1)  # WAIT waits for what its own connection has written
            assert asks.wait(1, 600_000) == 1

    def is_left(self) -> None:
        """Returns when the first Redis has done all that the servers asked on ways that are cut."""
        with redis.Redis(port=self.first.port) as asks:
            when(lambda: len(asks.client_list(_type="normal")) == 1)

    def promote(self) -> None:
        """The replica is a Redis of its own from now on."""
        with redis.Redis(port=self.replica.port) as asks:
            asks.replicaof("NO", "ONE")

    def lead(self, way: Proxy) -> None:
        """This way leads to the replica from now on."""
        way.leads_to = self.replica.port
        way.cut()
        way.mend()


@contextmanager
def replicated(folder: Path) -> Iterator[Pair]:
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")
    with ExitStack() as stack:
        for name in ("first", "replica"):
            (folder / name).mkdir()
        first = stack.enter_context(redis_server(folder / "first", *durable))
        link, *ways = (Proxy(first.port, Random(0), 0.0) for _ in range(3))
        for proxy in (link, *ways):
            stack.callback(proxy.close)
        of = ("--replicaof", f"127.0.0.1 {link.port}")
        replica = stack.enter_context(redis_server(folder / "replica", *durable, *of))
        pair = Pair(first, replica, link, ways)
        with redis.Redis(port=first.port) as asks:
            when(lambda: asks.info("replication")["connected_slaves"])
        yield pair


def is_known(server: Running, user: str, ticket: Welcomed) -> bool:
    """Whether the server continues this session. It says so when it is in the room again."""
    while True:
        with Client(server.port) as again:
            again.send(login(user, ticket=ticket.ticket, position=ticket.position))
            reply = again.frame()
        if reply.type == WELCOME:
            return True
        if error_of(reply).code == HISTORY_GONE:
            return False
        assert error_of(reply).code == UNAVAILABLE


def test_a_failover_to_a_replica_that_has_everything_is_a_pause(tmp_path: Path) -> None:
    with (
        replicated(tmp_path) as pair,
        sharing(tmp_path, "whole", pair.ports) as servers,
        Client(servers[0].port) as ann,
        Bystander(servers[1].port, "eve") as eve,
    ):
        ann.join("ann")
        ann.send(*[message(b"m%d" % each, 2 + each) for each in range(100)])
        ann.until(ACK, 101)
        for server in servers:  # so that neither makes a call which only the first one gets
            server.signal(signal.SIGSTOP)
        try:
            for way in pair.ways:
                way.cut()
            pair.is_left()
            pair.copied()
            pair.first.kill()
            pair.promote()
            ann.send(message(b"m100", 102))
        finally:
            for server in servers:
                server.signal(signal.SIGCONT)
        for way in pair.ways:
            pair.lead(way)
        ann.until(ACK, 102)

        assert contents(eve, b"m100") == [b"m%d" % each for each in range(101)]
        for server in servers:
            assert "away=" in server.log and "ended=" not in server.log


def test_a_failover_that_loses_what_was_acknowledged_ends_everybody(tmp_path: Path) -> None:
    with (
        replicated(tmp_path) as pair,
        sharing(tmp_path, "lost", pair.ports) as servers,
        Client(servers[0].port) as ann,
        Client(servers[1].port) as eve,
    ):
        tickets = {"ann": ann.join("ann"), "eve": eve.join("eve")}
        pair.copied()
        pair.link.cut()
        ann.send(message(b"lost", 2))
        ann.until(ACK)
        pair.promote()
        pair.first.kill()
        for way in pair.ways:
            pair.lead(way)

        for client in (ann, eve):
            assert error_of(client.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        for server in servers:
            for user, ticket in tickets.items():
                assert not is_known(server, user, ticket)
            assert 'ended="lost"' in server.log
        with member(servers[0].port, "ann"), Bystander(servers[1].port, "eve") as again:
            assert again.place == 2, "the room has begun anew"


@pytest.mark.slow
def test_two_halves_of_a_room_on_two_redis_end_when_they_meet_again(tmp_path: Path) -> None:
    with (
        replicated(tmp_path) as pair,
        sharing(tmp_path, "halves", pair.ports, *QUICK) as (here, there),
        Client(here.port) as ann,
        Client(there.port) as eve,
    ):
        tickets = {"ann": ann.join("ann"), "eve": eve.join("eve")}
        pair.copied()
        pair.link.cut()
        pair.promote()
        pair.lead(pair.ways[1])
        ann.send(message(b"of one half", 2))
        ann.until(ACK)
        assert error_of(eve.rest()[-1]) == ErrorReply(0, UNAVAILABLE), (
            "its Redis waits for the other"
        )
        assert is_known(there, "eve", tickets["eve"]), "the lease of the other one is over"
        with Client(there.port) as joe:
            tickets["joe"] = joe.join("joe")
            joe.send(*[message(b"of the other half", 2 + each) for each in range(10)])
            joe.until(ACK, 11)
            pair.first.kill()
            pair.lead(pair.ways[0])

            for client in (ann, joe):
                assert error_of(client.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        for server in (here, there):
            for user, ticket in tickets.items():
                assert not is_known(server, user, ticket)
            assert 'ended="lost"' in server.log
