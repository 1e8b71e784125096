"""A room for asyncio: connect, say, listen. Lost connections are made again.

Rule: it carries bytes and time between one `ClientSession` and one event loop. It decides nothing
about the protocol.

Layer: above `room`; knows eventcodec and asyncio alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from eventcodec import ClientSession, Codec, Event, Outcome, Reply, SessionFullError

from .exceptions import check_credential
from .room import CLOSE_TIMEOUT, CONNECT_TIMEOUT, BaseRoom, Sayable, Status, as_event, position_of

__all__ = ["MAX_BACKLOG", "Room", "connect"]

MAX_BACKLOG = 1_000
"""Facts that are kept for the caller. A room with so many stops reading."""

Credential = bytes | Callable[[], bytes | Awaitable[bytes]]


def connect(
    host: str = "localhost",
    port: int = 3000,
    *,
    user: str = "",
    credential: Credential = b"",
    tls: SSLContext | bool = False,
    codec: Codec | None = None,
    listen: bool = True,
    heartbeat: float | None = None,
    on_status: Callable[[Status], object] = lambda status: None,
) -> Room:
    """Returns a room for `async with`. The room connects again when a connection is lost.

    `credential` is the bytes, or a function or coroutine function that returns them. It is called
    at each attempt. A credential that is not empty is sent only over TLS or to a loopback address.
    `tls` is an SSL context, or True for the certificates of the system. With `listen=False` the
    room drops all facts. `heartbeat` is the one of `ClientSession`. `on_status` is called with each
    change of the connection.

    `async with` raises OSError if the first connection cannot be made, PausedError if the server
    refuses this user, and PlaintextError if the credential may not be sent. EP-6.3-1.

    >>> async def main() -> None:
    ...     async with connect(user="ann") as room:
    ...         print(await room.say("hello"))
    """
    return Room(
        ClientSession(user, codec=codec or Codec(), heartbeat=heartbeat),
        host,
        port,
        credential=credential,
        tls=tls,
        listen=listen,
        on_status=on_status,
    )


class Room(BaseRoom):
    """A room; `connect` makes it. It is an async iterator of the facts of all other clients.

    The facts are `Message`, `Joined`, `Left`, application events and unknown events. The iteration
    ends when the room is left. It raises PausedError if the session waits for a decision.
    """

    def __init__(
        self,
        session: ClientSession,
        host: str,
        port: int,
        *,
        credential: Credential,
        **settings: Any,
    ) -> None:
        super().__init__(session, host, port, **settings)
        self._credential = credential
        self._outcomes: dict[int, asyncio.Future[Outcome]] = {}
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._interrupted: asyncio.Future[None]
        self._connection: _Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._interrupted = asyncio.get_running_loop().create_future()
        self._update()
        try:
            while self._is_entering:
                self._check()
                await self._change()
            self._check()
        except BaseException:
            self._abort()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Log out after all requests have their outcomes; after an exception leave at once."""
        try:
            if kind is None and self._may_go_on:
                self._log_out()
                self._update()
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    while not self._is_closed and self._may_go_on:
                        await self._change()
        except TimeoutError:
            pass
        finally:
            self._abort()

    async def say(self, what: Sayable) -> int:
        """Sends it exactly once. Returns its position in the log when the server has accepted it.

        Waits through lost connections, and while the session is full. Raises NotSaidError for
        every other outcome. Raises PausedError if the session waits for a decision; the session
        keeps the request. Raises BacklogError if `MAX_BACKLOG` facts wait to be taken. Raises
        LocalProtocolError if it cannot be sent.
        """
        outcome = await self.put(what)
        while not outcome.done():
            self._check()
            self._raise_if_full(MAX_BACKLOG)
            await asyncio.wait((outcome, self._interrupted), return_when=asyncio.FIRST_COMPLETED)
        return position_of(outcome.result())

    async def put(self, what: Sayable) -> asyncio.Future[Outcome]:
        """Gives it to the session, and returns the future of its outcome. Keeps the order.

        Waits only while the session is full. Raises the exceptions of `say`.
        """
        request = as_event(what)
        while True:
            self._check()
            try:
                number = self._session.say(request)
                break
            except SessionFullError:
                self._raise_if_full(MAX_BACKLOG)
                await self._change()
        future = self._outcomes[number] = asyncio.get_running_loop().create_future()
        self._update()
        return future

    def go_on(self, *, user: str | None = None, again: Iterable[Outcome] = ()) -> None:
        """Continues after a PausedError; see `ClientSession.go_on`.

        A request that is sent `again` has no future: its new outcome is not reported.
        """
        self._session.go_on(self._now(), user=user, again=again)
        self._paused = None
        self._update()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._facts:
            if self._is_closed:
                raise StopAsyncIteration
            self._check()
            await self._change()
        fact = self._facts.popleft()
        if len(self._facts) < MAX_BACKLOG // 2 and self._connection is not None:
            self._connection.resume_reading()
        return fact

    # ------------------------------------------------------------ between session and loop

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _change(self) -> None:
        """Wait until something has happened."""
        self._changed.clear()
        await self._changed.wait()

    @property
    def _may_go_on(self) -> bool:
        return self._paused is None and self._failure is None

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._raise_if_paused()

    def _notify(self) -> None:
        """Wake the callers that wait for a change, or for an outcome that cannot come now."""
        is_interrupted = len(self._facts) >= MAX_BACKLOG or not self._may_go_on
        if is_interrupted and not self._interrupted.done():
            self._interrupted.set_result(None)
        elif not is_interrupted and self._interrupted.done():
            self._interrupted = asyncio.get_running_loop().create_future()
        self._changed.set()

    def _update(self) -> None:
        """Do what follows from a change: take events, write, connect, set the timer."""
        self._take_events()
        connection = self._connection
        if connection is not None and not self._session.is_connected:
            connection.close()
            self._connection = connection = None
        if connection is not None:
            connection.write()
            if len(self._facts) >= MAX_BACKLOG:
                connection.pause_reading()
        if self._session.connect_at is not None and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        self._set_timer()
        self._notify()

    def _take_answer(self, answer: Outcome | Reply) -> None:
        assert isinstance(answer, Outcome), "it sends no Ping of its own"
        future = self._outcomes.pop(answer.number, None)
        if future is not None and not future.done():
            future.set_result(answer)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._session.next_timer
        # While reading is paused, the server seems silent and is not.
        if due is not None and self._connection is not None and self._connection.is_reading:
            self._timer = asyncio.get_running_loop().call_at(due, self._handle_timer)

    def _handle_timer(self) -> None:
        self._session.handle_timer(self._now())
        self._update()

    async def _connect(self) -> None:
        """Make one attempt at `connect_at`."""
        loop = asyncio.get_running_loop()
        due = self._session.connect_at
        assert due is not None
        connection = _Connection(self)
        try:
            await asyncio.sleep(due - loop.time())
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, _ = await loop.create_connection(
                    lambda: connection, *self._address, ssl=self._context
                )
            credential = self._credential() if callable(self._credential) else self._credential
            if inspect.isawaitable(credential):
                credential = await credential
            address = transport.get_extra_info("peername")[0]
            check_credential(credential, address, is_tls=self._context is not None)
        except (OSError, TimeoutError) as error:
            self._connecting = None
            connection.close()  # where it was the credential that failed
            if not self._was_connected:
                self._failure = error
            self._session.connection_lost(loop.time(), error)
        except BaseException as error:
            self._connecting = None
            connection.close()
            if not isinstance(error, Exception):
                raise
            self._failure = error
        else:
            self._connecting = None
            self._was_connected = True
            self._connection = connection
            self._session.connected(loop.time(), credential=credential)
            connection.deliver()
        if self._failure is None:
            self._update()
        self._notify()

    def _abort(self) -> None:
        """End the session and the connection. Each request gets its outcome."""
        self._session.close()
        self._take_events()
        for handle in (self._timer, self._connecting):
            if handle is not None:
                handle.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._notify()


