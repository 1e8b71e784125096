"""A member of a room for asyncio: connect, say, listen; losses are the session's business.

Rule: it carries bytes, time and waiting between one `ClientSession` and one event loop, and
decides nothing about the protocol.

Layer: above `exceptions`; knows eventcodec and asyncio alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from ssl import SSLContext, create_default_context
from types import TracebackType
from typing import Self

from eventcodec import (
    ApplicationEvent,
    CaughtUp,
    ClientSession,
    Closed,
    Codec,
    Event,
    Fact,
    Fate,
    Gap,
    Message,
    Offline,
    Online,
    Outcome,
    Paused,
    SessionFullError,
    SessionState,
    Unknown,
)

from .exceptions import BacklogError, NotSaidError, PausedError, check_credential

__all__ = ["MAX_BACKLOG", "Room", "connect"]

MAX_BACKLOG = 1_000
"""Facts that are kept for somebody who does not take them; then the server is not read."""

CONNECT_TIMEOUT = 10.0
"""Seconds that an attempt to connect may take, its TLS handshake included."""

CLOSE_TIMEOUT = 10.0
"""Seconds that leaving waits for outcomes and the Ack of the Logout."""

Status = Online | CaughtUp | Offline | Gap | Paused | Closed
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
    """A room to enter with `async with`; it survives its connections.

    `credential` is bytes, or a function that is asked at each attempt and may be a coroutine;
    one that is not empty goes out over TLS or to a loopback address only. `tls` is true for
    the system's certificates, or a context. `listen` false drops the facts. `heartbeat` is that of
    `ClientSession`. `on_status` is told what happens to the connection.

    Entering raises OSError where the first connection cannot be made, PausedError where the
    server does not let this user in, and PlaintextError. Later losses are survived. EP-6.3-1.

    >>> async def main() -> None:
    ...     async with connect(user="ann") as room:
    ...         print(await room.say("hello"))
    """
    settings = {"heartbeat": heartbeat} | ({} if codec is None else {"codec": codec})
    context = create_default_context() if tls is True else tls or None
    return Room(
        ClientSession(user, **settings),  # type: ignore[arg-type]
        host,
        port,
        credential=credential,
        context=context,
        listen=listen,
        on_status=on_status,
    )


class Room:
    """A room that one is in; made by `connect`. An async iterator of facts.

    The facts are `Message`, `Joined`, `Left`, application events and unknown ones, of everybody
    else: what one says oneself comes back as the result of `say`. Iterating ends when the room is
    left. It raises PausedError where the session waits for a decision.
    """

    def __init__(
        self,
        session: ClientSession,
        host: str,
        port: int,
        *,
        credential: Credential,
        context: SSLContext | None,
        listen: bool,
        on_status: Callable[[Status], object],
    ) -> None:
        self._session = session
        self._address = (host, port)
        self._credential = credential
        self._context = context
        self._listens = listen
        self._on_status = on_status
        self._facts: deque[Event] = deque()
        self._outcomes: dict[int, asyncio.Future[Outcome]] = {}
        self._paused: Paused | None = None
        self._failure: Exception | None = None
        self._was_connected = False
        self._changed = asyncio.Event()
        self._trouble: asyncio.Future[None]
        self._link: _Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None

    @property
    def user(self) -> str:
        """The name that the server gave."""
        return self._session.user

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return self._session.state

    @property
    def position(self) -> int:
        """The last entry of the log that was read; facts that wait to be taken are counted."""
        return self._session.position

    async def __aenter__(self) -> Self:
        self._trouble = asyncio.get_running_loop().create_future()
        self._pump()
        try:
            while self._session.state in (SessionState.WAITING, SessionState.LOGIN):
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
        """Log out behind all that was said; at an error leave at once."""
        try:
            if kind is None and self._paused is None and self._failure is None:
                self._listens = False
                self._facts.clear()
                self._session.logout()
                self._pump()
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    while self._session.state is not SessionState.CLOSED:
                        if self._paused is not None or self._failure is not None:
                            break
                        await self._change()
        except TimeoutError:
            pass
        finally:
            self._abort()

    async def say(self, what: str | Message | ApplicationEvent) -> int:
        """Say it, exactly once; gives its position in the log when the server has accepted it.

        Waits over losses, and for room where much is waiting already. Raises NotSaidError for
        every other outcome, PausedError where the session waits for a decision (what was said
        stays in it), BacklogError where facts pile up that nobody takes, and
        LocalProtocolError for what cannot be said.
        """
        said = await self.put(what)
        while not said.done():
            self._check()
            self._check_backlog()
            await asyncio.wait((said, self._trouble), return_when=asyncio.FIRST_COMPLETED)
        outcome = said.result()
        if outcome.fate is not Fate.ACKNOWLEDGED:
            raise NotSaidError(outcome)
        return outcome.position

    async def put(self, what: str | Message | ApplicationEvent) -> asyncio.Future[Outcome]:
        """Hand it to the session, in order; gives the future of its outcome.

        Waits only while the session is full. Raises as `say` does.
        """
        request = Message(content=what) if isinstance(what, str) else what
        while True:
            self._check()
            try:
                number = self._session.say(request)
                break
            except SessionFullError:
                self._check_backlog()
                await self._change()
        future = self._outcomes[number] = asyncio.get_running_loop().create_future()
        self._pump()
        return future

    def go_on(self, *, user: str | None = None, again: Iterable[Outcome] = ()) -> None:
        """Go on behind a PausedError; see `ClientSession.go_on`.

        What is said `again` has no future: its outcome is not told a second time.
        """
        self._session.go_on(self._now(), user=user, again=again)
        self._paused = None
        self._pump()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._facts:
            if self._session.state is SessionState.CLOSED:
                raise StopAsyncIteration
            self._check()
            await self._change()
        fact = self._facts.popleft()
        if len(self._facts) < MAX_BACKLOG // 2 and self._link is not None:
            self._link.read_again()
        return fact

    # ------------------------------------------------------------ between session and loop

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _change(self) -> None:
        """Wait until something has happened."""
        self._changed.clear()
        await self._changed.wait()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._paused is not None:
            raise PausedError(self._paused)

    def _check_backlog(self) -> None:
        if len(self._facts) >= MAX_BACKLOG:
            raise BacklogError(f"{len(self._facts)} facts wait to be taken")

    def _tell(self) -> None:
        """Wake everybody who waits for a change, and those who wait for an outcome at trouble."""
        is_full = len(self._facts) >= MAX_BACKLOG
        has_trouble = is_full or self._paused is not None or self._failure is not None
        if has_trouble and not self._trouble.done():
            self._trouble.set_result(None)
        elif not has_trouble and self._trouble.done():
            self._trouble = asyncio.get_running_loop().create_future()
        self._changed.set()

    def _pump(self) -> None:
        """Do what is to be done after anything has happened."""
        for event in self._session.events():
            self._dispatch(event)
        link = self._link
        if link is not None and not self._session.is_connected:
            link.close()
            self._link = link = None
        if link is not None:
            link.write(self._session)
            if len(self._facts) >= MAX_BACKLOG:
                link.read_no_more()
        if self._session.connect_at is not None and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        self._set_timer()
        self._tell()

    def _dispatch(self, event: object) -> None:
        if isinstance(event, Outcome):
            future = self._outcomes.pop(event.number, None)
            if future is not None and not future.done():
                future.set_result(event)
        elif isinstance(event, Fact | Unknown):
            if self._listens:
                self._facts.append(event)
        elif isinstance(event, Status):
            if isinstance(event, Paused):
                self._paused = event
            self._on_status(event)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._session.next_timer
        # Who does not read cannot judge a silence.
        if due is not None and self._link is not None and self._link.is_reading:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._session.handle_timer(self._now())
        self._pump()

    async def _connect(self) -> None:
        """One attempt, when its time has come."""
        loop = asyncio.get_running_loop()
        due = self._session.connect_at
        assert due is not None
        link = _Link(self)
        try:
            await asyncio.sleep(due - loop.time())
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, _ = await loop.create_connection(
                    lambda: link, *self._address, ssl=self._context
                )
            credential = self._credential() if callable(self._credential) else self._credential
            if inspect.isawaitable(credential):
                credential = await credential
            address = transport.get_extra_info("peername")[0]
            check_credential(credential, address, is_tls=self._context is not None)
        except (OSError, TimeoutError) as error:
            self._connecting = None
            if not self._was_connected:
                self._failure = error
            self._session.connection_lost(loop.time(), error)
        except BaseException as error:
            self._connecting = None
            link.close()
            if not isinstance(error, Exception):
                raise
            self._failure = error
        else:
            self._connecting = None
            self._was_connected = True
            self._link = link
            self._session.connected(loop.time(), credential=credential)
            link.deliver()
        if self._failure is None:
            self._pump()
        self._tell()

    def _abort(self) -> None:
        """Nothing goes on any more; each request that waits has its outcome."""
        self._session.close()
        for event in self._session.events():
            self._dispatch(event)
        for handle in (self._timer, self._connecting):
            if handle is not None:
                handle.cancel()
        if self._link is not None:
            self._link.close()
            self._link = None
        self._tell()


class _Link(asyncio.Protocol):
    """One connection of a room: what asyncio calls."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._has_ended = False
        self._may_write = True
        self.is_reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._early.append(data)
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
        """Give what has come to the session, if this is the connection that it uses."""
        room = self._room
        if room._link is not self:
            return
        now = room._now()
        for data in self._early:
            room._session.receive_data(data, now)
        self._early.clear()
        if self._has_ended:
            room._session.receive_eof(now)
        room._pump()

    def write(self, session: ClientSession) -> None:
        if self._may_write and self._transport is not None and not self._transport.is_closing():
            data = session.data_to_send()
            if data:
                self._transport.write(data)

    def read_no_more(self) -> None:
        if self.is_reading and self._transport is not None:
            self.is_reading = False
            self._transport.pause_reading()

    def read_again(self) -> None:
        if not self.is_reading and self._transport is not None:
            self.is_reading = True
            self._transport.resume_reading()
            self._room._pump()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
