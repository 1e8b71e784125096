"""Members that read slowly or not at all, in a crowd that keeps up, against a real process.

Rule: everybody moves in step with the Acks of one author, so that what is judged is
counted: positions, bytes, and how far behind a member was when it was given up. What
is timed is timed in pairs, with and without those who stall, in one run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import pytest
from tests.refserver.crowd import Pace
from tests.support.raw import (
    HEADER,
    LEFT,
    MESSAGE,
    SLOW_CONSUMER,
    Bystander,
    Client,
    ErrorReply,
    Frame,
    acked,
    error_of,
    message,
    said,
)
from tests.support.server import Running, running
from tests.support.stopped import hosting

from refserver.server.connection import Connection
from refserver.server.turn import Turns
from refserver.session.log import ENTRY_CHARGE

MIB = 1 << 20
SMALL = 4_096
"""A receive buffer that is soon full."""
KERNEL = 8 * MIB
"""More than the kernel holds for a reader that does not read."""
EACH = 128 * 1024
"""What a connection may cost beside the log."""
EVICTED = b"\2"
RATE = 200
"""Messages a second."""
PATIENT = ("--heartbeat", "0", "--write-timeout", "600", "--close-timeout", "60")
"""Only the log is a limit."""


class Stalled(NamedTuple):
    """A member that does not read, and the place where it came in."""

    client: Client
    user: str
    place: int


class Crowd:
    """An author, those who read all that it says, and those who don't."""

    def __init__(self, stack: ExitStack, server: Running, readers: int, stalled: int) -> None:
        enter = stack.enter_context
        self.server = server
        self.before = server.memory
        self.author = enter(Client(server.port))
        self.author.join("ann")
        self.said = 0
        self.readers = [enter(Bystander(server.port)) for _ in range(readers)]
        self.stalled = [
            self._stall(enter(Client(server.port, receive_buffer=SMALL))) for _ in range(stalled)
        ]
        self.charged: dict[int, int] = {}
        self.evicted: dict[str, int] = {}

    def _stall(self, client: Client) -> Stalled:
        welcome = client.join()
        return Stalled(client, welcome.user, welcome.position)

    def say(self, size: int, count: int = 1) -> None:
        """Say so much; every reader has it, behind everything that was before it."""
        first = self.said + 1
        self.said += count
        run = range(first, self.said + 1)
        self.author.send(*(message(b"%08d" % n + bytes(size - 8), n) for n in run))
        for n in run:
            self._until_acked(n)
        for reader in self.readers:
            self._hear(reader, run)

    def _until_acked(self, seq: int) -> None:
        reply = self.author.frame()
        while reply.seq != seq or reply.type in (MESSAGE, LEFT):
            reply = self.author.frame()
        assert acked(reply)

    def _hear(self, reader: Bystander, run: range) -> None:
        for n in run:
            fact = reader._fact(reader.frame())
            while fact.type != MESSAGE:
                self._note(reader, fact)
                fact = reader._fact(reader.frame())
            self._note(reader, fact)
            assert said(fact)[1][:8] == b"%08d" % n

    def _note(self, reader: Bystander, fact: Frame) -> None:
        """What the first reader reads tells what the log was charged, and who was evicted."""
        if reader is not self.readers[0]:
            return
        self.charged[fact.seq] = HEADER.size + len(fact.body) + ENTRY_CHARGE
        if fact.type == LEFT:
            assert fact.body.endswith(EVICTED)
            self.evicted[fact.body[1:-1].decode()] = fact.seq

    @property
    def grown(self) -> int:
        """Bytes of memory that the server took since the first of them came."""
        return self.server.memory - self.before

    @property
    def connections(self) -> int:
        return 1 + len(self.readers) + len(self.stalled)


@contextmanager
def crowd(folder: Path, readers: int, stalled: int, *options: str) -> Iterator[Crowd]:
    """A server with these in its room."""
    folder.mkdir(exist_ok=True)
    options = ("--connections", "4000", *PATIENT, *options)
    with running(folder, *options, dev=False) as server, ExitStack() as stack:
        yield Crowd(stack, server, readers, stalled)


BACK_OFF = 150
"""Seconds: the kernel sends again to a full receive buffer after up to two minutes."""


def wake(stalled: Stalled) -> list[Frame]:
    """Everything that was left for it."""
    stalled.client.sock.settimeout(BACK_OFF)
    return stalled.client.rest()


# ---------------------------------------------------------------- those who do not read


@pytest.mark.proves("EP-7.2-3", "EP-5.2-8", "EP-5.4-4", "EP-7.2-2")
@pytest.mark.parametrize(
    ("readers", "stalled", "size", "rate"),
    [
        (30, 1, 16_000, inf),
        pytest.param(199, 1, 1_024, RATE, marks=pytest.mark.slow),
        pytest.param(100, 1_000, 1_024, RATE, marks=pytest.mark.slow),
    ],
    ids=["short", "1 of 200", "1000 of 1100"],
)
def test_those_who_stall_are_evicted_at_their_limit_and_the_others_miss_nothing(
    tmp_path: Path, readers: int, stalled: int, size: int, rate: float
) -> None:
    log = MIB
    with crowd(tmp_path, readers, stalled, "--log-bytes", str(log)) as those:
        peak = 0
        pace = Pace(rate)
        while len(those.evicted) < stalled:
            those.say(size)
            pace.keep(those.said)
            peak = max(peak, those.grown)
            assert those.said * size < KERNEL + 4 * log

        print(f"{those.said} messages, {peak} bytes, bound {log + those.connections * EACH}")
        assert peak <= log + those.connections * EACH
        for each in those.stalled:
            *facts, last = wake(each)
            behind = range(facts[-1].seq + 1, those.evicted[each.user])
            assert [fact.seq for fact in facts] == [each.place + 1 + n for n in range(len(facts))]
            assert error_of(last) == ErrorReply(0, SLOW_CONSUMER)
            assert sum(those.charged[position] for position in behind) > log


