"""Time in which the process did not run counts for nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.refserver.conftest import Authority
from tests.refserver.test_websocket import WebClient, web
from tests.support.raw import (
    ACK,
    PING,
    PONG,
    SHUTTING_DOWN,
    Client,
    ErrorReply,
    Frame,
    login,
    logout,
    message,
    ping,
)
from tests.support.server import running as process
from tests.support.stopped import HOST, Host, HostedClient, SecureClient, hosting

from refserver.server.clock import BEAT, LATE, ClientClock
from refserver.server.config import Config
from refserver.server.tls import Tls

PAUSE = 60.0
PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 3000\r\n"


async def silent_member(host: Host) -> tuple[HostedClient, Frame]:
    """It was to be asked soon whether it is there."""
    client = await host.member("ann")
    await host.pass_time(18.0)
    return client, Frame(PONG, 7)


async def begun_frame(host: Host) -> tuple[HostedClient, Frame]:
    """It has sent a part of a Ping, whose rest arrives in the pause."""
    client = await host.member("ann")
    await client.send(ping(7)[:5])
    await host.pass_time(25.0)
    return client, Frame(PONG, 7)


@pytest.mark.proves("EP-9.1-6", "EP-9.1-2", "EP-9.2-2")
@pytest.mark.parametrize("prepare", [silent_member, begun_frame])
async def test_what_arrived_in_the_pause_is_read_and_nobody_is_ended(
    prepare: Callable[[Host], Awaitable[tuple[HostedClient, Frame]]],
) -> None:
    async with hosting(heartbeat=20, frame_timeout=30.0) as host:
        client, answer = await prepare(host)
        rest = ping(7) if prepare is silent_member else ping(7)[5:]
        client.sock.send(rest)

        await host.stand_still(PAUSE)

        frames = await client.until(PONG)
        assert frames[-1] == answer
        assert host.server.room.members


@pytest.mark.proves("EP-9.2-1")
async def test_a_login_that_arrived_in_the_pause_is_granted() -> None:
    async with hosting(login_timeout=5.0) as host:
        client = await host.client()
        await host.pass_time(4.0)
        client.sock.send(login("ann"))

        await host.stand_still(PAUSE)

        assert (await client.frame()).seq == 1
        assert "ann" in host.server.room.members


@pytest.mark.proves("EP-9.1-1", "EP-9.1-2")
async def test_who_is_silent_is_asked_after_the_pause_and_gone_a_heartbeat_later() -> None:
    async with hosting(heartbeat=20) as host:
        ann = await host.member("ann")
        await host.pass_time(10.0)

        await host.stand_still(PAUSE)
        assert await ann.sync() == []
        await host.pass_time(20.0 + BEAT + LATE)

        assert Frame(PING, 1) in await ann.sync()


@pytest.mark.proves("EP-7.2-3")
async def test_a_member_whose_socket_was_full_has_the_rest_of_its_time() -> None:
    async with hosting(write_timeout=10.0, heartbeat=0, presence=False) as host:
        slow, ann = await host.member("slow", receive_buffer=4_096), await host.member("ann")
        while all(each.writable for each in host.server.connections):
            await ann.send(message(bytes(60_000), 2))
            await ann.frame()

        await host.stand_still(PAUSE)

        assert "slow" in host.server.room.members
        for _ in range(3):  # a kernel that moves bytes late begins its time anew
            await host.pass_time(10.0 + BEAT + LATE)
        assert "slow" not in host.server.room.members
        slow.close()


async def test_who_does_not_close_has_the_rest_of_its_time() -> None:
    async with hosting(close_timeout=2.0, login_timeout=1.0) as host:
        client = await host.client()
        await host.pass_time(1.0 + BEAT)
        await client.rest()

        await host.stand_still(PAUSE)

        assert len(host.server.connections) == 1
        await host.pass_time(2.0 + BEAT + LATE)
        assert not host.server.connections
        client.close()


WAY_OF_ARRIVING = ["proxy header", "TLS handshake", "WebSocket handshake"]


@asynccontextmanager
async def arriving(way: str, authority: Authority) -> AsyncIterator[tuple[Host, HostedClient]]:
    """Somebody who has begun to arrive, and has 5 s for it; `finish` does the rest."""
    if way == "TLS handshake":
        config = Config(tls_cert=str(authority.issue()))
        async with hosting(None, Tls(config), login_timeout=5.0) as host:
            secure = await host.secure_client(authority.client())
            await secure.say_hello()
            yield host, secure
    elif way == "WebSocket handshake":
        async with web(login_timeout=5.0) as (ws, host):
            yield host, await ws.connect()
    else:
        async with hosting(login_timeout=5.0, proxy_protocol=HOST) as host:
            client = await host.client()
            await client.send(PROXY_HEADER[:6])
            yield host, client


async def arrive(client: HostedClient) -> None:
    """Do the rest of it."""
    if isinstance(client, SecureClient | WebClient):
        await client.shake_hands()
    else:
        await client.send(PROXY_HEADER[6:])


@pytest.mark.proves("EP-9.2-1", "EP-16.2-7")
@pytest.mark.parametrize("way", WAY_OF_ARRIVING)
async def test_who_arrives_has_the_rest_of_its_time_after_the_pause(
    way: str, authority: Authority
) -> None:
    async with arriving(way, authority) as (host, client):
        await host.pass_time(4.0)

        await host.stand_still(PAUSE)
        await arrive(client)

        assert (await client.join("ann")).user == "ann"


@pytest.mark.parametrize("way", WAY_OF_ARRIVING)
async def test_who_never_arrives_is_closed_when_its_time_is_over_by_that_clock(
    way: str, authority: Authority
) -> None:
    async with arriving(way, authority) as (host, client):
        await host.pass_time(1.0)
        await host.stand_still(PAUSE)
        await host.pass_time(3.5)
        assert len(host.server.timers) == 1

        await host.pass_time(0.5 + BEAT + LATE)

        assert len(host.server.timers) == 0
        assert await asyncio.get_running_loop().sock_recv(client.sock, 65_536) == b"" or (
            way == "TLS handshake"  # the server's part of the handshake came before
        )


async def test_who_does_not_close_over_tls_has_the_rest_of_its_time(authority: Authority) -> None:
    tls = Tls(Config(tls_cert=str(authority.issue())))
    async with hosting(None, tls, close_timeout=2.0) as host:
        client = await host.secure_client(authority.client())
        await client.shake_hands()
        await client.join("ann")
        await client.send(logout(2))
        await client.until(ACK)
        await host.pass_time(2.0 + BEAT)  # now the server has closed, and waits for the client
        await host.pass_time(1.0)

        await host.stand_still(PAUSE)

        assert len(host.server.connections) == 1
        await host.pass_time(1.0 + BEAT + LATE)
        assert not host.server.connections


def test_a_pause_is_noticed_but_for_less_than_a_beat() -> None:
    now = 100.0
    clock = ClientClock(lambda: now)
    clock.beat()

    for pause in (0.0, 0.2, 0.3, 5.0, 3_600.0):
        before = clock.now()
        now += pause
        assert clock.now() - before <= BEAT + LATE
        clock.beat()


@pytest.mark.slow
def test_a_process_that_was_stopped_ends_nobody(tmp_path: Path) -> None:
    """20 of 20 members were ended with TIMEOUT, though ten of them had sent a Ping."""
    with process(tmp_path, "--heartbeat", "1", "--login-timeout", "1", dev=False) as server:
        members = [Client(server.port) for _ in range(20)]
        for each in members:
            each.join()
        stranger = Client(server.port)
        os.kill(server.pid, signal.SIGSTOP)
        for each in members[::2]:
            each.send(ping(99))
        stranger.send(login("late"))
        time.sleep(3.0)  # what this is about
        os.kill(server.pid, signal.SIGCONT)

        for each in members[::2]:
            each.until(PONG, 99)
        stranger.frame()
        for each in members[1::2]:
            each.send(ping(98))
            each.until(PONG, 98)
        for each in [*members, stranger]:
            each.sock.close()


async def test_the_time_of_a_drain_is_the_operators_and_counts() -> None:
    async with hosting(drain=10.0, close_timeout=60.0) as host:
        client = await host.member("ann")
        host.server.stop()
        await asyncio.sleep(0)

        await host.stand_still(PAUSE)

        assert host.server.ended.is_set()
        assert await client.last() == ErrorReply(0, SHUTTING_DOWN)
