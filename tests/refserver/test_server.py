"""The server's loop: real sockets, and a clock that stands still."""

from __future__ import annotations

import gc
import logging
import socket

import pytest
from tests.support.raw import (
    ACK,
    FRAME_TOO_LARGE,
    JOINED,
    LEFT,
    MESSAGE,
    PING,
    PONG,
    SHUTTING_DOWN,
    SLOW_CONSUMER,
    TIMEOUT,
    ErrorReply,
    Frame,
    acked,
    error_of,
    login,
    logout,
    message,
    ping,
    said,
    short,
)
from tests.support.stopped import Host, HostedClient, hosting

from refserver.server.connection import Connection
from refserver.server.scheduler import FRAMES, IN_SECONDS
from refserver.server.turn import Turns
from refserver.session.session import Session

HTTP = b"GET / HTTP/1.1\r\n\r\n"
SMALL = 4_096
"""A receive buffer that is soon full."""


async def is_cut_off(client: HostedClient, host: Host) -> bool:
    """Whether the server has closed the socket, not only its own side of the stream."""
    try:
        for _ in range(2):
            await client.send(ping(9))
            await host.pass_time()
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


# ---------------------------------------------------------------- deadlines


@pytest.mark.proves("EP-9.2-1")
async def test_a_guest_that_does_not_log_in_in_time_goes() -> None:
    async with hosting(login_timeout=5) as host:
        client = await host.client()
        assert await client.sync() == []

        await host.pass_time(5)

        assert await client.last() == ErrorReply(0, TIMEOUT)


@pytest.mark.proves("EP-9.1-1", "EP-9.1-2", "EP-9.1-3")
async def test_a_silent_member_is_pinged_and_then_gone() -> None:
    async with hosting(heartbeat=20) as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        assert [fact.type for fact in await ann.sync()] == [JOINED]

        await host.pass_time(20)
        assert await ann.frame() == Frame(PING, 1)
        assert await bob.sync() == [Frame(PING, 1)]
        await host.pass_time(20)

        assert await ann.last() == ErrorReply(0, TIMEOUT)
        assert {(fact.type, fact.body) for fact in await bob.sync()} == {
            (PING, b""),
            (LEFT, short("ann") + b"\1"),
        }


async def test_a_small_write_does_not_wait_until_the_one_before_is_acknowledged() -> None:
    async with hosting() as host:
        await host.member("ann")
        [connection] = host.server.connections

        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# ---------------------------------------------------------------- the end of a connection


@pytest.mark.proves("EP-10.4-1", "EP-8.2-3")
async def test_a_last_frame_arrives_though_the_client_goes_on_sending() -> None:
    async with hosting() as host:
        ann = await host.member("ann")

        await ann.send(HTTP, bytes(100_000))

        assert error_of(await ann.frame()) == ErrorReply(0, FRAME_TOO_LARGE)
        assert await ann.rest() == []


@pytest.mark.proves("EP-10.4-1")
async def test_a_client_that_does_not_close_is_waited_for_and_then_cut_off() -> None:
    async with hosting(close_timeout=2) as host:
        client = await host.client()
        await client.send(HTTP)
        assert await client.last() == ErrorReply(0, FRAME_TOO_LARGE)

        await host.pass_time(1.9)
        assert not await is_cut_off(client, host)
        await host.pass_time(0.1)

        assert await is_cut_off(client, host)


@pytest.mark.proves("EP-10.4-1", "EP-7.2-2")
async def test_a_client_that_goes_on_sending_for_ever_is_cut_off() -> None:
    async with hosting(close_bytes=10_000) as host:
        client = await host.client()
        await client.send(HTTP)
        await host.pass_time()

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(100):
                await client.send(bytes(1_000))
                await host.pass_time()


@pytest.mark.proves("EP-10.1-1", "EP-10.4-1", "EP-5.4-7")
async def test_a_logout_is_the_clean_end() -> None:
    async with hosting() as host:
        ann = await host.member("ann")

        await ann.send(logout(2), ping(3))

        assert acked(await ann.frame()) == 2
        assert await ann.rest() == []


@pytest.mark.proves("EP-10.3-3", "EP-10.3-4", "EP-10.3-5")
async def test_a_client_that_has_ended_its_side_still_gets_its_answers() -> None:
    async with hosting() as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        await ann.send(message("hi", 2), ping(3), message("cut", 4)[:-1])

        ann.end()

        assert [frame.type for frame in await ann.rest()] == [JOINED, ACK, PONG]
        facts = await bob.sync()
        assert [said(facts[0]), facts[1].body] == [("ann", b"hi"), short("ann") + b"\1"]


