"""A member of a room for programs without an event loop: connect, say, listen, in one thread.

Rule: it carries bytes and time between one `ClientSession` and one socket while the caller waits
in one of its methods, and decides nothing about the protocol.

Layer: above `exceptions`; knows eventcodec and the network alone.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
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

MAX_BACKLOG = 100_000
"""Facts that are kept while the caller says things and takes none."""

CHUNK = 65_536
CONNECT_TIMEOUT = 10.0
"""Seconds that an attempt to connect may take."""

CLOSE_TIMEOUT = 10.0
"""Seconds that leaving waits for outcomes and the Ack of the Logout."""

Status = Online | CaughtUp | Offline | Gap | Paused | Closed


def connect(
    host: str = "localhost",
    port: int = 3000,
    *,
    user: str = "",
    credential: bytes | Callable[[], bytes] = b"",
    tls: ssl.SSLContext | bool = False,
    codec: Codec | None = None,
    listen: bool = True,
    heartbeat: float | None = None,
    on_status: Callable[[Status], object] = lambda status: None,
) -> Room:
    """A room to enter with `with`; it survives its connections.

    As `refserver.client.connect`, without asyncio. While no method of it runs, nothing is read
    and no Ping is answered: a server with a heartbeat ends the connection of a caller that is
    busy for longer, and the next call resumes it.

    >>> def main() -> None:
    ...     with connect(user="ann") as room:
    ...         print(room.say("hello"))
    """
    settings = {"heartbeat": heartbeat} | ({} if codec is None else {"codec": codec})
    context = ssl.create_default_context() if tls is True else tls or None
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
    """A room that one is in; made by `connect`. An iterator of facts, of everybody else.

    Iterating waits for the next fact, and ends when the room is left.
    """

    def __init__(
        self,
        session: ClientSession,
        host: str,
        port: int,
        *,
        credential: bytes | Callable[[], bytes],
        context: ssl.SSLContext | None,
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
        self._outcomes: dict[int, Outcome | None] = {}
        self._paused: Paused | None = None
        self._was_connected = False
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._wants_to_write = False

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

    def __enter__(self) -> Self:
        try:
            while self._session.state in (SessionState.WAITING, SessionState.LOGIN):
                self.wait()
            self._check()
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Log out behind all that was said; at an error leave at once."""
        try:
            if kind is None and self._paused is None:
                self._listens = False
                self._facts.clear()
                self._session.logout()
                by = time.monotonic() + CLOSE_TIMEOUT
                while self._session.state is not SessionState.CLOSED and time.monotonic() < by:
                    self.wait(by - time.monotonic())
                    if self._paused is not None:
                        break
        finally:
            self._abort()

    def say(self, what: str | Message | ApplicationEvent) -> int:
        """Say it, exactly once; gives its position in the log when the server has accepted it.

        Waits over losses. Raises NotSaidError for every other outcome, PausedError where the
        session waits for a decision (what was said stays in it), BacklogError where facts pile up
        that nobody takes, and LocalProtocolError for what cannot be said.
        """
        outcome = self.outcome(self.put(what))
        if outcome.fate is not Fate.ACKNOWLEDGED:
            raise NotSaidError(outcome)
        return outcome.position

    def put(self, what: str | Message | ApplicationEvent) -> int:
        """Hand it to the session, in order; gives the number to ask for its `outcome` by.

        Waits only while the session is full.
        """
        request = Message(content=what) if isinstance(what, str) else what
        while True:
            self._check()
            try:
                number = self._session.say(request)
                break
            except SessionFullError:
                self.wait()
        self._outcomes[number] = None
        return number

    def outcome(self, number: int) -> Outcome:
        """Wait for the outcome of what was put; gives it once. Raises as `say` does."""
        while (outcome := self._outcomes[number]) is None:
            self._check()
            self.wait()
        del self._outcomes[number]
        return outcome

    def go_on(self, *, user: str | None = None, again: Iterable[Outcome] = ()) -> None:
        """Go on behind a PausedError; see `ClientSession.go_on`."""
        outcomes = list(again)
        self._session.go_on(time.monotonic(), user=user, again=outcomes)
        self._outcomes |= dict.fromkeys(outcome.number for outcome in outcomes)
        self._paused = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._facts:
            if self._session.state is SessionState.CLOSED:
                raise StopIteration
            self._check()
            self.wait()
        return self._facts.popleft()

    # ------------------------------------------------------------ one turn

    def wait(self, seconds: float | None = None, also: Collection[int] = ()) -> set[int]:
        """One turn: connect if it is time, write, wait for bytes, take what has come.

        It waits `seconds` at most, and ends when one of the descriptors `also` can be read; gives
        those. What has come stands in the room then: facts for the iteration, outcomes for
        `outcome`.
        """
        by = time.monotonic() + seconds if seconds is not None else None
        ready: set[int] = set()
        if self._sock is None:
            ready = self._wait_to_connect(by, also)
        if self._sock is not None:
            self._write()
            ready = self._read(by, also) if self._sock is not None else set()
        self._take()
        return ready

    def _wait_to_connect(self, by: float | None, also: Collection[int]) -> set[int]:
        due = self._session.connect_at
        ready: set[int] = set()
        if due is None and by is None and not also:
            return ready  # paused or closed: nothing will come
        if due is None or due > time.monotonic():
            until = min((when for when in (due, by) if when is not None), default=None)
            left = None if until is None else max(0.0, until - time.monotonic())
            ready = set(select.select([*also], [], [], left)[0])
        if due is not None and due <= time.monotonic():
            self._connect()
        return ready

    def _connect(self) -> None:
        credential = self._credential() if callable(self._credential) else self._credential
        sock = None
        try:
            sock = socket.create_connection(self._address, CONNECT_TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address = sock.getpeername()[0]
            check_credential(credential, address, is_tls=self._context is not None)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_hostname=self._address[0])
        except BaseException as error:
            if sock is not None:
                sock.close()
            if not isinstance(error, OSError) or not self._was_connected:
                raise
            self._session.connection_lost(time.monotonic(), error)
            return
        sock.setblocking(False)
        self._sock, self._unsent, self._was_connected = sock, b"", True
        self._session.connected(time.monotonic(), credential=credential)

    def _write(self) -> None:
        """Write what the socket takes; the rest waits, and no more is asked for meanwhile."""
        assert self._sock is not None
        self._wants_to_write = False
        try:
            while data := self._unsent or self._session.data_to_send():
                self._unsent = data
                self._unsent = data[self._sock.send(data) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._wants_to_write = True
        except ssl.SSLWantReadError:
            pass
        except OSError as error:
            self._session.connection_lost(time.monotonic(), error)

    def _read(self, by: float | None, also: Collection[int]) -> set[int]:
        sock = self._sock
        assert sock is not None
        until = min((t for t in (by, self._session.next_timer) if t is not None), default=None)
        left = None if until is None else max(0.0, until - time.monotonic())
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            left = 0.0
        writers = [sock] if self._wants_to_write else []
        readable = select.select([sock.fileno(), *also], writers, [], left)[0]
        try:
            while True:
                data = sock.recv(CHUNK)
                if not data:
                    self._session.receive_eof(time.monotonic())
                    break
                self._session.receive_data(data, time.monotonic())
                if len(data) < CHUNK and not isinstance(sock, ssl.SSLSocket):
                    break
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self._session.connection_lost(time.monotonic(), error)
        self._session.handle_timer(time.monotonic())
        return {*readable} & {*also}

    def _take(self) -> None:
        """Take the events, and close a connection that the session no longer uses."""
        for event in self._session.events():
            if isinstance(event, Outcome):
                if event.number in self._outcomes:
                    self._outcomes[event.number] = event
            elif isinstance(event, Fact | Unknown):
                if self._listens:
                    self._facts.append(event)
            elif isinstance(event, Status):
                if isinstance(event, Paused):
                    self._paused = event
                self._on_status(event)
        if self._sock is not None:
            if self._session.is_connected:
                self._write()
            else:
                self._sock.close()
                self._sock = None

    def _check(self) -> None:
        if self._paused is not None:
            raise PausedError(self._paused)
        if len(self._facts) >= MAX_BACKLOG:
            raise BacklogError(f"{len(self._facts)} facts wait to be taken")

    def _abort(self) -> None:
        """Nothing goes on any more; each request that waits has its outcome."""
        self._session.close()
        self._take()
