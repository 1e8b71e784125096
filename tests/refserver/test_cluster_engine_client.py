"""A server with a shared room, whose Redis is the model of the engine: what can go wrong.

Rule: what the library does is written here once; the rest is the product, the server too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from hashlib import sha1
from typing import Any

import pytest
from tests.refserver.engine import Engine, Fields, NodeRow, State, read_id, written
from tests.support.raw import (
    ACK,
    HISTORY_GONE,
    JOINED,
    LEFT,
    MESSAGE,
    PONG,
    UNAVAILABLE,
    ErrorReply,
    error_of,
    login,
    message,
    ping,
)
from tests.support.stopped import STEP, TURNS_A_STEP, Host, HostedClient, StoppedLoop

from refserver.cluster.engine_client import DEADLINE, RENEWAL, EngineClient, EngineCounters
from refserver.cluster.scripts import script
from refserver.server.config import Config, ConfigError
from refserver.server.logs import LOG
from refserver.server.server import Server

redis = pytest.importorskip("redis")

SMALL = script("turn", without_memory=True).sha
SCRIPTS = {script("open").sha: "open", script("turn").sha: "turn", SMALL: "turn"}
URL = "redis://model/0?protocol=2"
LOG_TIMEOUT = 10.0
LONGEST = 10_000
"""Steps of the clock in which everything ends."""
LOST = redis.ConnectionError("the answer is lost")
AWAY = redis.ConnectionError("nobody\n is there")


class Redis:
    """One Redis, as the library shows it: the model of the engine behind connections."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.version = "7.0.15"
        self.settings = {
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
        }
        self.fails: defaultdict[str, deque[Exception]] = defaultdict(deque)
        """What the next calls of a command meet; they are not carried out."""
        self.loses: Counter[str] = Counter()
        """So many calls of a script are carried out, and the answer is lost."""
        self.hangs: set[str] = set()
        """Commands that are not answered."""
        self.connections: list[Connection] = []
        self.loaded: set[str] = set()
        self.flags: list[bool] = []
        """Of each turn, whether it may run without memory."""
        self.is_silent = False
        """Whether a reader is told of no record."""
        self._changed = asyncio.Event()

    @property
    def state(self) -> State:
        """What it has of the room."""
        assert self.engine.state is not None
        return self.engine.state

    def from_url(self, url: str, **options: Any) -> Connection:
        assert url == URL
        self.connections.append(Connection(self))
        return self.connections[-1]

    async def reach(self, command: str) -> None:
        """A command comes to it."""
        while command in self.hangs:
            await asyncio.sleep(3_600)
        if self.fails[command]:
            raise self.fails[command].popleft()
        self.engine.time = round(asyncio.get_running_loop().time() * 1_000)

    def break_connections(self) -> None:
        """Every connection ends."""
        for each in self.connections:
            each.is_broken = True
        self.tell()

    def restart(self) -> None:
        """Another process answers, with all data and no scripts."""
        self.engine.restart()
        self.loaded.clear()
        self.break_connections()

    def tell(self) -> None:
        """Those who wait for a record look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


class Connection:
    """What the server uses of `redis.asyncio.Redis`."""

    def __init__(self, server: Redis) -> None:
        self._server = server
        self.is_broken = False

    async def _reach(self, command: str) -> None:
        if self.is_broken:
            raise AWAY
        await self._server.reach(command)
        if self.is_broken:
            raise AWAY

    async def info(self, section: str) -> dict[str, str]:
        await self._reach("info")
        return {
            "run_id": self._server.engine.run_id.decode(),
            "redis_version": self._server.version,
        }

    async def config_get(self, *names: str) -> dict[str, str]:
        await self._reach("config_get")
        return {name: self._server.settings[name] for name in names}

    async def script_load(self, text: str) -> None:
        await self._reach("script_load")
        self._server.loaded.add(sha1(text.encode()).hexdigest())

    async def evalsha(self, sha: str, count: int, *words: Any) -> list[bytes]:
        server, name = self._server, SCRIPTS[sha]
        await self._reach("evalsha")
        await self._reach(name)
        if sha not in server.loaded:
            raise redis.exceptions.NoScriptError("NOSCRIPT")
        encoded = [
            each if isinstance(each, bytes) else str(each).encode() for each in words[count:]
        ]
        reply: list[bytes] = getattr(server.engine, name)(encoded)
        if name == "turn":
            server.flags.append(sha == SMALL)
        server.tell()
        if server.loses[name]:
            server.loses[name] -= 1
            raise LOST
        return reply

    async def xread(self, streams: dict[str, str], count: int, block: int) -> list[Any]:
        await self._reach("xread")
        ((key, place),) = streams.items()
        if not (found := self._records(place, count)):
            await self._server.wait(block / 1_000)
            await self._reach("xread")
            found = self._records(place, count)
        return [[key, found]] if found else []

    def _records(self, place: str, count: int) -> list[tuple[bytes, Fields]]:
        if self._server.is_silent:
            return []
        found = self._server.engine.read(read_id(place.encode()), count)
        return [(written(id), fields) for id, fields in found]

    async def aclose(self) -> None:
        self._server.connections.remove(self)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """The Redis of this test."""
    server = Redis()
    monkeypatch.setattr("redis.asyncio.Redis", server)
    yield server
    assert server.connections == [], "a connection was left open"


class Lines:
    """What the servers have logged of their engine."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, LOG.name)
        self._caplog = caplog

    def of(self, name: str) -> list[Any]:
        """The values of this field, line by line."""
        every = [getattr(each, "fields", {}) for each in self._caplog.records]
        return [fields[name] for fields in every if name in fields]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setattr(LOG, "propagate", True)  # a server in this process may have ended that
    return Lines(caplog)


