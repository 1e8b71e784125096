"""What is between a server and its Redis fails: nothing is lost, and nothing doubled."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from tests.refserver.sharing import Proxy, behind, contents, sharing
from tests.support.raw import (
    ACK,
    ERROR,
    JOINED,
    LEFT,
    MESSAGE,
    PONG,
    UNAVAILABLE,
    USER_TAKEN,
    WELCOME,
    Bystander,
    Client,
    ErrorReply,
    Frame,
    acked,
    error_of,
    login,
    message,
    ping,
    said,
)
from tests.support.redis import RedisServer, needs_redis, redis_server
from tests.support.server import GLANCE, Running, when

from refserver.client.status import fetch

redis = pytest.importorskip("redis")
pytestmark = needs_redis

METRICS = ("--metrics", "0")
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
SLOWLY = ("--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
"""Redis loads ten keys a second. It answers after each one of more than 1,024 bytes."""


def lose_replies(tmp_path: Path, engine: RedisServer, count: int) -> None:
    with (
        behind(engine, seed=5, chance=0.2) as proxy,
        sharing(tmp_path, f"lost-{count}", [proxy.port, engine.port]) as (here, there),
        Client(here.port) as ann,
        Bystander(there.port, "eve") as eve,
    ):
        ann.join("ann")
        number = 0
        while proxy.lost < count and number < 50 * count:
            number += 1
            ann.send(message(b"m%d" % number, 1 + number))
            assert acked(ann.until(ACK)[-1])
        ann.send(message(b"last", 2 + number))

        assert proxy.lost >= count
        expected = [b"m%d" % each for each in range(1, number + 1)] + [b"last"]
        assert contents(eve, b"last") == expected


def test_a_call_whose_reply_is_lost_is_carried_out_once(
    tmp_path: Path, engine: RedisServer
) -> None:
    lose_replies(tmp_path, engine, 20)


@pytest.mark.slow
def test_two_hundred_calls_whose_reply_is_lost_are_carried_out_once_each(
    tmp_path: Path, engine: RedisServer
) -> None:
    lose_replies(tmp_path, engine, 200)


@dataclass
class Talk:
    """Ann and bob say something on two servers; a reader on each hears it."""

    link: Proxy
    """Between ann's server and the engine."""
    here: Running
    ann: Client
    bob: Client
    readers: tuple[Bystander, Bystander]
    said: int = 0
    """Messages of each author."""

    def say(self, until: int) -> None:
        """Send up to the message of this number, of each author."""
        for each in range(self.said, until):
            self.ann.send(message(b"a%d" % each, 2 + each))
            self.bob.send(message(b"b%d" % each, 2 + each))
        self.said = max(self.said, until)

    def check(self) -> None:
        """Both readers have the same, and in it all of each author in its order."""
        self.ann.send(message(b"last", 2 + self.said))
        one, other = (contents(reader, b"last") for reader in self.readers)
        assert one == other
        for who in (b"a", b"b"):
            own = [each for each in one if each.startswith(who)]
            assert own == [who + b"%d" % each for each in range(self.said)]


@contextmanager
def talking(tmp_path: Path, engine: RedisServer, room: str, *options: str) -> Iterator[Talk]:
    with (
        behind(engine, seed=1) as link,
        sharing(tmp_path, room, [link.port, engine.port], *options) as (here, there),
        Client(here.port) as ann,
        Client(there.port) as bob,
        Bystander(here.port, "eve") as eve,
        Bystander(there.port, "joe") as joe,
    ):
        ann.join("ann")
        bob.join("bob")
        yield Talk(link, here, ann, bob, (eve, joe))


def test_a_link_that_is_cut_under_load_loses_and_doubles_nothing(
    tmp_path: Path, engine: RedisServer
) -> None:
    with talking(tmp_path, engine, "cut") as talk:
        talk.say(100)
        talk.link.cut()
        talk.say(300)
        talk.bob.until(ACK, 301)
        talk.link.mend()
        talk.ann.until(ACK, 301)

        talk.check()