@pytest.mark.proves("EP-7.2-3", "EP-5.4-4")
async def test_a_member_that_takes_nothing_is_evicted_and_nobody_waits_for_it() -> None:
    async with hosting(write_timeout=10, heartbeat=0, close_timeout=2) as host:
        slow = await host.member("slow", receive_buffer=SMALL)
        ann, bob = await host.member("ann"), await host.member("bob")
        sent = 0
        while all(connection.writable for connection in host.server.connections):
            sent += 1
            await ann.send(message(bytes(60_000), sent))
            assert acked((await ann.until(ACK))[-1])
            assert said((await bob.until(MESSAGE))[-1]) == ("ann", bytes(60_000))

        received: list[Frame] = []
        while not received:  # as long as the kernel still passes bytes on, it is slow, not stalled
            await host.pass_time(1)  # less than `close_timeout`, after which it is cut off
            received = await bob.sync()

        [left] = received
        assert left.body == short("slow") + b"\2"
        frames = await slow.rest()
        assert error_of(frames[-1]) == ErrorReply(0, SLOW_CONSUMER)
        positions = [frame.seq for frame in frames[:-1]]
        assert positions == list(range(2, 2 + len(positions)))


# ---------------------------------------------------------------- turns


@pytest.mark.proves("EP-7.2-3")
async def test_nobody_waits_for_one_that_has_much_to_say() -> None:
    flood = 8 * FRAMES
    async with hosting(presence=False) as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        start = host.server.room.log.end

        await ann.send(*(message("x", seq) for seq in range(1, flood + 1)))
        await bob.send(ping(2))

        before = await bob.until(PONG)
        after = [fact.seq for fact in await bob.frames(flood - len(before) + 1)]
        assert len(before) <= 2 * FRAMES
        assert [*(fact.seq for fact in before[:-1]), *after] == list(
            range(start + 1, start + 1 + flood)
        )


@pytest.mark.proves("EP-7.2-3")
async def test_a_turn_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little was judged by then: what a request costs is known when it is done."""
    turns: list[int] = []
    work, run = Turns.work, Turns.run

    def running(each: Turns) -> None:
        turns.append(0)
        run(each)

    def working(each: Turns, connection: Connection, now: float, frames: int = FRAMES) -> int:
        turns[-1] += 1
        host.loop.now += 0.4 * IN_SECONDS
        return work(each, connection, now, frames)

    async with hosting(presence=False) as host:
        clients = [await host.member() for _ in range(9)]
        monkeypatch.setattr(Turns, "run", running)
        monkeypatch.setattr(Turns, "work", working)

        for client in clients:
            client.sock.send(ping(2))

        assert [await client.frame() for client in clients] == [Frame(PONG, 2)] * 9
        assert max(turns) == 3


# ---------------------------------------------------------------- failures


async def test_a_failure_costs_the_one_that_met_it_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with hosting() as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        stranger = await host.client()

        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(host.server.room, "enter", fail)
        await stranger.send(login("eve"))

        assert (await stranger.last()).seq == 0
        assert await bob.sync() == []
        assert [fact.type for fact in await ann.sync()] == [JOINED]


async def test_writing_to_one_that_is_gone_makes_no_noise(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("asyncio"), "propagate", True)
    async with hosting(presence=False) as host:
        ann = await host.member("ann")
        bob = await host.client()
        ticket = (await bob.join("bob")).ticket
        for seq in range(2, 22):
            await ann.send(message(bytes(60_000), seq))
            await ann.until(ACK)
        again = await host.client()
        await again.sync()

        with caplog.at_level(logging.WARNING, "asyncio"):
            await again.send(login("bob", ticket=ticket, position=0))
            again.reset()
            await host.pass_time()

        assert [record for record in caplog.records if record.name == "asyncio"] == []
        assert await ann.sync() == []


# ---------------------------------------------------------------- stopping


@pytest.mark.proves("EP-10.2-2", "EP-5.4-6", "EP-8.2-8")
async def test_a_stop_brings_everybody_to_the_end_and_says_so() -> None:
    async with hosting() as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        await ann.send(message("last", 2))
        await ann.until(ACK)

        host.server.stop()
        host.server.stop()

        frames = await bob.rest()
        assert [said(fact) for fact in frames[:-1]] == [("ann", b"last")]
        assert error_of(frames[-1]) == ErrorReply(0, SHUTTING_DOWN)
        assert [error_of(frame) for frame in await ann.rest()] == [ErrorReply(0, SHUTTING_DOWN)]


async def test_a_stop_waits_so_long_for_one_that_does_not_close() -> None:
    async with hosting(drain=3, close_timeout=60) as host:
        await host.member("ann")

        host.server.stop()
        await host.pass_time(2.9)
        assert not host.server.ended.is_set()
        await host.pass_time(0.1)

        assert host.server.ended.is_set()


# ---------------------------------------------------------------- nothing is left


async def test_nothing_is_left_of_those_who_have_gone() -> None:
    """A deadline is noted with the connection whose it is, until it would have come."""
    async with hosting(login_timeout=5) as host:
        bob = await host.member("bob")
        for n in range(40):
            client = await host.client()
            await client.send(login(f"ann{n}"), message("hi", 2))
            if n % 2:
                client.reset()
            else:
                client.close()
        server = host.server
        while server.counters.accepted <= 40 or server.handshakes or len(server.connections) > 1:
            await bob.sync()
        await host.pass_time(5)

        gc.collect()
        [connection] = server.connections
        alive = [each for each in gc.get_objects() if type(each) is Session]
        assert alive == [connection.session]
