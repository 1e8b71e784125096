"""From an accepted socket to an open connection: the handshakes of TLS and of WebSocket.

Rule: no connection waits for the handshake of another one.

A handshake may take as long as a login may take afterwards. Then it is cancelled, with a line in
the log.

Layer: above `connection`, below `server`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from functools import partial

from .client_timers import ClientTimers
from .clock import BEAT
from .connection import Connection
from .logs import log_event
from .tls import Tls

__all__ = ["Handshakes"]

NEVER = float("inf")
"""For asyncio's own timers of TLS: they also run while the process is stopped, and ours do not."""


class Handshakes:
    """The connections whose handshake is not over.

    `over` is called with each connection and its socket when the handshake has succeeded or failed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timers: ClientTimers,
        tls: Tls | None,
        over: Callable[[Connection, socket.socket], None],
    ) -> None:
        self._loop = loop
        self._timers = timers
        self._tls = tls
        self._over = over
        self._tasks: dict[Connection, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._tasks)

    def start(self, connection: Connection, sock: socket.socket) -> None:
        """Begin the handshake of a connection."""
        task = self._loop.create_task(self._run(connection, sock))
        self._tasks[connection] = task
        task.add_done_callback(partial(self._done, connection, sock))

    async def _run(self, connection: Connection, sock: socket.socket) -> None:
        tls = self._tls.context if self._tls else None
        await self._loop.connect_accepted_socket(
            lambda: connection,
            sock,
            ssl=tls,
            ssl_handshake_timeout=NEVER if tls else None,
            ssl_shutdown_timeout=NEVER if tls else None,
        )
        await connection.ready()

    def _done(self, connection: Connection, sock: socket.socket, task: asyncio.Task[None]) -> None:
        del self._tasks[connection]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            reason = getattr(error, "reason", None) or type(error).__name__
            log_event("handshake", peer=connection.address, reason=reason)
        self._over(connection, sock)

    def expired(self, connection: Connection, now: float) -> None:
        """The time of a handshake is over."""
        if self._tls is None and not connection.has_handshake:
            # It opens in the next rounds of the loop.
            self._timers.set(connection.timer, now + BEAT)
            return
        log_event("handshake", peer=connection.address, reason="TimeoutError")
        self.cancel(connection)

    def cancel(self, connection: Connection) -> None:
        """End a handshake at once."""
        self._tasks[connection].cancel()