RATE = 1_000
"""Messages a second of each author."""


@pytest.mark.slow
def test_a_link_that_is_cut_for_two_seconds_at_full_rate_loses_and_doubles_nothing(
    tmp_path: Path, engine: RedisServer
) -> None:
    with talking(tmp_path, engine, "rate", *METRICS) as talk:
        talk.say(RATE)
        talk.ann.until(ACK, RATE + 1)
        talk.link.cut()
        away = 0.0
        while away < 3:  # since its last answer, which came up to a second before the cut
            away = fetch(talk.here.metrics)["engine_away_seconds"][""]
            talk.say(RATE + int(RATE * away))
        assert talk.said > 2 * RATE
        talk.link.mend()
        talk.say(talk.said + RATE)
        for client in (talk.ann, talk.bob):
            client.until(ACK, talk.said + 1)

        talk.check()


UNWILLING = {
    "it has no memory left": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "memory"),
    "it is a replica by now": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "replica"),
    "it has forgotten the scripts": ("SCRIPT FLUSH", "PING", ""),
    "it ends all connections": ("CLIENT KILL TYPE normal", "PING", "engine away="),
}
"""What is done to the engine, how it is undone, and what the log says meanwhile."""


@pytest.mark.parametrize("what", list(UNWILLING))
@pytest.mark.unmeasured
def test_what_an_engine_refuses_is_asked_again_until_it_does_it(
    tmp_path: Path, engine: RedisServer, what: str
) -> None:
    done, undone, told = UNWILLING[what]
    with (
        sharing(tmp_path, "refused", [engine.port] * 2) as (here, there),
        Client(here.port) as ann,
        Bystander(there.port, "eve") as eve,
        redis.Redis(port=engine.port) as asks,
    ):
        ann.join("ann")
        ann.send(message(b"before", 2))
        ann.until(ACK)
        asks.execute_command(*done.split())
        try:
            ann.send(message(b"meanwhile", 3))
            here.until_logged(re.escape(told))
        finally:
            redis.Redis(port=engine.port).execute_command(*undone.split())
        ann.until(ACK)
        ann.send(message(b"after", 4))
        ann.until(ACK)

        assert contents(eve, b"after") == [b"before", b"meanwhile", b"after"]


@pytest.mark.slow
def test_an_engine_that_is_still_loading_its_data_is_asked_again_until_it_has_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis", *DURABLE) as engine,
        sharing(tmp_path, "loading", [engine.port] * 2) as (here, there),
        Client(here.port) as ann,
        Bystander(there.port, "eve") as eve,
        redis.Redis(port=engine.port) as asks,
    ):
        ann.join("ann")
        ann.send(message(b"before", 2))
        ann.until(ACK)
        asks.mset({f"other {each}": Random(each).randbytes(2_000) for each in range(500)})
        asks.bgrewriteaof()  # what is in its file as data, Redis loads key by key
        when(lambda: not asks.info("persistence")["aof_rewrite_in_progress"])
        engine.kill()
        engine.launch(*SLOWLY)
        ann.send(message(b"meanwhile", 3))
        for server in (here, there):
            server.until_logged("loading the dataset")
        redis.Redis(port=engine.port).config_set("key-load-delay", 0)
        ann.until(ACK)

        assert contents(eve, b"meanwhile") == [b"before", b"meanwhile"]
        for server in (here, there):
            assert "ended=" not in server.log and "dead=" not in server.log


MANY = pytest.mark.parametrize("races", [20, pytest.param(1_000, marks=pytest.mark.slow)])


@MANY
def test_of_two_servers_that_are_asked_for_one_name_at_once_one_gives_it(
    tmp_path: Path, engine: RedisServer, races: int
) -> None:
    with sharing(tmp_path, f"race {races}", [engine.port, engine.port]) as (here, there):
        for each in range(races):
            name = f"name {each}"
            with Client(here.port) as one, Client(there.port) as other:
                for client in (one, other):
                    client.send(login(name))
                replies = [one.frame(), other.frame()]
            assert sorted(reply.type for reply in replies) == [ERROR, WELCOME]
            assert [error_of(reply).code for reply in replies if reply.type == ERROR] == [
                USER_TAKEN
            ]


