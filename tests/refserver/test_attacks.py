"""Attacks that worked once: on those who keep up, on memory, on the loop, on the log.

Each test plays the attacker; what it shows is that somebody else, or the server, is no
worse off.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import pytest
from tests.refserver.bare_room import BareRoom
from tests.support.raw import ACK, MESSAGE, login, message, ping
from tests.support.stopped import Host, HostedClient, hosting

from eventcodec import Message, Ping, Pong, decode, encode
from refserver.server import scheduler
from refserver.server.admission import SUPERSEDED
from refserver.server.connection import Connection
from refserver.server.turn import Turns
from refserver.session.state import State

MIB = 1 << 20


async def say(client: HostedClient, *requests: bytes) -> None:
    """Send all of this while reading the replies."""
    await asyncio.gather(client.send(*requests), client.frames(len(requests)))


# ---------------------------------------------------------------- those who keep up


@pytest.mark.proves("EP-5.3-2", "EP-7.2-3")
@pytest.mark.parametrize(
    ("size", "count", "settings"),
    [
        (1_000, 400, {"log_bytes": 65_536}),
        (60_000, 12, {"log_bytes": 65_536}),
    ],
    ids=["many at once", "each as long as the log"],
)
async def test_no_entry_is_dropped_before_it_was_given_out(
    size: int, count: int, settings: dict[str, int]
) -> None:
    async with hosting(**settings) as host:
        ann, bob = await host.member("ann"), await host.member("bob")

        await host.pass_time()
        for number in range(0, count, 100):
            run = range(number, min(number + 100, count))
            _, facts = await asyncio.gather(
                say(ann, *(message(b"x" * size, seq=2 + each) for each in run)),
                bob.frames(len(run)),
            )

            assert [(fact.type, fact.seq) for fact in facts] == [
                (MESSAGE, 3 + each) for each in run
            ]


async def test_two_entries_as_long_as_the_log_in_one_turn_reach_everybody() -> None:
    size = 65_000
    async with hosting(log_bytes=65_536) as host:
        authors = [await host.member(f"author-{number}") for number in range(4)]
        reader = await host.member("reader")
        await host.pass_time()
        for author in authors:
            await author.sync()

        await asyncio.gather(*(author.send(message(b"x" * size, seq=2)) for author in authors))
        facts = await reader.frames(len(authors))

        assert [fact.seq for fact in facts] == [6, 7, 8, 9]


# ---------------------------------------------------------------- memory


@pytest.mark.proves("EP-7.2-2")
def test_unread_replies_are_counted_with_what_they_cost_beside_their_bytes() -> None:
    """4,096 Pongs are 64 KiB on the wire and were ten times that in memory."""
    room = BareRoom()
    ann = room.enter("ann")

    ann.say(*[Ping(seq=1)] * 5_000)
    ann.work()
    unread = len(ann.read())

    assert 256 <= unread < 1_000
    ann.work()
    assert len(ann.read()) == unread


@pytest.mark.proves("EP-7.2-2")
async def test_who_waits_for_a_turn_is_not_read_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that were always full left the others unjudged, and read 64 KiB of each in each."""
    async with hosting() as host:
        clients = [await host.member() for _ in range(12)]
        await host.pass_time()
        monkeypatch.setattr(scheduler, "IN_SECONDS", -1.0)  # one client a turn

        for client in clients:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
            with suppress(BlockingIOError):
                for _ in range(64):
                    client.sock.send(ping(1) * 4_096)
        most = 0
        for _ in range(20):
            await asyncio.sleep(0)
            held = [connection.session.conn.held for connection in host.server.connections]
            most = max(most, *held)

        assert 4_096 * 16 < most <= 2 * 65_536


