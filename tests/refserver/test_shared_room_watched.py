"""What an operator sees of servers that share a room: metrics, `refserver status`, the log."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.refserver.clients import REFSERVER
from tests.refserver.sharing import QUICK, behind, sharing
from tests.support.raw import (
    ACK,
    JOINED,
    PONG,
    Bystander,
    Client,
    logout,
    member,
    message,
    ping,
    short,
)
from tests.support.redis import RedisServer, needs_redis, redis_server
from tests.support.server import Running, when

from refserver.client.status import Samples, fetch
from refserver.server.metrics import SHARED_METRICS

pytest.importorskip("redis")
pytestmark = needs_redis

METRICS = ("--metrics", "0")


def until(server: Running, **wanted: float) -> Samples:
    """The figures, when these are at least so much."""

    def look() -> Samples | None:
        found = fetch(server.metrics)
        has_come = all(found[name][""] >= least for name, least in wanted.items())
        return found if has_come else None

    found = when(look)
    assert found is not None
    return found


def logged(server: Running, pattern: str) -> str:
    """What the log says at this place, when it says it; the first time."""
    return server.until_logged(pattern)[1]


def identity(server: Running) -> str:
    """The one that it is in the room under now."""
    return next(iter(fetch(server.metrics)["node"]))


@contextmanager
def standing(number: int) -> Iterator[None]:
    """This process stands still meanwhile."""
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


def test_a_server_with_a_shared_room_says_who_it_is_and_how_its_calls_go(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "seen", [engine.port] * 2, *METRICS) as (here, there),
        member(here.port, "ann") as ann,
    ):
        ann.send(*[message(b"x", 2 + each) for each in range(10)])
        ann.until(ACK, 11)
        figures = fetch(here.metrics)
        status = subprocess.run(
            [REFSERVER, "status", str(here.metrics)], capture_output=True, text=True, timeout=600
        )

        place = f'url="{engine.url}" room="seen" node="([0-9a-f]{{32}})"'
        assert list(figures["node"]) == [logged(here, place)]
        assert identity(there) == logged(there, place) != identity(here)

    assert figures["engine_calls"][""] >= 2
    assert figures["engine_call_seconds"][""] > 0
    for none in ("away_seconds", "repeats", "reconnects", "fencings", "losses", "lag_entries"):
        assert figures[f"engine_{none}"][""] == 0
    rows = [line.split("\t") for line in status.stdout.splitlines()]
    for metric in SHARED_METRICS:
        assert metric.meaning in [row[2] for row in rows]


@pytest.mark.measured_processes
def test_calls_that_are_made_again_are_counted_and_logged(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        behind(engine, seed=5, chance=0.2) as proxy,
        sharing(tmp_path, "again", [proxy.port], *METRICS) as (here,),
        Client(here.port) as ann,
    ):
        ann.join("ann")
        number = 1
        while proxy.lost < 5:  # a Ping makes no record: only an answer says that it has come
            number += 1
            ann.send(ping(number))
            ann.until(PONG)
        repeats = here.log.count(" engine repeats=")
        until(here, engine_repeats=repeats, engine_reconnects=repeats)

    assert repeats > 0


def test_while_the_engine_is_away_the_figures_say_for_how_long_and_what_waits(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as engine,
        sharing(tmp_path, "away", [engine.port], *METRICS, "--max-frame", "2097152") as (here,),
        member(here.port, "ann") as ann,
    ):
        with standing(engine.process.pid):
            ann.send(*[message(bytes(1 << 20), 2 + each) for each in range(10)])
            assert int(logged(here, r"engine unplaced_bytes=(\d+)")) >= 8 << 20
            figures = until(here, engine_away_seconds=1, engine_unplaced_bytes=8 << 20)
            assert figures["engine_calls_in_flight"][""] == 1
            logged(here, "(engine away=)")
        ann.until(ACK, 11)
        assert float(logged(here, r"engine back_after=([0-9.]+)")) >= 1
        when(lambda: not fetch(here.metrics)["engine_away_seconds"][""])


def test_a_logout_whose_connection_is_lost_while_the_engine_is_away_takes_its_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as engine,
        sharing(tmp_path, "gone", [engine.port], *METRICS) as (here,),
        Bystander(here.port, "eve") as eve,
    ):
        alone = here.descriptors
        ann = Client(here.port)
        ann.join("ann")
        assert [each.type for each in eve.facts()] == [JOINED]
        with standing(engine.process.pid):
            received = fetch(here.metrics)["events_received"][""]
            ann.send(logout(2))
            until(here, events_received=received + 1)
            ann.reset()
            when(lambda: here.descriptors <= alone)

        assert eve.until_left("ann")[-1].body == short("ann") + b"\0"
        assert eve.facts() == []


def test_a_server_that_stood_still_too_long_and_those_who_did_not_say_so(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "fenced", [engine.port] * 2, *QUICK, *METRICS) as (here, there),
        member(here.port, "ann"),
        Bystander(there.port, "eve") as eve,
    ):
        first = identity(here)
        with standing(here.pid):
            eve.until_left("ann")
        assert logged(there, r'engine dead="([0-9a-f]+)"') == first
        logged(here, '(engine ended="fenced")')
        figures = until(here, engine_fencings=1)

        assert figures["engine_losses"][""] == 0
        assert first not in figures["node"]
        assert fetch(there.metrics)["engine_fencings"][""] == 0


def test_an_engine_that_has_lost_the_room_is_counted_and_logged_by_all(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as engine,
        sharing(tmp_path, "lost", [engine.port] * 2, *METRICS) as servers,
    ):
        engine.kill()
        engine.start()
        for server in servers:
            logged(server, '(engine ended="lost")')
            assert until(server, engine_losses=1)["engine_fencings"][""] == 0
