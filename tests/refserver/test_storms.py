"""A storm of one kind of work makes nobody else wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
from tests.refserver.storms import STORMS, Wait, waits_in
from tests.support.raw import PONG, Welcomed, login, message, ping
from tests.support.stopped import Host, HostedClient, hosting

from eventcodec import Pong, encode
from refserver.server.connection import Connection
from refserver.server.scheduler import FRAMES
from refserver.server.turn import Turns

MOST = 0.05
"""Seconds of the server's processor time that a Pong may take amid a storm."""
MOST_LOGIN = 3 * MOST
"""A login goes three times round the loop: it is accepted, read, and answered."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.proves("EP-7.2-3")
@pytest.mark.parametrize("storm", STORMS)
def test_nobody_waits_long_in_a_storm(tmp_path: Path, storm: str) -> None:
    """Judged by what the server computed until the answer was read.

    If the machine has other work, the answer is read later, and the server computes meanwhile:
    that only adds. So one try of three is enough. `tox -e bench-storms` measures the elapsed time,
    on a quiet machine.
    """
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        waits = waits_in(storm, folder)
        print(f"{storm}: {waits.arrived} arrived; {told(waits.pongs)}; {told(waits.welcomes)}")
        pong = max(wait.computed for wait in waits.pongs)
        welcome = max(wait.computed for wait in waits.welcomes)
        if pong <= MOST and welcome <= MOST_LOGIN:
            break

    assert pong <= MOST
    assert welcome <= MOST_LOGIN


def told(waits: list[Wait]) -> str:
    lasted = sorted(1000 * wait.lasted for wait in waits)
    computed = max(1000 * wait.computed for wait in waits)
    return (
        f"{len(lasted)} of {median(lasted):.0f} ms in the median, {lasted[-1]:.0f} at worst, "
        f"of which {computed:.0f} computed"
    )


# ---------------------------------------------------------------- by what work costs

A_FRAME, A_WRITE, A_READ, A_BYTE = 5e-6, 10e-6, 10e-6, 0.2e-9
"""Seconds of the server's work, as measured and rounded up."""
CROWD = 40


class WorkClock:
    """Lets the clock of the loop show how much the server has worked, and nothing else."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        work, write, received = Turns.work, Connection.write, Connection.received
        counters = host.server.counters.sessions

        def working(turns: Turns, each: Connection, now: float, frames: int = FRAMES) -> int:
            before = counters.requests
            entries = work(turns, each, now, frames)
            host.loop.now += A_FRAME * (counters.requests - before)
            return entries

        def writing(each: Connection, data: bytes | memoryview) -> None:
            host.loop.now += A_WRITE + A_BYTE * len(data)
            write(each, data)

        def receiving(each: Connection, data: bytes) -> None:
            host.loop.now += A_READ + A_BYTE * len(data)
            received(each, data)

        monkeypatch.setattr(Turns, "work", working)
        monkeypatch.setattr(Connection, "write", writing)
        monkeypatch.setattr(Connection, "received", receiving)


def pour(client: HostedClient, data: bytes) -> None:
    """Send as much of this, again and again, as the sockets take."""
    with suppress(BlockingIOError):
        while True:
            client.sock.send(data)


async def members_flood(host: Host, frame: bytes) -> None:
    for client in [await host.member() for _ in range(CROWD)]:
        pour(client, frame * 4_096)


async def strangers_flood(host: Host, frame: bytes) -> None:
    for client in [await host.client() for _ in range(CROWD)]:
        pour(client, frame * 4_096)


async def resume_at_once(host: Host, history: int) -> None:
    """Members that were away come back, and each is replayed so many bytes."""
    welcomes: list[Welcomed] = []
    for number in range(CROWD):
        absent = await host.client()
        welcomes.append(await absent.join(f"absent {number}"))
        absent.close()
    author = await host.member("author")
    for seq in range(2, 2 + history // 60_000):
        await author.send(message(bytes(60_000), seq))
        await author.frame()
    for welcome in welcomes:
        client = await host.client()
        client.sock.send(login(welcome.user, ticket=welcome.ticket, position=welcome.position))


WORK: dict[str, Callable[[Host], Awaitable[None]]] = {
    "pongs": lambda host: members_flood(host, encode(Pong(seq=9))),
    "pings": lambda host: members_flood(host, ping(9)),
    "pongs of strangers": lambda host: strangers_flood(host, encode(Pong(seq=9))),
    "failed logins": lambda host: strangers_flood(host, login("bob")),
    "histories": lambda host: resume_at_once(host, 2 << 20),
}


@pytest.mark.proves("EP-7.2-3")
@pytest.mark.parametrize("storm", WORK)
@pytest.mark.unmeasured
async def test_what_the_server_works_before_it_answers_another_is_bounded_in_a_storm(
    monkeypatch: pytest.MonkeyPatch, storm: str
) -> None:
    async with hosting(presence=False, logins=0, address_share=1.0) as host:
        bob = await host.member("bob")
        WorkClock(host, monkeypatch)
        await WORK[storm](host)
        waits: list[float] = []

        for seq in range(2, 12):
            began = host.loop.now
            bob.sock.send(ping(seq))
            while (await bob.frame()).type != PONG:
                pass
            waits.append(host.loop.now - began)

        assert max(waits) <= MOST