async def test_those_who_replay_a_long_history_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each was given all that its socket took, megabytes, while everybody else waited."""
    given: list[Counter[Connection]] = [Counter()]
    write, run = Connection.write, Turns.run

    def noting(connection: Connection, data: bytes | memoryview) -> None:
        given[-1][connection] += 1
        write(connection, data)

    def counting(turns: Turns) -> None:
        given.append(Counter())
        run(turns)

    async with hosting(presence=False) as host:
        ann = await host.member("ann")
        absent = {name: await host.client() for name in ("first", "second")}
        tickets = {name: (await client.join(name)).ticket for name, client in absent.items()}
        for client in absent.values():
            client.close()
        for seq in range(2, 42):
            await say(ann, message(b"x" * 60_000, seq=seq))
        most = 2 + 1  # chunks, and one of what was entered meanwhile
        monkeypatch.setattr(Connection, "write", noting)
        monkeypatch.setattr(Turns, "run", counting)

        again = [await host.client() for _ in absent]
        await host.pass_time()
        for client, (name, ticket) in zip(again, tickets.items(), strict=True):
            client.sock.send(login(name, ticket=ticket, position=0))
        # Somebody speaks meanwhile, so that the log is given out while they replay.
        ann.sock.send(message(b"meanwhile", seq=42))
        await asyncio.gather(*(client.frames(1 + 41) for client in again))

        assert sum(turn.total() for turn in given) > 2 * most
        assert max(count for turn in given for count in turn.values()) <= most


@pytest.mark.unmeasured
async def test_who_comes_and_goes_leaves_nothing_behind() -> None:
    """A deadline far away kept the connection whose it was, and all that belonged to it."""
    async with hosting(heartbeat=60_000, login_timeout=60_000.0) as host:
        gone: list[weakref.ref[object]] = []
        for _ in range(300):
            client = await host.member("ann")
            gone += map(weakref.ref, host.server.connections)
            client.close()
            await host.pass_time()
        gc.collect()

        assert sum(connection() is not None for connection in gone) < 100


@pytest.mark.unmeasured
async def test_deadlines_that_move_leave_nothing_behind() -> None:
    """Each time that the rate limit slowed a client, its far deadline was noted once more."""
    async with hosting(rate=1.0, heartbeat=60_000) as host:
        client = await host.member()
        for number in range(200):
            await client.send(ping(1 + number))
            await host.pass_time(1.0)

        assert len(host.server.timers) < 100


def test_a_long_entry_is_shared_also_by_those_who_read_something_of_their_own_first() -> None:
    """Joined to a Pong, an entry of 16 MiB was copied for each member that had asked."""
    room = BareRoom(max_frame=2 * MIB, presence=False)
    readers, author = [room.enter("ann"), room.enter("bob")], room.enter("cat")
    for reader in readers:
        reader.say(Ping(seq=2))
        reader.work()
    author.ask(Message(content="x" * MIB, seq=2))

    pieces = []
    for reader in readers:
        assert reader.session.outbox.next_chunk() == encode(Pong(seq=2))
        piece = reader.session.outbox.next_chunk()
        assert isinstance(piece, memoryview)
        pieces.append(piece)

    assert pieces[0].obj is pieces[1].obj
    rest = b"".join(iter(readers[0].session.outbox.next_chunk, b""))
    assert decode(bytes(pieces[0]) + rest) == Message(content="x" * MIB, sender="cat", seq=1)


# ---------------------------------------------------------------- those who are gone, and do not go


@pytest.mark.proves("EP-7.2-2")
async def test_of_who_is_gone_nothing_is_held() -> None:
    """A session outlived its connection in the timer's list, with the frame that it had begun."""
    async with hosting() as host:
        ann = await host.member("ann")
        session = next(iter(host.server.connections)).session
        await ann.send(message(b"x" * 60_000, seq=2)[:-1])
        await host.pass_time()
        assert session.conn.held > 60_000

        ann.reset()
        await host.pass_time()

        assert session.conn.held == 0
        assert session.member not in host.server.room.members.values()


@pytest.mark.proves("EP-7.2-2")
async def test_of_a_stranger_one_frame_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was 64 KiB, as of a member: one turn answers fewer Pings than one read brings."""
    async with hosting(unauthenticated=100) as host:
        clients = [await host.client() for _ in range(12)]
        await host.pass_time()
        monkeypatch.setattr(scheduler, "IN_SECONDS", -1.0)  # one client a turn

        for client in clients:
            with suppress(BlockingIOError):
                client.sock.send(ping(1) * 4_096)
        most = 0
        for _ in range(40):
            await asyncio.sleep(0)
            most = max(
                most, *(connection.session.conn.held for connection in host.server.connections)
            )

        assert 0 < most <= 2 * 4_100


@pytest.mark.proves("EP-10.3-3")
@pytest.mark.parametrize("count", [100, 3_500])
async def test_what_was_read_before_a_client_closed_is_carried_out(count: int) -> None:
    """Where its unread replies held up its requests, those were forgotten with it."""
    async with hosting(presence=False) as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        data = message(b"x", seq=2) * count

        assert ann.sock.send(data) == len(data)
        ann.close()
        await host.pass_time()

        facts = await bob.sync()
        assert [fact.seq for fact in facts] == list(range(1, count + 1))


SMALL = 4_096
"""A socket's buffer that is soon full."""


async def narrow(host: Host, user: str = "") -> tuple[HostedClient, Connection]:
    """Somebody for whom the kernel holds little."""
    client = await host.client(receive_buffer=SMALL)
    if user:
        await client.join(user)
    await host.pass_time()
    connection = list(host.server.connections)[-1]
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    return client, connection


