"""Streams that are cut: at every byte, by an end or by a reset, alone or by the thousand.

Rule: what a cut leaves behind is counted to the last entry: who stays reads exactly what
the whole frames before it made, nobody's fault is unhandled, and no table keeps a trace.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.raw import (
    APPLICATION,
    JOINED,
    LEFT,
    MESSAGE,
    Bystander,
    Client,
    Frame,
    frame,
    login,
    logout,
    message,
    ping,
    said,
    short,
    welcomed,
)
from tests.support.server import Running, running, when
from tests.support.stopped import hosting

from refserver.client.status import fetch
from refserver.server.server import Server

ANN = short("ann")
LEFT_OF_ITSELF, LOST = b"\0", b"\1"


class Step(NamedTuple):
    """A request of the session, and what the others read of it."""

    request: bytes
    fact: tuple[int, bytes] | None


SESSION = (
    Step(login("ann"), (JOINED, ANN)),
    Step(message("hi", 2), (MESSAGE, ANN + b"hi")),
    Step(ping(3), None),
    Step(frame(APPLICATION, 4, b"\0data"), (APPLICATION, ANN + b"data")),
    Step(logout(5), (LEFT, ANN + LEFT_OF_ITSELF)),
)
STREAM = b"".join(step.request for step in SESSION)
ENDS = list(accumulate(len(step.request) for step in SESSION))


def whole_before(cut: int) -> int:
    """Frames that end at this offset or before."""
    return sum(end <= cut for end in ENDS)


def facts_of(cut: int) -> list[tuple[int, bytes]]:
    """What the others read of a session that is cut here."""
    whole = whole_before(cut)
    facts = [step.fact for step in SESSION[:whole] if step.fact is not None]
    if 0 < whole < len(SESSION):
        facts.append((LEFT, ANN + LOST))
    return facts


def in_short(facts: list[Frame]) -> list[tuple[int, bytes]]:
    return [(fact.type, fact.body) for fact in facts]


def facts_behind(bob: Bystander, cut: int) -> list[tuple[int, bytes]]:
    """What a bystander reads of it, to the end."""
    return in_short(bob.until_left("ann") if whole_before(cut) else bob.facts())


@pytest.fixture(scope="module")
def bob(checked: Running) -> Iterator[Bystander]:
    with Bystander(checked.port, "bob") as bystander:
        yield bystander


# ---------------------------------------------------------------- one session, cut


@pytest.mark.proves("EP-10.3-3", "EP-10.3-4", "EP-7.2-3", "EP-5.4-2")
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_session_cut_at_any_byte_counts_for_its_whole_frames(
    checked: Running, bob: Bystander, reset: bool
) -> None:
    for cut in range(len(STREAM) + 1):
        with Client(checked.port) as ann:
            ann.send(STREAM[:cut])
            ann.frames(whole_before(cut))
            if reset:
                ann.reset()
            else:
                ann.end()
                assert ann.rest() == []

            assert facts_behind(bob, cut) == facts_of(cut), cut


@pytest.mark.proves("EP-10.3-3", "EP-10.3-4", "EP-7.2-3")
@pytest.mark.parametrize(
    "step", [16, pytest.param(1, marks=pytest.mark.slow)], ids=["short", "every byte"]
)
def test_so_does_one_that_comes_byte_by_byte(checked: Running, bob: Bystander, step: int) -> None:
    """A bystander's round trip between two bytes: the server has judged the first of them."""
    for cut in range(0, len(STREAM) + 1, step):
        with Client(checked.port) as ann:
            facts: list[Frame] = []
            for at in range(cut):
                ann.send(STREAM[at : at + 1])
                facts += bob.facts()
            ann.frames(whole_before(cut))
            ann.reset()
            if facts and facts[-1].type != LEFT:
                facts += bob.until_left("ann")

            assert in_short(facts) == facts_of(cut), cut