def holds(client: Client) -> bool:
    """Whether a session is this connection's; if not, it was told so."""
    with suppress(OSError):
        client.send(ping(9))
    while (frame := client.frame()).type not in (PONG, ERROR):
        pass
    if frame.type == ERROR:
        assert error_of(frame) == ErrorReply(0, USER_TAKEN)
    return frame.type == PONG


@MANY
def test_of_two_servers_that_are_asked_for_one_session_at_once_one_has_it_at_the_end(
    tmp_path: Path, engine: RedisServer, races: int
) -> None:
    with (
        sharing(tmp_path, f"resumes {races}", [engine.port, engine.port]) as (here, there),
        Bystander(there.port, "eve") as eve,
    ):
        for each in range(races):
            name = f"name {each}"
            with Client(here.port) as first:
                ticket = first.join(name)
            with Client(here.port) as one, Client(there.port) as other:
                again = login(name, ticket=ticket.ticket, position=ticket.position)
                for client in (one, other):
                    client.send(again)
                came = 0
                while came < 3:
                    came += eve.frame().type == JOINED
                assert sorted([holds(one), holds(other)]) == [False, True]
            while eve.frame().type != LEFT:
                pass


def test_an_engine_that_stands_still_costs_a_pause_and_nobodys_lease(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "still", [engine.port, engine.port]) as (here, there),
        Client(here.port) as ann,
        Bystander(there.port, "eve") as eve,
    ):
        ann.join("ann")
        os.kill(engine.process.pid, signal.SIGSTOP)
        ann.send(*[message(b"m%d" % each, 2 + each) for each in range(100)])
        ann.sock.settimeout(4)
        with pytest.raises(TimeoutError):
            ann.until(ACK)
        os.kill(engine.process.pid, signal.SIGCONT)
        ann.sock.settimeout(600)
        ann.until(ACK, 101)

        assert contents(eve, b"m99") == [b"m%d" % each for each in range(100)]


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "is_killed"), [(15, False), (30, True)])
def test_an_engine_that_is_away_for_long_acknowledges_nothing_and_costs_nobodys_lease(
    tmp_path: Path, seconds: int, is_killed: bool
) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis", *DURABLE) as engine,
        sharing(tmp_path, "long", [engine.port] * 2, "--log-timeout", "10", *METRICS) as servers,
        Client(servers[0].port) as ann,
        Client(servers[1].port) as eve,
    ):
        tickets = {"ann": ann.join("ann"), "eve": eve.join("eve")}
        memory = [server.memory for server in servers]
        if is_killed:
            engine.kill()
        else:
            os.kill(engine.process.pid, signal.SIGSTOP)
        ann.send(*[message(b"m%d" % each, 2 + each) for each in range(100)])
        for server in servers:
            while fetch(server.metrics)["engine_away_seconds"][""] < seconds:
                assert server.memory < max(memory) + (8 << 20)
                time.sleep(GLANCE)
        if is_killed:
            engine.start()
        else:
            os.kill(engine.process.pid, signal.SIGCONT)

        assert [each.type for each in ann.rest()] == [JOINED], "nobody knows what became of it"
        assert error_of(eve.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        told = []
        for server, (user, welcome) in zip(reversed(servers), tickets.items(), strict=True):
            found: list[Frame] = []
            while not found or found[0].type != WELCOME:  # it is told UNAVAILABLE until then
                with Client(server.port) as again:
                    again.send(login(user, ticket=welcome.ticket, position=2), ping(2))
                    with suppress(EOFError):
                        found = again.until(PONG)
            told.append([said(each)[1] for each in found if each.type == MESSAGE])
        assert told[0] == told[1]
        assert told[0] == [b"m%d" % each for each in range(len(told[0]))], "a run, or a part of it"
        for server in servers:
            assert "dead=" not in server.log and "ended=" not in server.log