async def talk_until(host: Host, so: Callable[[], bool]) -> None:
    """Somebody says one thing after the other, until it is so."""
    ann = await host.member("ann")
    for seq in count(2):
        if so():
            return
        await say(ann, message(b"x" * 4_000, seq))


async def sip(host: Host, client: HostedClient, seconds: float) -> None:
    """Take a little, and let some time pass."""
    with suppress(OSError):
        client.sock.recv(SMALL)
    await host.pass_time(seconds)


async def test_who_ends_the_stream_and_takes_nothing_is_not_waited_for() -> None:
    """Over TLS asyncio closes at the client's end, and waits for what is written for ever."""
    async with hosting(close_timeout=2.0, write_timeout=10.0, heartbeat=0, presence=False) as host:
        slow, connection = await narrow(host, "slow")
        await talk_until(host, lambda: not connection.writable)
        connection.descriptor = -1  # as over TLS

        slow.end()
        for _ in range(4):
            await host.pass_time(2.0)

        assert connection not in host.server.connections


async def test_who_was_evicted_and_takes_a_little_now_and_then_is_gone_in_the_end() -> None:
    """Each byte that it took gave it as much time again, and it kept its place for ever."""
    settings = {"log_bytes": 65_536, "heartbeat": 0, "presence": False}
    async with hosting(close_timeout=2.0, write_timeout=10.0, **settings) as host:
        slow, connection = await narrow(host, "slow")
        await talk_until(host, lambda: connection.session.state >= State.SUPERSEDED)

        for _ in range(10):
            await sip(host, slow, 1.5)

        assert connection not in host.server.connections


async def test_a_stranger_that_takes_a_little_now_and_then_is_gone_in_the_end() -> None:
    """While its own unread replies kept the server from reading, no clock judged it."""
    async with hosting(login_timeout=5.0, close_timeout=2.0, write_timeout=10.0) as host:
        stranger, connection = await narrow(host)

        for _ in range(14):
            with suppress(OSError):
                stranger.sock.send(ping(1) * 4_096)
            await sip(host, stranger, 1.5)

        assert connection not in host.server.connections


# ---------------------------------------------------------------- one user's share


async def with_a_history(host: Host, user: str) -> int:
    """The ticket of somebody who is absent, and has a history to read."""
    absent = await host.client()
    ticket = (await absent.join(user)).ticket
    absent.close()
    author = await host.member("author")
    for seq in range(2, 202):
        await author.send(message(bytes(60_000), seq))
        await author.until(ACK)
    return ticket


@pytest.mark.proves("EP-7.2-3")
async def test_connections_that_were_taken_over_hold_few_places() -> None:
    """The holder of one token filled the server with connections that it resumed from."""
    async with hosting(presence=False, heartbeat=0, connections=16, log_bytes=16 * MIB) as host:
        ticket = await with_a_history(host, "eve")

        for _ in range(20):
            slow = await host.client(receive_buffer=SMALL)
            await slow.send(login("eve", ticket=ticket, position=0))
            await host.pass_time()

        users = [each.session.member for each in host.server.connections]
        assert [each.user for each in users if each].count("eve") == 1 + SUPERSEDED
        await host.member("bob")  # those that wait for eve's share go first


async def test_a_connection_that_was_taken_over_is_borne_for_a_while_however_it_reads() -> None:
    async with hosting(
        presence=False, heartbeat=0, log_bytes=16 * MIB, write_timeout=10.0, close_timeout=2.0
    ) as host:
        ticket = await with_a_history(host, "eve")
        slow = await host.client(receive_buffer=SMALL)
        await slow.send(login("eve", ticket=ticket, position=0))
        await host.pass_time()
        [old] = [each for each in host.server.connections if each.session.member is not None][1:]
        again = await host.client()
        await again.send(login("eve", ticket=ticket, position=200))
        await host.pass_time()
        assert old.session.state == State.SUPERSEDED

        for _ in range(8):
            await sip(host, slow, 2.0)

        assert old not in host.server.connections


async def test_who_has_been_replayed_much_waits_and_nobody_else_does() -> None:
    async with hosting(presence=False, heartbeat=0, log_bytes=16 * MIB) as host:
        ticket = await with_a_history(host, "eve")
        granted = host.server.counters.sessions.logins

        for _ in range(10):
            one = await host.client()
            await one.send(login("eve", ticket=ticket, position=0))
            await host.pass_time()

        assert 4 <= host.server.counters.sessions.logins - granted <= 6
        assert (await (await host.client()).join("bob")).user == "bob"
        before = host.server.counters.sessions.logins
        await host.pass_time(8.0)
        assert host.server.counters.sessions.logins > before