class Sharing(Host):
    """A server of the room."""

    @property
    def client_of_engine(self) -> EngineClient:
        assert self.server.engine is not None
        return self.server.engine

    @property
    def node(self) -> str:
        """The identity of its node."""
        return self.client_of_engine.node.identity

    @property
    def counters(self) -> EngineCounters:
        return self.client_of_engine.counters

    async def until(self, happens: Callable[[], object]) -> None:
        """Let time pass until this is so."""
        for _ in range(LONGEST):
            if happens():
                return
            await self.pass_time(STEP)
        raise AssertionError("it never happens")

    async def ask(self, client: HostedClient, *data: bytes) -> None:
        """Send this, and let no time pass before the node has it."""
        await client.send(*data)
        while not self.client_of_engine.node.unplaced:
            await self.pass_time()

    async def leave(self) -> None:
        """As `refserver serve` does at its end."""
        self.server.stop()
        await self.server.ended.wait()
        await self.server.disconnect()


async def in_time(task: asyncio.Task[None]) -> None:
    """Let time pass until this is done."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StoppedLoop)
    for _ in range(LONGEST):
        if task.done():
            break
        loop.now += STEP
        for _ in range(TURNS_A_STEP):
            await asyncio.sleep(0)
    assert task.done()
    await task


@asynccontextmanager
async def sharing(**settings: Any) -> AsyncIterator[Sharing]:
    """A server of the room. At the end it has left, and nothing is left of it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StoppedLoop)
    shared = {"log": URL, "heartbeat": 0, "log_timeout": LOG_TIMEOUT}
    server = Server(Config(port=0, **{**shared, **settings}))
    await in_time(loop.create_task(server.connect()))
    host = Sharing(server, loop, server.start())
    try:
        yield host
    finally:
        for client in host.clients:
            client.close()
        await in_time(loop.create_task(host.leave()))


async def first(sharing: AbstractAsyncContextManager[Sharing]) -> None:
    """Come into the room, and leave it."""
    async with sharing:
        pass


