"""What is between a server and its Redis fails: nothing is lost, and nothing doubled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.refserver.sharing import behind, contents, sharing
from tests.support.raw import (
    ACK,
    ERROR,
    USER_TAKEN,
    WELCOME,
    Bystander,
    Client,
    acked,
    error_of,
    login,
    message,
)
from tests.support.redis import RedisServer, needs_redis

redis = pytest.importorskip("redis")
pytestmark = needs_redis


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


def test_a_link_that_is_cut_under_load_loses_and_doubles_nothing(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        behind(engine, seed=1) as proxy,
        sharing(tmp_path, "cut", [proxy.port, engine.port]) as (here, there),
        Client(here.port) as ann,
        Client(there.port) as bob,
        Bystander(here.port, "eve") as eve,
        Bystander(there.port, "joe") as joe,
    ):
        ann.join("ann")
        bob.join("bob")
        for each in range(300):
            if each == 100:
                proxy.cut()
            ann.send(message(b"a%d" % each, 2 + each))
            bob.send(message(b"b%d" % each, 2 + each))
        bob.until(ACK, 301)
        proxy.mend()
        ann.until(ACK, 301)
        ann.send(message(b"last", 400))

        received = [contents(reader, b"last") for reader in (eve, joe)]
        assert received[0] == received[1]
        for who in (b"a", b"b"):
            own = [each for each in received[0] if each.startswith(who)]
            assert own == [who + b"%d" % each for each in range(300)]


UNWILLING = {
    "it has no memory left": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "memory"),
    "it is a replica by now": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "replica"),
    "it has forgotten the scripts": ("SCRIPT FLUSH", "PING", ""),
    "it ends all connections": ("CLIENT KILL TYPE normal", "PING", "engine away="),
}
"""What is done to the engine, how it is undone, and what the log says meanwhile."""


@pytest.mark.parametrize("what", list(UNWILLING))
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
            while told not in here.log:
                assert here.process.poll() is None
        finally:
            redis.Redis(port=engine.port).execute_command(*undone.split())
        ann.until(ACK)
        ann.send(message(b"after", 4))
        ann.until(ACK)

        assert contents(eve, b"after") == [b"before", b"meanwhile", b"after"]


def test_of_two_servers_that_are_asked_for_one_name_at_once_one_gives_it(
    tmp_path: Path, engine: RedisServer
) -> None:
    with sharing(tmp_path, "race", [engine.port, engine.port]) as (here, there):
        for each in range(50):
            name = f"name {each}"
            with Client(here.port) as one, Client(there.port) as other:
                for client in (one, other):
                    client.send(login(name))
                replies = [one.frame(), other.frame()]
            assert sorted(reply.type for reply in replies) == [ERROR, WELCOME]
            assert [error_of(reply).code for reply in replies if reply.type == ERROR] == [
                USER_TAKEN
            ]


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
        ann.sock.settimeout(30)
        ann.until(ACK, 101)

        assert contents(eve, b"m99") == [b"m%d" % each for each in range(100)]
