"""Thousands who are silent, who drip, who all talk at once: what the others notice of them.

Rule: the ordinary forms count and have no clock of their own; the full ones, with
`tox -e soak`, read it and print what they have measured (`-- -rP`).
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest
from tests.refserver.bare_room import BareRoom, code_of
from tests.refserver.crowd import GO, crowd, drip, keep_quiet, talk
from tests.refserver.storms import processor_time
from tests.support.raw import (
    ACK,
    JOINED,
    MESSAGE,
    PONG,
    TIMEOUT,
    Bystander,
    Client,
    ErrorReply,
    Frame,
    Frames,
    acked,
    frame,
    login,
    message,
    ping,
    said,
    short,
)
from tests.support.server import Running, running
from tests.support.stopped import hosting

from eventcodec import ErrorCode
from refserver.server import scheduler
from refserver.server.measuring import values_of
from refserver.server.scheduler import FRAMES
from refserver.server.turn import Turns

KIB = 1 << 10
LOGIN = login("x" * 200)[:-1]
"""A Login that is never whole."""


def room_for(count: int) -> tuple[str, ...]:
    """Options of a server that lets so many in at once, and some more."""
    most = str(count + 10)
    return "--connections", most, "--unauthenticated", most, "--closing", most


# ---------------------------------------------------------------- those who drip


@pytest.mark.proves("EP-9.2-1")
def test_dripping_bytes_does_not_hold_the_time_to_log_in() -> None:
    room = BareRoom(login_timeout=5)
    stranger = room.enter()

    for byte in LOGIN[:49]:
        assert stranger.ask(bytes([byte])) == []
        room.now += 0.1
        assert stranger.tick() == []
    room.now += 0.1

    assert [code_of(event) for event in stranger.tick()] == [(0, ErrorCode.TIMEOUT)]


async def test_all_who_drip_are_gone_at_the_deadline_and_not_before() -> None:
    async with hosting(login_timeout=5, unauthenticated=100, closing=100) as host:
        clients = [await host.client() for _ in range(50)]
        await host.pass_time()
        for byte in LOGIN[:4]:
            for client in clients:
                await client.send(bytes([byte]))
            await host.pass_time(1.2)
        ann = await host.member("ann")
        connections = values_of(host.server)["connections"]
        assert isinstance(connections, Mapping)
        assert connections["new"] == 50

        await host.pass_time(0.2)

        assert [await client.last() for client in clients] == [ErrorReply(0, TIMEOUT)] * 50
        assert await ann.sync() == []


@pytest.mark.parametrize(
    ("count", "timeout"),
    [(100, 0.5), pytest.param(1_000, 5.0, marks=pytest.mark.slow)],
    ids=["short", "full"],
)
def test_those_who_drip_are_ended_and_others_log_in_meanwhile(
    tmp_path: Path, count: int, timeout: float
) -> None:
    # Who was ended is given the time until its end is read here.
    ending = ("--login-timeout", str(timeout), "--close-timeout", "60")
    options = (*room_for(count), *ending, "--no-presence")
    slowest = 0.0
    with running(tmp_path, *options, dev=False) as server, crowd(server.port, count) as clients:
        came = time.monotonic()
        ends = []
        for ended in drip(clients, LOGIN, every=timeout / 5):
            ends += ended
            began = time.monotonic()
            with Client(server.port) as ann:
                ann.join("ann")
            slowest = max(slowest, time.monotonic() - began)
        lasted = time.monotonic() - came

    assert ends == [ErrorReply(0, TIMEOUT)] * count
    print(f"{count} at {5 / timeout:.0f} byte/s: gone {lasted:.2f} s after the last came in")
    print(f"slowest login meanwhile {slowest * 1000:.0f} ms")
    if count == 1_000:
        assert slowest <= 0.25
        assert lasted <= timeout + 1


# ---------------------------------------------------------------- those who are silent


@pytest.mark.parametrize(
    ("count", "heartbeat", "idle", "most"),
    [
        (500, 0, 0.0, 0.0),
        pytest.param(10_000, 0, 10.0, 0.03, marks=pytest.mark.slow),
        pytest.param(10_000, 20, 20.0, 0.03, marks=pytest.mark.slow),
    ],
    ids=["short", "full", "full with pings"],
)
def test_idle_members_cost_little_and_a_message_reaches_them_all(
    tmp_path: Path, count: int, heartbeat: int, idle: float, most: float
) -> None:
    options = (*room_for(count), "--no-presence", "--heartbeat", str(heartbeat))
    options += ("--login-timeout", "60")
    with running(tmp_path, *options, dev=False) as server, Client(server.port) as ann:
        ann.join("ann")
        before = server.memory
        with crowd(server.port, count) as clients:
            for client in clients:
                client.join()
            computed = processor_time(server)
            pings = keep_quiet([ann, *clients], idle)
            share = (processor_time(server) - computed) / idle if idle else 0.0
            each = (server.memory - before) / count

            began = time.monotonic()
            ann.send(message("to all", 2))
            facts = {client.frame() for client in clients}
            lasted = time.monotonic() - began

            assert facts == {Frame(MESSAGE, 1, short("ann") + b"to all")}
            assert acked(ann.frame()) == 1

    print(f"{count} idle: {each / KIB:.1f} KiB each")
    print(f"{share:.1%} of a processor in {idle:.0f} s, {pings} pings in them")
    print(f"a message reached all within {lasted * 1000:.0f} ms")
    assert each <= 16 * KIB
    if idle:
        assert share <= most
        assert lasted <= 1.0


async def test_members_that_are_idle_take_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosting(heartbeat=20) as host:
        members = [await host.member() for _ in range(20)]
        for each in members:
            await each.sync()
        await host.pass_time(10)  # beyond the time to log in, which the server looks at again
        turns = count_turns(monkeypatch)

        for _ in range(9):
            await host.pass_time(1)
        assert turns == []
        await host.pass_time(1)

        assert 0 < len(turns) <= len(members)


# ---------------------------------------------------------------- those who talk at once


def count_turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that each turn of a server, from now on, adds to: the entries that it made."""
    turns: list[int] = []
    run = Turns.run

    def counted(each: Turns) -> None:
        before = each.room.log.end
        run(each)
        turns.append(each.room.log.end - before)

    monkeypatch.setattr(Turns, "run", counted)
    return turns