# ---------------------------------------------------------------- the start


async def test_a_server_says_where_its_room_is_and_what_redis_may_lose(
    engine: Redis, lines: Lines
) -> None:
    engine.version = "6.2.0"
    engine.settings |= {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}

    async with sharing(room="lobby") as host:
        await (await host.client()).join("ann")

    assert lines.of("url") == ["redis://model/0"] and lines.of("room") == ["lobby"]
    assert sorted(lines.of("warning")) == [
        "appendonly no",
        "maxmemory-policy allkeys-lru",
        "older than Redis 7",
    ]
    assert not any(engine.flags), "an older Redis knows no flags of a script"


async def test_a_redis_that_does_not_tell_its_settings_is_used(engine: Redis, lines: Lines) -> None:
    engine.fails["config_get"] += [redis.ResponseError("NOPERM")] * 2

    async with sharing() as host:
        await (await host.client()).join("ann")

    assert lines.of("warning") == []


@pytest.mark.parametrize("command", ["info", "script_load", "evalsha", "config_get"])
async def test_a_redis_that_cannot_be_used_is_told_in_one_line(engine: Redis, command: str) -> None:
    engine.fails[command].append(AWAY)

    with pytest.raises(ConfigError, match=r"^--log: cannot use redis://model/0: nobody is there$"):
        async with sharing():
            pass


async def test_a_redis_that_does_not_answer_at_the_start_is_given_up(engine: Redis) -> None:
    engine.hangs.add("open")

    with pytest.raises(ConfigError, match=r"^--log: cannot use redis://model/0: TimeoutError$"):
        async with sharing():
            pass


async def test_a_server_with_other_settings_is_told_those_of_the_room(engine: Redis) -> None:
    async with sharing():
        with pytest.raises(ConfigError, match="the other nodes of the room have other settings: "):
            async with sharing(max_frame=4_096):
                pass


async def test_a_server_that_comes_while_others_vouch_waits_for_them(
    engine: Redis, lines: Lines
) -> None:
    async with sharing() as here:
        engine.hangs.add("turn")
        await here.pass_time(RENEWAL)
        engine.restart()
        coming = here.loop.create_task(first(sharing()))
        await here.pass_time(DEADLINE / 2)
        assert not coming.done(), "nobody knows what the other one has read"

        engine.hangs.clear()
        await here.pass_time(2 * DEADLINE)
        assert coming.done()
        await coming
        assert len(lines.of("node")) == 2


# ---------------------------------------------------------------- calls


@pytest.mark.parametrize("asks", [message(b"x", 2), ping(2)])
async def test_an_answer_that_is_lost_is_asked_for_again_if_the_stream_does_not_have_it(
    engine: Redis, lines: Lines, asks: bytes
) -> None:
    async with sharing() as host:
        ann, eve = await host.member("ann"), await host.member("eve")
        await ann.until(JOINED)
        engine.loses["turn"] = 3
        await ann.send(asks)
        await host.until(lambda: host.counters.reconnects == 3)
        told = await ann.frame()
        await eve.send(message(b"last", 2))

        heard = await eve.until(ACK)
        assert [each.type for each in heard] == [MESSAGE] * (told.type == ACK) + [ACK]
        assert host.counters.repeats == len(lines.of("repeats")) > 0
        assert lines.of("away") == [str(LOST)]
        assert host.counters.waited == 0, "the clock stands still"


async def test_a_redis_that_has_forgotten_the_scripts_gets_them_again(engine: Redis) -> None:
    async with sharing() as host:
        ann = await host.member("ann")
        engine.loaded.clear()
        await ann.send(message(b"hello", 2))

        assert (await ann.frame()).type == ACK
        assert host.counters.reconnects == 0