@pytest.mark.proves("EP-7.2-3", "EP-5.4-2")
def test_a_session_whose_replies_are_cut_at_any_byte_disturbs_nobody(
    checked: Running, bob: Bystander
) -> None:
    staying = len(SESSION) - 1
    with Client(checked.port) as ann:
        ann.send(STREAM[: ENDS[-2]])
        ann.frames(staying)
        replies = len(ann.received)
    bob.until_left("ann")

    for cut in range(replies + 1):
        with Client(checked.port) as ann:
            ann.send(STREAM[: ENDS[-2]])
            facts: list[Frame] = []
            while len(facts) < staying - 1:
                facts += bob.facts()
            read = 0
            while read < cut:
                read += len(ann.sock.recv(cut - read))
            ann.reset()

            assert in_short(facts + bob.until_left("ann")) == facts_of(ENDS[-2]), cut


@pytest.mark.unmeasured
async def test_a_pause_at_any_byte_changes_nothing() -> None:
    """As long as no deadline allows it to be longer: the clock is the test's."""
    async with hosting(login_timeout=5.0, frame_timeout=5.0, heartbeat=0) as host:
        bob = await host.member("bob")
        for cut in range(len(STREAM) + 1):
            ann = await host.client()
            await ann.send(STREAM[:cut])
            await host.pass_time()  # what came is read before the pause
            await host.pass_time(4.9)
            await ann.send(STREAM[cut:])

            assert len([each for each in await ann.rest() if each.type != LEFT]) == len(SESSION)
            assert in_short(await bob.sync()) == facts_of(len(STREAM)), cut


# ---------------------------------------------------------------- a thousand, cut


def kept(server: Server) -> dict[str, object]:
    """Every table of its clients that is not empty. Tickets are kept on purpose."""
    return {
        f"{type(owner).__name__}.{name}": value
        for owner in (server, server.room, server.admission, server.turns.scheduler)
        for name, value in vars(owner).items()
        if isinstance(value, (dict, list, set, deque))
        and value
        and name not in ("_listeners", "_headers")  # one for each way in
    }


@pytest.mark.proves("EP-6.1-1", "EP-5.4-2")
async def test_no_table_keeps_a_trace_of_those_who_were_reset_in_a_broadcast() -> None:
    async with hosting(login_timeout=5.0) as host:
        ann = await host.member("ann")
        crowd = [await host.client() for _ in range(100)]
        await asyncio.gather(*(client.send(login()) for client in crowd))
        for client in crowd:
            await client.frame()

        await ann.send(*(message(bytes(1_000), seq) for seq in range(2, 102)))
        strangers = [await host.client() for _ in range(50)]
        for client in crowd[:50] + strangers:
            client.reset()
        for client in crowd[50:]:
            facts = await client.until(MESSAGE)
            while len([fact for fact in facts if fact.type == MESSAGE]) < 100:
                facts += await client.until(MESSAGE)
            client.reset()
        await ann.sync()
        ann.reset()
        await host.pass_time(5.0)  # until the last deadline of anybody

        assert (host.server.counters.accepted, host.server.counters.sessions.logins) == (151, 101)
        assert kept(host.server) == {}
        assert host.server.admission.held == 0


@pytest.mark.proves("EP-6.1-1", "EP-5.4-2", "EP-7.2-3")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "count", [100, pytest.param(2_000, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_all_who_log_in_at_once_are_served_though_half_of_them_reset(
    tmp_path: Path, count: int
) -> None:
    limits = ("--connections", "4000", "--unauthenticated", "4000", "--login-timeout", "600")
    options = (*limits, "--write-timeout", "600", "--heartbeat", "0", "--metrics", "0")
    with running(tmp_path, *options, dev=True) as server:
        [metrics] = re.findall(r"http://127\.0\.0\.1:(\d+)/metrics", "\n".join(server.records))
        with Bystander(server.port, "ann") as ann:
            crowd = [Client(server.port) for _ in range(count)]
            for client in crowd:
                client.send(login())
            for client in crowd:
                welcomed(client.frame())

            ann.send(*(message(b"%d" % n + bytes(1_000), n) for n in range(2, 102)))
            for client in crowd[::2]:
                client.reset()
            for client in crowd[1::2]:
                received = [said(client.until(MESSAGE)[-1])[1] for _ in range(100)]
                assert received == [b"%d" % n + bytes(1_000) for n in range(2, 102)]
            for client in crowd[1::2]:
                client.sock.close()
            gone = 0
            while gone < count:
                gone += ann.frame().type == LEFT
        # The author's own end is on its way.
        when(lambda: not any(fetch(int(metrics))["connections"].values()))

        assert fetch(int(metrics))["logins"][""] == count + 1