@pytest.mark.proves("EP-7.2-3", "EP-5.2-1")
@pytest.mark.parametrize("talkers", [1, 8])
async def test_whoever_asks_waits_for_one_round_however_much_there_is_to_say(
    monkeypatch: pytest.MonkeyPatch, talkers: int
) -> None:
    says = 4 * FRAMES
    monkeypatch.setattr(scheduler, "DELIVERIES", 2 * FRAMES)
    async with hosting(presence=False) as host:
        bob, *clients = [await host.member() for _ in range(9)]
        turns = count_turns(monkeypatch)
        for client in clients[:talkers]:
            await client.send(*(message(b"x", seq) for seq in range(1, says + 1)))
        await bob.send(ping(2))

        before = await bob.until(PONG)
        rest = await bob.frames(talkers * says - len(before) + 1)

        assert len(before) <= (talkers + 1) * FRAMES
        assert max(turns) <= FRAMES
        facts = [*before[:-1], *rest]
        assert [fact.seq for fact in facts] == list(range(1, talkers * says + 1))
        for number, client in enumerate(clients):
            received = await client.frames(talkers * says)
            assert [position_of(each) for each in received] == [fact.seq for fact in facts]
            assert [each.seq for each in received if each.type == ACK] == list(
                range(1, says + 1 if number < talkers else 1)
            )


def position_of(entry: Frame) -> int:
    return acked(entry) if entry.type == ACK else entry.seq


@pytest.mark.proves("EP-7.2-3", "EP-5.2-1")
@pytest.mark.parametrize(
    ("members", "talkers", "says", "most"),
    [
        (10, 1, 1_000, None),
        (10, 10, 100, None),
        pytest.param(200, 1, 10_000, 0.05, marks=pytest.mark.slow),
        pytest.param(200, 200, 1_000, 0.25, marks=pytest.mark.slow),
    ],
    ids=["one", "all", "one full", "many full"],
)
def test_nobody_waits_long_while_others_talk_and_all_read_it_in_order(
    tmp_path: Path, members: int, talkers: int, says: int, most: float | None
) -> None:
    waits = waits_while(tmp_path, members, talkers, says)

    amid = [wait.lasted for wait in waits if wait.received]
    usual, worst = median(amid), max(wait.lasted for wait in waits)
    computed = max(wait.computed for wait in waits)
    print(f"{talkers} of {members} said {says} each, {len(amid)} pings amid it:")
    print(f"{usual * 1000:.0f} ms the median, {worst * 1000:.0f} ms the worst,")
    print(f"{computed * 1000:.0f} ms of the server's processor time at most")
    if most:
        assert usual <= most
        assert computed <= most


class Wait(NamedTuple):
    """How long an answer took, how much of that the server computed, and what came with it.

    What else the machine has to do makes only the first longer. Where no byte came but the
    answer, nobody talked.
    """

    lasted: float
    computed: float
    received: int


def waits_while(folder: Path, members: int, talkers: int, says: int) -> list[Wait]:
    """How long somebody waits for each Pong while so much is said; all must read it."""
    context = multiprocessing.get_context("spawn")
    with (
        running(folder, *room_for(members), "--heartbeat", "0", dev=False) as server,
        Bystander(server.port, "bob") as bob,
        ProcessPoolExecutor(1, context) as elsewhere,
    ):
        done = elsewhere.submit(talk, server.port, server.pid, members, talkers, says)
        assert {bob.frame().type for _ in range(members)} == {JOINED}
        bob.send(message(GO, 1))
        start = acked(bob.frame())

        waits, stream = ask_until(bob, done, server)

        assert done.result() == talkers * says
    facts = [fact for fact in stream if fact.type == MESSAGE]
    assert [fact.seq for fact in facts] == list(range(start + 1, start + 1 + talkers * says))
    said_by: dict[str, list[int]] = {}
    for user, content in map(said, facts):
        said_by.setdefault(user, []).append(int(content))
    assert list(said_by.values()) == [list(range(says))] * talkers
    return waits


def ask_until(client: Client, done: Future[int], server: Running) -> tuple[list[Wait], list[Frame]]:
    """Ping without a pause until that is done: each wait for an answer, and all that came.

    The last Ping is sent after that is done, so that all that was said stands before its answer.
    An answer is searched for and the frames are cut later: what that costs is not the server's.
    """
    stream = bytearray(client.pending)
    waits: list[Wait] = []
    is_last = False
    while not is_last:
        is_last = done.done()
        seq = len(waits) + 2
        answer, seen = frame(PONG, seq), len(stream)
        received = -seen - len(answer)
        began, computed = time.perf_counter(), processor_time(server)
        client.send(ping(seq))
        while stream.find(answer, max(0, seen - len(answer))) < 0:
            seen = len(stream)
            data = client.sock.recv(1 << 20)
            assert data
            stream += data
        lasted, computed = time.perf_counter() - began, processor_time(server) - computed
        waits.append(Wait(lasted, computed, received + len(stream)))
    return waits, list(Frames().receive(bytes(stream)))