async def test_what_makes_no_room_bigger_may_run_without_memory(engine: Redis) -> None:
    async with sharing() as host:
        ann = await host.member("ann")
        await ann.send(ping(2))
        await ann.until(PONG)
        may = list(engine.flags)
        await ann.send(message(b"x", 3))
        await ann.until(ACK)

        assert may[-1] and not may[0], "a Ping may, a Login may not"
        assert not engine.flags[len(may)]


async def test_a_server_says_each_second_that_it_is_there(engine: Redis) -> None:
    async with sharing() as host:
        before = host.counters.calls
        await host.pass_time(10.5 * RENEWAL)

        assert host.counters.calls - before == 10


async def test_a_server_whose_members_only_read_makes_no_calls_for_that(engine: Redis) -> None:
    async with sharing() as here, sharing() as there:
        ann, eve = await here.member("ann"), await there.member("eve")
        await ann.until(JOINED)
        before = there.counters.calls
        for number in range(2, 12):
            await ann.send(message(b"x", number))
            await ann.until(ACK)
        await eve.frames(10)

        assert there.counters.calls == before


# ---------------------------------------------------------------- an engine that is away


async def test_an_engine_that_does_not_answer_is_away_until_it_does(
    engine: Redis, lines: Lines
) -> None:
    async with sharing() as host:
        ann = await host.member("ann")
        engine.hangs |= {"turn", "xread"}
        await host.ask(ann, message(b"hello", 2))
        await host.pass_time(DEADLINE + 1)
        assert host.client_of_engine.away_for > DEADLINE
        assert lines.of("away") == ["TimeoutError"]
        engine.hangs.clear()
        await host.pass_time(2 * DEADLINE)

        assert (await ann.frame()).type == ACK
        assert host.client_of_engine.away_for == 0
        assert len(lines.of("back_after")) == 1


async def test_without_the_engine_for_long_members_and_newcomers_are_told(
    engine: Redis, lines: Lines
) -> None:
    async with sharing() as host:
        ann, eve = await host.member("ann"), await host.member("eve")
        engine.hangs |= {"turn", "open", "info", "xread"}
        await host.ask(ann, message(b"?", 2))
        await host.pass_time(LOG_TIMEOUT + 2 * DEADLINE)

        assert [each.type for each in await ann.rest()] == [JOINED], "nobody knows"
        assert await eve.last() == ErrorReply(0, UNAVAILABLE)
        late = await host.client()
        await late.send(login("late"))
        assert await late.last() == ErrorReply(0, UNAVAILABLE)

        engine.hangs.clear()
        await host.pass_time(2 * DEADLINE)
        again = await host.member("late")
        assert await again.sync() == []
        assert len(lines.of("away")) == len(lines.of("back_after")) == 1


async def test_a_server_waits_for_one_that_does_not_vouch_until_its_lease_is_over(
    engine: Redis, lines: Lines
) -> None:
    async with sharing() as host:
        ann = await host.member("ann")
        state = engine.state
        state.nodes[b"silent"] = NodeRow((0, 0), deadline=state.clock + 4_000)
        engine.restart()
        await ann.send(message(b"x", 2))
        await host.until(lambda: len(lines.of("away")) > 1)
        assert lines.of("away") == [
            "nobody is there",
            "the other nodes have not vouched for their places",
        ]
        assert lines.of("dead") == lines.of("back_after") == []
        await host.until(lambda: lines.of("dead"))

        assert (await ann.frame()).type == ACK
        assert lines.of("dead") == ["silent"]
        assert list(state.nodes) == [host.node.encode()]


async def test_an_engine_that_comes_back_empty_ends_all(engine: Redis, lines: Lines) -> None:
    async with sharing() as host:
        ann = await host.client()
        ticket = (await ann.join("ann")).ticket
        engine.engine.state = None
        engine.restart()
        await host.pass_time(2 * RENEWAL)

        assert await ann.last() == ErrorReply(0, UNAVAILABLE)
        assert lines.of("ended") == ["lost"] and host.counters.losses == 1
        again = await host.client()
        await again.send(login("ann", ticket=ticket, position=1))
        assert error_of(await again.frame()).code == HISTORY_GONE