class _Connection(asyncio.Protocol):
    """One connection of a room: the methods that asyncio calls, and those of its transport."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._transport: asyncio.Transport | None = None
        self._undelivered: list[bytes] = []
        self._has_ended = False
        self._may_write = True
        self.is_reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._undelivered.append(data)
        self.deliver()

    def eof_received(self) -> None:
        self._has_ended = True
        self.deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._has_ended = True
        self.deliver()

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self.deliver()

    def deliver(self) -> None:
        """Pass the received bytes to the session, if the room uses this connection."""
        room = self._room
        if room._connection is not self:
            return
        now = room._now()
        for data in self._undelivered:
            room._session.receive_data(data, now)
        self._undelivered.clear()
        if self._has_ended:
            room._session.receive_eof(now)
        room._update()

    def write(self) -> None:
        if self._may_write and self._transport is not None and not self._transport.is_closing():
            data = self._room._session.data_to_send()
            if data:
                self._transport.write(data)

    def pause_reading(self) -> None:
        if self.is_reading and self._transport is not None:
            self.is_reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_reading and self._transport is not None:
            self.is_reading = True
            self._transport.resume_reading()
            self._room._update()

    def close(self) -> None:
        """End it at once, over TLS with a close_notify.

        What the server does not take is dropped: a transport would wait for ever. Over TLS it
        would also wait for the server's close_notify, and the loop may end before that.
        """
        transport = self._transport
        if transport is not None:
            if not transport.get_write_buffer_size():
                transport.close()
            transport.abort()
