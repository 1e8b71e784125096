"""A server with one room: it makes the parts, starts and stops.

Rule: it carries out on connections what its parts decide.

Layer: below `measuring`, `watched` and `process`; above every other part.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from eventcodec import ErrorCode

from ..session.context import Context, Peer
from ..session.room import Room
from ..session.sequencer import LocalSequencer, Sequencer, Shared, Submitter
from ..session.session import Session
from . import shared
from .admission import Admission
from .auth import AllowAll, Auth
from .client_timers import ClientTimers
from .config import Config, networks
from .connection import BUFFER, BUFFER_BEFORE_LOGIN, Connection
from .descriptors import descriptors, most_connections, most_lingering
from .handshakes import Handshakes
from .listener import Listeners, resolve
from .logs import log_event
from .metrics import ServerCounters
from .proxy_protocol import Headers
from .reloading import Reloading
from .scheduler import FEWEST_FRAMES
from .tls import Tls, common_name
from .turn import Turns

if TYPE_CHECKING:
    from ..cluster.engine_client import EngineClient
    from .websocket import WebSockets

__all__ = ["Server"]

READ_BYTES = 4 << 20
"""The most bytes to read in one round of the loop if every connection has input."""
LEAST_READ = 4_096
"""The fewest bytes to read from one connection."""


class Server:
    """The room, its clients, and the loop that they share.

    `start` listens, `stop` drains, `ended` is set when the last connection is gone.

    It has more than twenty methods and fifteen attributes: each event of a connection is a method,
    and each part that the server makes is an attribute.
    """

    def __init__(self, config: Config, auth: Auth | None = None, tls: Tls | None = None) -> None:
        self.config = config
        self.auth = auth or AllowAll()
        self.engine: EngineClient | None = None
        self.sequencer: Sequencer
        if config.log:
            self.engine = shared.engine_client(
                config, lambda log: self.turns.follow(log), lambda: self.turns.need()
            )
            self.sequencer = self.engine.sequencer
        else:
            room: Room[Submitter] = Room(capacity=config.log_bytes, presence=config.presence)
            self.sequencer = LocalSequencer(room)
        self.room: Shared = self.sequencer.room
        self.loop = asyncio.get_running_loop()
        self.timers = ClientTimers(self.loop)
        self.clock = self.timers.clock
        self.ended = asyncio.Event()
        self.stopping = False
        self.counters = ServerCounters()
        self.connections: dict[Connection, None] = {}  # those with a session
        self.handshakes = Handshakes(self.loop, self.timers, tls, self._handshake_over)
        self.admission: Admission[Connection] = Admission(
            config, partial(most_connections, config), partial(most_lingering, config)
        )
        self.turns = Turns(
            self.loop, self.clock, self.sequencer, self.connections, self.counters.sessions
        )
        self._context = Context(
            settings=config,
            authenticator=self.auth,
            quotas=self.admission,
            log_event=log_event,
            counters=self.counters.sessions,
        )
        self.read_size = BUFFER
        self._buffer = memoryview(bytearray(BUFFER))
        self._headers: list[Headers] = []
        self._listeners: list[Listeners] = []
        self._websockets: WebSockets | None = None
        self.reloading = Reloading(self.loop, self.auth, tls)

    # ------------------------------------------------------------- the shared room

    async def connect(self) -> None:
        """Come into the shared room, where there is one. Raises ConfigError."""
        if self.engine is not None:
            await shared.connect(self.engine)

    async def disconnect(self) -> None:
        """Leave the shared room, when the last connection is gone."""
        if self.engine is not None:
            await self.engine.stop()

    # ------------------------------------------------------------- listening

    def start(self) -> int:
        """Listen and return the port. Raises OSError if that is not possible, or ConfigError."""
        addresses = self._addresses()
        port = self._listen(addresses, self.config.port, self.accept)
        most = most_connections(self.config)
        if most < self.config.connections:
            log_event("descriptors", limit=descriptors(), connections=most)
        return port

    def start_websockets(self, port: int) -> int:
        """Listen for WebSocket clients too, and return the port. Raises OSError if that is not
        possible, and ImportError without `websockets`.
        """
        from .websocket import WebSockets, names

        hosts = {"localhost", self.config.host, *names(self.config.ws_hosts)}
        self._websockets = WebSockets(
            frozenset(host.lower() for host in hosts), frozenset(names(self.config.ws_origins))
        )
        return self._listen(self._addresses(), port, self.accept_websocket)

    def _addresses(self) -> list[str]:
        addresses = resolve(self.config.host)
        self.config.check_exposure(addresses)
        return addresses

    def _listen(
        self, addresses: list[str], port: int, accept: Callable[[socket.socket, str], None]
    ) -> int:
        config = self.config
        headers = Headers(
            networks(config.proxy_protocol),
            config.login_timeout,
            config.unauthenticated,
            accept,
            self.timers,
        )
        listeners = Listeners(self.loop, headers.accepted)
        opened = listeners.open(addresses, port)
        self._headers.append(headers)
        self._listeners.append(listeners)
        return opened

    def accept_websocket(self, sock: socket.socket, address: str) -> None:
        """Accept a connection that begins with the handshake of WebSocket."""
        from .websocket import WebSocketConnection

        assert self._websockets is not None, "it listens for them"
        buffer = self._buffer[:BUFFER_BEFORE_LOGIN]
        now = self.clock.now()
        self._begin(WebSocketConnection(self, address, buffer, self._websockets, now), sock)

    def accept(self, sock: socket.socket, address: str) -> None:
        """Accept a connection."""
        self._begin(Connection(self, address, self._buffer[:BUFFER_BEFORE_LOGIN]), sock)

    def _begin(self, connection: Connection, sock: socket.socket) -> None:
        """Give a connection its place and begin its handshake, or reject it."""
        address = connection.address
        self.counters.accepted += 1
        arrival = self.admission.arrive(connection, address)
        for displaced in arrival.displaced:
            self._displace(displaced)
        if not arrival.admitted:
            self.counters.turned_away += 1
            connection.is_admitted = False
            if not self.linger(connection):
                sock.close()
                return
        connection.timer = self.timers.add(partial(self._expired, connection))
        self.handshakes.start(connection, sock)
        self.timers.set(connection.timer, self.clock.now() + self.config.login_timeout)

    def _handshake_over(self, connection: Connection, sock: socket.socket) -> None:
        if connection not in self.connections:
            sock.close()
            self.lost(connection)

    def _displace(self, connection: Connection) -> None:
        """End the oldest connection without a login."""
        if connection in self.connections and self.linger(connection):
            connection.session.goodbye(ErrorCode.SERVER_FULL, "others came before you logged in")
        else:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        """End a connection at once, also in its handshake."""
        if connection in self.connections:
            connection.abort()
        else:
            self.handshakes.cancel(connection)

    # ------------------------------------------------------------- what connections say

    def opened(self, connection: Connection) -> None:
        """A connection is open: begin its session."""
        certified = common_name(connection.certificate)
        connection.session = session = Session(
            self.sequencer,
            self._context,
            Peer(connection.address, certified),
            min(self.clock.now(), connection.began),
            partial(self.turns.has_output, connection),
        )
        self.connections[connection] = None
        self._share_reading()
        if not connection.is_admitted:
            session.goodbye(ErrorCode.SERVER_FULL)
        elif self.stopping:
            session.goodbye(ErrorCode.SHUTTING_DOWN)
        self.watch(connection)

    def _share_reading(self) -> None:
        share = READ_BYTES // max(1, len(self.connections))
        self.read_size = max(LEAST_READ, min(BUFFER, share))

    def logging_in(self, connection: Connection) -> None:
        """A Login was handled: update the place of the connection if it is a member or waits."""
        session = connection.session
        if session.member is not None:
            connection.is_authenticated = True
            connection.buffer = self._buffer
            self.admission.authenticated(connection)
            if session.outbox.backlog:  # a replay
                self.turns.scheduler.has_more_output(connection)
        elif session.exceeds_quota:
            self.admission.delayed(connection)

    def linger(self, connection: Connection) -> bool:
        """Whether it may wait for the client's end. It then holds no place."""
        self.admission.authenticated(connection)
        return self.admission.linger(connection, always=self.stopping)

    def superseded(self, connection: Connection) -> None:
        """It was taken over: end the oldest such connections of this user."""
        member = connection.session.member
        assert member is not None
        for oldest in self.admission.supersede(connection, member.user):
            oldest.abort()

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        user = None
        if connection in self.connections:
            del self.connections[connection]
            self._share_reading()
            session = connection.session
            user = session.member.user if session.member else None
            self.counters.carried += session.outbox.sent_entries
        self.admission.gone(connection, user)
        self.timers.remove(connection.timer)
        self.turns.scheduler.forget_output(connection)
        self.turns.need()
        if self.stopping and not self.connections and not self.handshakes:
            self.ended.set()

    # ------------------------------------------------------------- time

    def watch(self, connection: Connection) -> None:
        """Set the timer for the next deadline of a connection."""
        self.timers.set(connection.timer, connection.due)

    def _expired(self, connection: Connection, now: float) -> None:
        """Handle a deadline of a connection."""
        if not connection.is_open:
            self.handshakes.expired(connection, now)
            return
        try:
            if connection.session.has_work:
                self.turns.work(connection, now, FEWEST_FRAMES)
            connection.tick(now)
        except Exception as error:
            connection.fail(error)

    # ------------------------------------------------------------- the end

    def stop(self) -> None:
        """Accept no more connections, and send every member the rest of the log and a goodbye."""
        if self.stopping:
            return
        self.stopping = True
        log_event("stopping", connections=len(self.connections))
        for listeners, headers in zip(self._listeners, self._headers, strict=True):
            listeners.close()
            headers.close()
        self.sequencer.shut()
        for connection in list(self.connections):
            connection.session.goodbye(ErrorCode.SHUTTING_DOWN)
        self.loop.call_later(self.config.drain, self.abort)
        if not self.connections and not self.handshakes:
            self.ended.set()

    def abort(self) -> None:
        """End all remaining connections at once."""
        for connection in [*self.handshakes, *self.connections]:
            self._end(connection)