async def test_a_server_reads_no_more_requests_while_much_waits_for_the_engine(
    engine: Redis, lines: Lines
) -> None:
    large = 1 << 20
    async with sharing(max_frame=2 * large, log_timeout=1_000.0) as host:
        ann = await host.member("ann")
        engine.hangs.add("turn")
        sending = host.loop.create_task(
            ann.send(*[message(bytes(large), 2 + each) for each in range(20)])
        )
        await host.until(lambda: lines.of("unplaced_bytes"))
        assert not sending.done()
        assert lines.of("unplaced_bytes") == [host.client_of_engine.node.unplaced]
        assert 8 * large <= host.client_of_engine.node.unplaced < 10 * large
        engine.hangs.clear()
        await host.pass_time(DEADLINE)

        acks = [await ann.frame() for _ in range(20)]
        assert [each.type for each in acks] == [ACK] * 20
        await sending


async def test_an_error_that_nobody_expected_is_told_to_the_loop(engine: Redis) -> None:
    async with sharing() as host:
        engine.fails["turn"].append(bug := RuntimeError("a bug"))
        await host.pass_time(RENEWAL)

        (told,) = host.loop.unhandled
        assert told["exception"] is bug
        host.loop.unhandled.clear()


# ---------------------------------------------------------------- the stream


async def test_a_record_that_no_node_has_written_ends_the_room_once(
    engine: Redis, lines: Lines
) -> None:
    async with sharing() as here, sharing() as there:
        ann, eve = await here.member("ann"), await there.member("eve")
        engine.state.stream[engine.state.end, 9] = {b"digest": b"of nothing"}
        engine.tell()
        await here.pass_time(3 * RENEWAL)

        for each in (ann, eve):
            assert await each.last() == ErrorReply(0, UNAVAILABLE)
        assert len(lines.of("broken")) == 2
        assert lines.of("ended") == ["lost"] * 2
        assert (here.counters.losses, there.counters.losses) == (1, 1)
        assert await (await here.member("ann")).sync() == []


async def test_a_reader_that_is_told_nothing_connects_again(engine: Redis, lines: Lines) -> None:
    async with sharing() as host:
        ann = await host.member("ann")
        engine.is_silent = True
        await ann.send(message(b"x", 2))
        await host.until(lambda: lines.of("lag_entries"))
        assert set(lines.of("lag_entries")) == {1}
        engine.is_silent = False
        await host.pass_time(1.5)

        assert (await ann.frame()).type == ACK


@pytest.mark.parametrize("stops", [False, True])
async def test_a_server_whose_lease_is_over_goes_on_under_a_new_identity(
    engine: Redis, lines: Lines, stops: bool
) -> None:
    async with sharing() as here, sharing() as there:
        ann, eve = await here.member("ann"), await there.member("eve")
        was = here.node
        if stops:
            here.client_of_engine.sequencer.shut()
        await here.pass_time(RENEWAL / 2)
        engine.state.nodes[was.encode()].deadline = 0
        await eve.send(ping(2))
        await eve.until(LEFT)
        await here.pass_time(2 * RENEWAL)

        assert await eve.sync() == []
        assert await ann.last() == ErrorReply(0, UNAVAILABLE)
        assert lines.of("dead") == [was]
        assert (lines.of("ended") == [], here.node == was) == (stops, stops)
        assert here.counters.fencings == (not stops)
        assert there.counters.fencings == 0


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("away", [["turn"], ["turn", "info", "xread"]])
async def test_a_server_ends_though_the_engine_does_not_answer(
    engine: Redis, away: list[str]
) -> None:
    async with sharing() as host:
        ann = await host.member("ann")
        engine.hangs |= set(away)
        await host.ask(ann, message(b"x", 2))
        await host.pass_time(DEADLINE + RENEWAL)
