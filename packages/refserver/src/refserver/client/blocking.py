"""A room for programs without an event loop: connect, say, listen, in one thread.

Rule: it carries bytes and time between one `ClientSession` and one socket while the caller is in
one of its methods. It decides nothing about the protocol.

Layer: above `room`; knows eventcodec and the network alone.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable
from types import TracebackType
from typing import Any, Self

from eventcodec import ClientSession, Codec, Event, Outcome, Reply, SessionFullError

from ..readiness import READ, WRITE, ready
from .exceptions import check_credential
from .room import CLOSE_TIMEOUT, CONNECT_TIMEOUT, BaseRoom, Sayable, Status, as_event, position_of

__all__ = ["MAX_BACKLOG", "Room", "connect"]

MAX_BACKLOG = 100_000
"""Facts that are kept for the caller. A room with so many sends nothing more."""

CHUNK = 65_536

Credential = bytes | Callable[[], bytes]


def connect(
    host: str = "localhost",
    port: int = 3000,
    *,
    user: str = "",
    credential: Credential = b"",
    tls: ssl.SSLContext | bool = False,
    codec: Codec | None = None,
    listen: bool = True,
    heartbeat: float | None = None,
    on_status: Callable[[Status], object] = lambda status: None,
) -> Room:
    """Returns a room for `with`. The room connects again when a connection is lost.

    The arguments are those of `refserver.client.connect`; `credential` cannot be a coroutine
    function. The room reads, and answers a Ping, only while one of its methods runs. If the caller
    is busy for longer than the heartbeat, the server ends the connection; the next call resumes.

    >>> def main() -> None:
    ...     with connect(user="ann") as room:
    ...         print(room.say("hello"))
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
    """A room; `connect` makes it. It is an iterator of the facts of all other clients.

    The iteration waits for the next fact, and ends when the room is left.

    It has more than twenty methods: it waits in its own calls, and each part of a wait is a method.
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
        self._outcomes: dict[int, Outcome | None] = {}
        self._pongs: list[Reply] = []
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._wants_to_write = False

    def __enter__(self) -> Self:
        try:
            while self._is_entering:
                self.wait()
            self._check()
        except BaseException:
            self.abort()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Log out after all requests have their outcomes; after an exception leave at once."""
        try:
            if kind is None:
                self.leave()
        finally:
            self.abort()

    def leave(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Logs out after all requests have their outcomes; waits at most `timeout` seconds."""
        if self._paused is not None:
            return
        self._log_out()
        by = time.monotonic() + timeout
        while not self._is_closed and self._paused is None and by > time.monotonic():
            self.wait(by - time.monotonic())

    def say(self, what: Sayable) -> int:
        """Sends it exactly once. Returns its position in the log when the server has accepted it.

        Waits through lost connections. Raises NotSaidError for every other outcome. Raises
        PausedError if the session waits for a decision; the session keeps the request. Raises
        BacklogError if `MAX_BACKLOG` facts wait to be taken. Raises LocalProtocolError if it
        cannot be sent.
        """
        return position_of(self.outcome(self.put(what)))

    def put(self, what: Sayable) -> int:
        """Gives it to the session, and returns the number for `outcome`. Keeps the order.

        Waits only while the session is full. Raises the exceptions of `say`.
        """
        while (number := self.offer(what)) is None:
            self.wait()
        return number

    def offer(self, what: Sayable) -> int | None:
        """As `put`, but does not wait: returns None if the session is full."""
        self._check()
        try:
            number = self._session.say(as_event(what))
        except SessionFullError:
            return None
        self._outcomes[number] = None
        return number

    def ping(self) -> None:
        """Sends a Ping. `answers` has its reply, unless the connection is lost before.

        Raises LocalProtocolError if the session is not ONLINE.
        """
        self._session.ping()

    def outcome(self, number: int) -> Outcome:
        """Waits for the outcome of a request, and returns it once.

        Raises PausedError and BacklogError as `say` does.
        """
        while (outcome := self._outcomes[number]) is None:
            self._check()
            self.wait()
        del self._outcomes[number]
        return outcome

    def go_on(self, *, user: str | None = None, again: Iterable[Outcome] = ()) -> None:
        """Continues after a PausedError; see `ClientSession.go_on`."""
        outcomes = list(again)
        self._session.go_on(time.monotonic(), user=user, again=outcomes)
        self._outcomes |= dict.fromkeys(outcome.number for outcome in outcomes)
        self._paused = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._facts:
            if self._is_closed:
                raise StopIteration
            self._check()
            self.wait()
        return self._facts.popleft()

    def take(self) -> list[Event]:
        """Returns the facts that have come, without waiting; for a loop of one's own on `wait`."""
        facts = list(self._facts)
        self._facts.clear()
        return facts

    def answers(self) -> list[Outcome | Reply]:
        """Returns the new outcomes and replies to `ping`, each once, without waiting.

        The outcomes are in the order of their requests. For a loop of one's own on `wait`.
        """
        outcomes = [outcome for outcome in self._outcomes.values() if outcome is not None]
        for outcome in outcomes:
            del self._outcomes[outcome.number]
        pongs, self._pongs = self._pongs, []
        return [*outcomes, *pongs]

    # ------------------------------------------------------------ one turn

    def wait(self, seconds: float | None = None, also: Collection[int] = ()) -> set[int]:
        """One turn: connects if it is time, writes, waits for bytes, and takes the events.

        Waits at most `seconds`. Returns earlier if one of the descriptors `also` can be read.
        Returns those that can be read. The iteration then has the facts, and `outcome` the
        outcomes.
        """
        by = time.monotonic() + seconds if seconds is not None else None
        came: set[int] = set()
        if self._sock is None:
            came = self._wait_to_connect(by, also)
        if self._sock is not None:
            self._write()
            came = self._read(by, also) if self._sock is not None else set()
        self._take()
        return came

    def _wait_to_connect(self, by: float | None, also: Collection[int]) -> set[int]:
        due = self._session.connect_at
        came: set[int] = set()
        if due is None and by is None and not also:
            return came  # paused or closed: no event will come
        if due is None or due > time.monotonic():
            until = min((when for when in (due, by) if when is not None), default=None)
            left = None if until is None else max(0.0, until - time.monotonic())
            came = ready(dict.fromkeys(also, READ), left)
        if due is not None and due <= time.monotonic():
            self._connect()
        return came

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
        """Write what the socket takes. Keep the rest, and take no more from the session."""
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
        ours = READ | WRITE if self._wants_to_write else READ
        came = ready({**dict.fromkeys(also, READ), sock.fileno(): ours}, left)
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
        return came & {*also}

    def _take(self) -> None:
        """Take the events, and close a connection that the session no longer uses."""
        self._take_events()
        if self._sock is not None:
            if self._session.is_connected:
                self._write()
            else:
                self._sock.close()
                self._sock = None

    def _take_answer(self, answer: Outcome | Reply) -> None:
        if isinstance(answer, Reply):
            self._pongs.append(answer)
        elif answer.number in self._outcomes:
            self._outcomes[answer.number] = answer

    def _check(self) -> None:
        self._raise_if_paused()
        self._raise_if_full(MAX_BACKLOG)

    def abort(self) -> None:
        """Ends the session and the connection at once. Each request gets its outcome."""
        self._session.close()
        self._take()
