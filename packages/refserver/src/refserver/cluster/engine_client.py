"""The connections of one node to Redis: one for its calls, one that reads the stream.

Rule: it carries bytes and keeps time; what they mean is the node's business. No call is
repeated by a library, and a connection on which anything went wrong is closed: the next one
opens first, with what the node has read.

Layer: the top of `cluster`, below `server`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from ..session.log import Log
from .calls import EngineError, Reap, Status
from .node import Call, Node, Phase, Settings, format_place
from .records import BrokenRecord, Place, Record
from .scripts import Script, keys, script
from .sequencer import ClusterSequencer

__all__ = ["EngineClient", "EngineCounters"]

RENEWAL = 1.0
"""Seconds after which a node that asks nothing says that it is there."""

DEADLINE = 3.0
"""Seconds for an answer of the engine; then the connection is given up."""

BLOCK = 1_000
"""Milliseconds that a read waits for a record."""

RECORDS = 4
"""Records read at a time: a record has up to the bytes of a turn."""

LONGEST_PAUSE = 1.0
SHORTEST_PAUSE = 0.05
"""Seconds between two attempts to reach the engine."""

PERSISTENT = {"appendonly": "yes", "appendfsync": "always"}

LogEvent = Callable[..., None]


@dataclass(slots=True)
class EngineCounters:
    """What a client of the engine has done since the start."""

    calls: int = 0
    waited: float = 0.0  # seconds, for the answers to these calls
    repeats: int = 0
    reconnects: int = 0
    fencings: int = 0
    losses: int = 0  # of the engine's data


class EngineClient:
    """A node's way to the engine. `sequencer` is what the sessions of this process use.

    `began` is called with each new log, `progressed` when the log or a session has something
    new, and `log_event` for the lines of the server's log.

    It has more than twenty methods and fifteen attributes: it carries the calls and the stream,
    and is the host of its `ClusterSequencer`.
    """

    def __init__(
        self,
        url: str,
        room: str,
        settings: Settings,
        *,
        timeout: float,
        began: Callable[[Log], None],
        progressed: Callable[[], None],
        log_event: LogEvent,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.counters = EngineCounters()
        self._url = url
        self._room = room
        self._keys = keys(room)
        self._timeout = timeout
        self._began = began
        self._progressed = progressed
        self._log_event = log_event
        self._credentials = credentials
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()  # the node has something to call
        self._reads = asyncio.Event()  # it may read on
        self._heard_at = self._loop.time()
        self._away = ""  # why the engine did not answer the last call
        self._is_full = False  # so much waits for the engine that no request is read
        self._run_id = ""
        self._durable = False
        self._scripts = {
            (name, small): script(name, without_memory=small)
            for name, small in (("open", False), ("turn", False), ("turn", True))
        }
        self._has_flags = True
        self._tasks: list[asyncio.Task[None]] = []
        self.sequencer = ClusterSequencer(settings, self)

    @property
    def node(self) -> Node:
        """The node under its present identity."""
        return self.sequencer.node

    # ------------------------------------------------------------- the sequencer's host

    def new_ticket(self) -> int:
        return secrets.randbits(64) or 1

    def new_identity(self) -> str:
        return secrets.token_hex(16)

    def has_asked(self) -> None:
        self._asked.set()
        if self.sequencer.is_full and not self._is_full:
            self._is_full = True
            self._log_event("engine", level=logging.WARNING, unplaced_bytes=self.node.unplaced)

    def began(self, log: Log) -> None:
        self._began(log)

    def ended(self, *, fenced: bool) -> None:
        self.counters.fencings += fenced
        self.counters.losses += not fenced
        self._log_event("engine", level=logging.WARNING, ended="fenced" if fenced else "lost")

    # ------------------------------------------------------------- start and stop

    async def start(self) -> None:
        """Connect, and come into the room. Raises EngineError."""
        try:
            client = await self._connect()
            try:
                await self._warn(client)
                await self._come(client)
            except BaseException:
                await close(client)
                raise
        except (OSError, RedisError, TimeoutError) as error:
            raise EngineError(f"cannot use {self._place}: {one_line(error)}") from None
        self._is_there()
        self._tasks = [
            self._loop.create_task(self._call(client)),
            self._loop.create_task(self._read()),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def _come(self, client: redis.Redis) -> None:
        """Open until the room lets us in. Others may have to vouch for their places first."""
        await self._open(client)
        while self.node.phase is not Phase.OPEN:
            await asyncio.sleep(SHORTEST_PAUSE)
            await self._open(client)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler(
                {"message": "the client of the engine", "exception": error}
            )

    async def stop(self) -> None:
        """Retire the node, as far as the engine answers within a deadline."""
        self.sequencer.retire()
        by = self._loop.time() + DEADLINE
        node = self.node
        while node.has_asked or node.in_flight:
            if node.phase is not Phase.OPEN or self._loop.time() >= by:
                break
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _place(self) -> str:
        return self._url.partition("?")[0]

    # ------------------------------------------------------------- connections

    def _client(self) -> redis.Redis:
        named: dict[str, Any] = {}
        if self._credentials is not None:
            named["username"], named["password"] = self._credentials
        return redis.Redis.from_url(
            self._url,
            single_connection_client=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=DEADLINE,
            health_check_interval=0,
            **named,
        )

    async def _connect(self) -> redis.Redis:
        """A connection that knows the scripts, and whose engine is known."""
        client = self._client()
        try:
            async with asyncio.timeout(DEADLINE):
                server = await client.info("server")
                self._run_id = str(server["run_id"])
                self._has_flags = int(str(server["redis_version"]).split(".")[0]) >= 7
                self._durable = await setting(client, PERSISTENT) == PERSISTENT
                for (_, small), each in self._scripts.items():
                    if self._has_flags or not small:
                        await client.script_load(each.text)
        except BaseException:
            await client.aclose()
            raise
        return client

    async def _warn(self, client: redis.Redis) -> None:
        """Log a warning for each setting of the engine with which it can lose the room."""
        if not self._has_flags:
            self._log_event("engine", level=logging.WARNING, warning="older than Redis 7")
        wanted = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
        for name, value in (await setting(client, wanted)).items():
            if value != wanted[name]:
                self._log_event("engine", level=logging.WARNING, warning=f"{name} {value}")

    async def _run(self, client: redis.Redis, what: Script, words: Sequence[Any]) -> Any:
        """One call of a script; no longer than the deadline."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await client.evalsha(what.sha, len(self._keys), *self._keys, *words)
            except NoScriptError:
                await client.script_load(what.text)
                return await client.evalsha(what.sha, len(self._keys), *self._keys, *words)

    # ------------------------------------------------------------- calls

    async def _open(self, client: redis.Redis) -> None:
        """Say to a new connection what the node has read. Raises EngineError for CONFIG."""
        node = self.node
        comes = node.header is None
        words = node.open_arguments(self._run_id, self._durable, secrets.token_hex(16))
        reply = await self._run(client, self._scripts["open", False], words)
        status = Status(reply[0].decode())
        told = reply[1] if len(reply) > 1 else b""
        if status is Status.CONFIG:
            raise EngineError(f"the other nodes of the room have other settings: {told.decode()}")
        node.opened(status, told)
        if comes and node.header is not None:
            self._log_event("engine", url=self._place, room=self._room, node=node.identity)
        self._reads.set()

    async def _call(self, client: redis.Redis | None) -> None:
        """Call, as long as the node has something to say; it says at least that it is there."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                if client is None:
                    client = await self._connect()
                    self.counters.reconnects += 1
                    await self._open(client)
                await self._converse(client)
            except (OSError, RedisError, TimeoutError, EngineError) as error:
                self._is_away(one_line(error))
                if client is not None:
                    self.node.disconnected()
                    await close(client)
                    client = None
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except BaseException:
                if client is not None:
                    await close(client)
                raise
            else:
                pause = SHORTEST_PAUSE

    async def _converse(self, client: redis.Redis) -> None:
        """One call, or what the node's state wants instead."""
        node = self.node
        if node.phase is Phase.OVER:  # it stops
            await asyncio.sleep(RENEWAL)
            return
        if node.phase is not Phase.OPEN:
            await asyncio.sleep(SHORTEST_PAUSE)
            await self._open(client)
            if node.phase is Phase.CLOSED:
                self._is_away("the other nodes have not vouched for their places")
            return
        if not node.has_asked:
            self._asked.clear()
            try:
                async with asyncio.timeout(RENEWAL):
                    await self._asked.wait()
            except TimeoutError:
                pass
            if node is not self.node or node.phase is not Phase.OPEN:
                return
        call = node.next_call()
        if call.repeats:
            self.counters.repeats += 1
            self._log_event("engine", repeats=call.number)
        began = self._loop.time()
        reply = await self._run(client, self._script_of(call), call.arguments)
        self.counters.calls += 1
        self.counters.waited += self._loop.time() - began
        self._is_there()
        self._answered(node, call, reply)

    def _script_of(self, call: Call) -> Script:
        return self._scripts["turn", self._has_flags and call.makes_room]

    def _answered(self, node: Node, call: Call, reply: Sequence[bytes]) -> None:
        status = Status(reply[0].decode())
        node.answered(call.number, status, reply[1] if len(reply) > 1 else b"")
        for operation, _ in call.operations:
            if isinstance(operation, Reap) and status is Status.OK:
                self._log_event("engine", dead=operation.victim)
        self._has_news()

    def _has_news(self) -> None:
        self._is_full = self.sequencer.is_full
        self._progressed()

    # ------------------------------------------------------------- whether it is there

    @property
    def away_for(self) -> float:
        """Seconds since the engine stopped answering; 0 while it answers."""
        return self._loop.time() - self._heard_at if self._away else 0.0

    def _is_away(self, why: str) -> None:
        if self._away != why:
            self._away = why
            self._log_event("engine", level=logging.WARNING, away=why)
        if self._loop.time() - self._heard_at >= self._timeout:
            self.sequencer.engine_is_away()
            self._progressed()

    def _is_there(self) -> None:
        now = self._loop.time()
        if self._away:
            self._away = ""
            self.sequencer.engine_is_back()
            self._log_event("engine", back_after=round(now - self._heard_at, 1))
        self._heard_at = now

    # ------------------------------------------------------------- reading

    async def _read(self) -> None:
        """Read the stream into the copy, whatever the node's identity."""
        client: redis.Redis | None = None
        try:
            while True:
                node = self.node
                if not node.reads:
                    self._reads.clear()
                    await self._reads.wait()
                    continue
                client = client or self._client()
                try:
                    is_good = await self._read_some(client, node)
                except (OSError, RedisError, TimeoutError):
                    is_good = False
                    await asyncio.sleep(SHORTEST_PAUSE)
                if not is_good:
                    await close(client)
                    client = None
        finally:
            if client is not None:
                await close(client)

    async def _read_some(self, client: redis.Redis, node: Node) -> bool:
        """The next records; False where this connection is not to be trusted."""
        place = format_place(node.place)
        async with asyncio.timeout(DEADLINE):
            found: Any = await client.xread({self._keys[1]: place}, count=RECORDS, block=BLOCK)
        records = found[0][1] if found else []
        if node is not self.node or not node.reads:
            return True
        for id, fields in records:
            try:
                follows = node.read(Record.parse(id.decode(), fields))
            except BrokenRecord as error:
                self._log_event("engine", level=logging.ERROR, broken=str(error))
                follows = False
                node.abandon()
            if self.node.phase is not Phase.OPEN:  # it opens, and need not wait for that
                self._asked.set()
            self._has_news()
            if not follows or not node.reads:
                return follows
        told = node.header
        if records or told is None or Place.parse(told.last) <= node.place:
            return True
        self._log_event("engine", level=logging.WARNING, lag_entries=node.lag)
        return False


async def setting(client: redis.Redis, wanted: dict[str, str]) -> dict[str, str]:
    """These settings of the engine, those that it tells."""
    try:
        told = await client.config_get(*wanted)
    except ResponseError:  # the user may not ask
        return {}
    return {str(name): str(value) for name, value in told.items()}


async def close(client: redis.Redis) -> None:
    """Close a connection on which anything may be half-way."""
    with suppress(OSError, RedisError):
        await client.aclose()


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