@pytest.mark.proves("EP-7.2-3")
async def test_those_who_stall_cost_the_others_no_turn_and_no_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await work_done(monkeypatch, stalled=5) == await work_done(monkeypatch, stalled=0)


async def work_done(monkeypatch: pytest.MonkeyPatch, stalled: int) -> Counter[str]:
    """Turns and writes of a server that brings 50 messages to 8 readers, beside so many more."""
    async with hosting(presence=False, heartbeat=0, log_bytes=8 * KERNEL) as host:
        ann, *readers = [await host.member() for _ in range(9)]
        for _ in range(stalled):
            await host.member(receive_buffer=SMALL)

        async def say(size: int) -> None:
            await ann.send(message(bytes(size), 2))
            for each in (ann, *readers):
                await each.frame()

        while sum(connection.writable for connection in host.server.connections) > 9:
            await say(60_000)
        with monkeypatch.context() as counted:
            work: Counter[str] = Counter()
            for owner, name in ((os, "write"), (Connection, "pass_on"), (Turns, "run")):
                counted.setattr(owner, name, counting(work, getattr(owner, name)))
            for _ in range(50):
                await say(1_024)
        return work


def counting(work: Counter[str], function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which adds each call to the work done."""

    def counted(*arguments: Any) -> Any:
        work[function.__name__] += 1
        return function(*arguments)

    return counted


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("readers", "stalled"), [(199, 1), (100, 1_000)], ids=["1 of 200", "1000 of 1100"]
)
def test_those_who_stall_cost_the_others_no_time(
    tmp_path: Path, readers: int, stalled: int
) -> None:
    options = ("--log-bytes", str(4 * KERNEL))
    with (
        crowd(tmp_path / "with", readers, stalled, *options) as having,
        crowd(tmp_path / "without", readers, 0, *options) as lacking,
    ):
        for those in (having, lacking):
            for _ in range(KERNEL // 60_000):
                those.say(60_000)

        ratios = [ratio(having, lacking) for _ in range(9)]
        print(f"ratio {median(ratios):.3f} of {[round(each, 3) for each in ratios]}")

        assert having.evicted == {}
        assert median(ratios) <= 1.2


def ratio(having: Crowd, lacking: Crowd) -> float:
    """What 1 KiB takes to all readers of the one, of what it takes to all of the other."""
    times: dict[Crowd, list[float]] = {having: [], lacking: []}
    turn = [having, lacking]
    for _ in range(10):  # in turn, so that both meet what else the machine does
        for those in turn:
            pace = Pace(RATE)
            for done in range(1, 11):
                start = perf_counter()
                those.say(1_024)
                times[those].append(perf_counter() - start)
                pace.keep(done)
        turn.reverse()
    return median(times[having]) / median(times[lacking])


# ---------------------------------------------------------------- those who read slowly


@pytest.mark.proves("EP-7.2-3", "EP-5.2-8")
def test_a_reader_that_is_slower_than_the_stream_is_evicted(tmp_path: Path) -> None:
    """It reads five of six, and is given up when it lags by the whole log."""
    log, size = MIB, 60_000
    with crowd(tmp_path, 1, 1, "--log-bytes", str(log)) as those:
        [slow] = those.stalled
        read: list[Frame] = []
        while not those.evicted:
            those.say(size, count=6)
            read += slow.client.frames(5)
            assert those.said * size < 6 * (KERNEL + 4 * log)

        *facts, last = read + wake(slow)
        assert [fact.seq for fact in facts] == [slow.place + 1 + n for n in range(len(facts))]
        assert error_of(last) == ErrorReply(0, SLOW_CONSUMER)
        behind = range(facts[-1].seq + 1, those.evicted[slow.user])
        assert sum(those.charged[position] for position in behind) > log


@pytest.mark.proves("EP-7.2-3", "EP-5.2-8")
@pytest.mark.measured_processes
def test_a_reader_that_is_faster_than_the_stream_is_never_evicted(tmp_path: Path) -> None:
    """It begins further behind than the kernel holds, and reads six while five are said."""
    log, size = KERNEL, 10_000
    with crowd(tmp_path, 1, 1, "--log-bytes", str(log)) as those:
        [fast] = those.stalled
        those.say(size, count=log * 3 // 4 // size)
        read = 0
        while read < those.said:
            those.say(size, count=5)
            due = min(6, those.said - read)
            assert [fact.type for fact in fast.client.frames(due)] == [MESSAGE] * due
            read += due

        assert those.said * size > 3 * log
        assert those.evicted == {}
        those.say(size)
        assert fast.client.frame().seq == fast.place + those.said
