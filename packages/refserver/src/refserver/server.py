"""Sockets, signals and the clock, for sessions that know none of them.

Rule: this module moves bytes and time and decides nothing about the protocol. In
one turn of the loop it lets every client that has input work, then gives every
member one write.

Layer: the top but `cli`; the only module with transports.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import signal
import socket
import ssl
from collections import deque
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count

from eventcodec import ErrorCode

from .auth import Auth, OpenDoor
from .config import Config
from .logs import note
from .room import SEGMENT, Room
from .session import NEVER, Peer, Session

__all__ = ["Server", "run"]

FRAMES = 256
"""Frames of one client in one turn; then the next client has its turn."""
DELIVERIES = 200_000
"""Entries times members in one turn: below 20 ms of work, and few turns for many messages."""
TURN_SECONDS = 0.02
TURN_BYTES = 1 << 20
"""Bytes entered in one turn, so that no turn outruns the log."""

POLLS = 2
"""How often the loop is asked for more input before the log is given out. A write costs what
ten entries cost, so few and large turns win: measured with 8 authors and 100 members, a third
less CPU for a delivery. The first of them only empties the loop's own queue."""

BACKLOG = 1024
ACCEPTS = 64
"""Connections accepted before others have their turn."""
RESERVED_DESCRIPTORS = 64
"""Kept free below the limit: for the listeners, files, and connections that are closing."""
LINGERING = 64
"""Connections that wait for their client's end of stream; beyond, they are closed at once."""
LINGER_BYTES = 256 * 1024
BUFFER = 65_536
RETRY_FIRST, RETRY_MOST = 0.01, 1.0
"""Seconds until the next accept when descriptors are out, doubling."""
OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Link(asyncio.BufferedProtocol):
    """One accepted connection: the transport of one session, and its way to the end."""

    def __init__(self, server: Server, address: str, *, full: bool) -> None:
        self.server = server
        self.address = address
        self.full = full
        self.writable = True
        self.waiting = False  # in the server's queue of those that have input
        self.due = NEVER  # when the server's timer comes for it
        self.close_by = NEVER
        self.lingered = 0
        self.eof = False
        self.closed = False
        self.descriptor = -1  # to write to without the transport, where it only would pass it on
        self.transport: asyncio.Transport
        self.session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        if transport.get_extra_info("sslcontext") is None:
            self.descriptor = transport.get_extra_info("socket").fileno()
        self.server.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.close_by != NEVER:
            self.lingered += nbytes
            if self.lingered > LINGER_BYTES:
                self.transport.abort()
            return
        self.session.receive(bytes(self.server.buffer[:nbytes]), self.server.now())
        self.server.has_input(self)

    def eof_received(self) -> bool:
        self.eof = True
        if self.close_by != NEVER:
            self.transport.close()
            return False
        self.session.end_of_input()
        self.server.has_input(self)
        return True

    def write(self, data: bytes | memoryview) -> None:
        """Write while the link is `writable`, so the transport holds nothing of ours.

        A plain socket is written to directly: a tenth of the cost of a short write is the
        transport's. What the socket does not take, and every error, is the transport's again.
        The descriptor is this socket's: it is closed after `connection_lost`, which ends
        `writable`.
        """
        if self.descriptor >= 0:
            try:
                taken = os.write(self.descriptor, data)
            except OSError:
                taken = 0
            if taken == len(data):
                return
            data = data[taken:]
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.writable = False
        self.backlog = self.transport.get_write_buffer_size()
        self.session.stuck(self.server.now())
        self.server.watch(self)

    def resume_writing(self) -> None:
        self.writable = True
        self.session.moves()
        self.server.touched(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.writable = False
        self.session.lost()
        self.server.lost(self)


class Server:
    """The room, its clients, and the loop that they share.

    `start` listens, `stop` drains, `ended` is set when the last connection is gone.
    """

    def __init__(
        self, config: Config, auth: Auth | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.config = config
        self.auth = auth or OpenDoor()
        self.tls = tls
        self.room: Room[Session] = Room(capacity=config.log_bytes, presence=config.presence)
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.buffer = memoryview(bytearray(BUFFER))
        self.ended = asyncio.Event()
        self.stopping = False
        self._sockets: list[socket.socket] = []
        self._links: dict[Link, None] = {}
        self._newcomers: dict[Link, None] = {}
        self._accepting: set[asyncio.Task[None]] = set()
        self._open = 0
        self._lingering = 0
        self._input: deque[Link] = deque()
        self._touched: dict[Link, None] = {}
        self._flushed = 0
        self._polls = 0
        self._turn_is_due = False
        self._timers: list[tuple[float, int, Link]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ids = count()
        self._retry = RETRY_FIRST

    # ------------------------------------------------------------- listening

    @property
    def most(self) -> int:
        """Connections that are let in: what was asked for, and what descriptors allow."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(1, min(self.config.connections, limit - RESERVED_DESCRIPTORS))

    def start(self) -> int:
        """Listen; gives the port. Raises OSError where that is not possible."""
        self._sockets = listen(self.config.host, self.config.port)
        for listener in self._sockets:
            self.loop.add_reader(listener, self._accept, listener)
        return int(self._sockets[0].getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    raise
                self._accept_later(listener, error)
                return
            self._retry = RETRY_FIRST
            self._let_in(sock, str(address[0]))

    def _accept_later(self, listener: socket.socket, error: OSError) -> None:
        note("accept", level=logging.WARNING, error=error.strerror, retry=self._retry)
        self.loop.remove_reader(listener)
        self.loop.call_later(self._retry, self._accept_again, listener)
        self._retry = min(RETRY_MOST, self._retry * 2)

    def _accept_again(self, listener: socket.socket) -> None:
        if not self.stopping:
            self.loop.add_reader(listener, self._accept, listener)

    def _let_in(self, sock: socket.socket, address: str) -> None:
        full = self._open - self._lingering >= self.most
        if full and self._lingering >= LINGERING:
            sock.close()
            return
        self._open += 1
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self.loop.create_task(self._connect(sock, Link(self, address, full=full)))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _connect(self, sock: socket.socket, link: Link) -> None:
        timeout = self.config.login_timeout if self.tls else None
        try:
            await self.loop.connect_accepted_socket(
                lambda: link, sock, ssl=self.tls, ssl_handshake_timeout=timeout
            )
        except (TimeoutError, OSError) as error:
            note("handshake", peer=link.address, error=type(error).__name__)
            self._open -= 1
            sock.close()

    # ------------------------------------------------------------- links

    def opened(self, link: Link) -> None:
        """A connection is there."""
        peer = Peer(link.address, _certified(link.transport))
        link.session = Session(
            self.room, self.auth, self.config, peer, self.now(), lambda: self.touched(link)
        )
        self._links[link] = None
        if link.full:
            link.session.goodbye(ErrorCode.SERVER_FULL)
        elif self.stopping:
            link.session.goodbye(ErrorCode.SHUTTING_DOWN)
        else:
            self._newcomers[link] = None
            if len(self._newcomers) > self.config.newcomers:
                oldest = next(iter(self._newcomers))
                del self._newcomers[oldest]
                oldest.session.goodbye(ErrorCode.SERVER_FULL, "too many before you log in")
        self.watch(link)

    def lost(self, link: Link) -> None:
        """A connection is gone."""
        if link.close_by != NEVER:
            self._lingering -= 1
        self._open -= 1
        self._links.pop(link, None)
        self._newcomers.pop(link, None)
        self._touched.pop(link, None)
        self._need_turn()
        if self.stopping and not self._links:
            self.ended.set()

    def has_input(self, link: Link) -> None:
        """A client has something to be judged: it will have its turn."""
        if not link.waiting:
            link.waiting = True
            self._input.append(link)
            self._need_turn()

    def touched(self, link: Link) -> None:
        """A client has something of its own to be written."""
        self._touched[link] = None
        self._need_turn()

    # ------------------------------------------------------------- the turn

    def _need_turn(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Let those who have input work, within the budget; then write to everybody."""
        self._turn_is_due = False
        now = self.now()
        log = self.room.log
        deliveries, bytes_before = DELIVERIES, log.total
        for _ in range(len(self._input)):
            link = self._input.popleft()
            link.waiting = False
            deliveries -= self._work(link, now) * (len(self.room.members) + 1)
            spent = deliveries <= 0 or log.total - bytes_before > TURN_BYTES
            if spent or self.now() - now > TURN_SECONDS:
                break
        self._flush()
        if self._input:
            self._need_turn()

    def _work(self, link: Link, now: float) -> int:
        session = link.session
        try:
            made = session.work(now, FRAMES)
        except Exception:
            logging.getLogger("refserver").exception("internal")
            session.goodbye(ErrorCode.INTERNAL)
            made = 1
        if session.member is not None and link in self._newcomers:
            del self._newcomers[link]
        if session.ready:
            self.has_input(link)
        else:
            self._touched[link] = None
        return made

    def _flush(self) -> None:
        """One write for each member that the log has something for.

        Those with something of their own come first: while the others are written to, the
        authors read their Acks and write on, and the next turn finds more to do at once.
        The log is given out when the loop was asked for more of that.
        """
        self._flush_touched()
        if self.room.log.end == self._flushed:
            return
        if self._polls < POLLS:
            self._polls += 1
            self._need_turn()
            return
        self._polls = 0
        start, self._flushed = self._flushed, self.room.log.end
        self._fan_out(start)
        self._flush_touched()

    def _flush_touched(self) -> None:
        while self._touched:
            link, _ = self._touched.popitem()
            self._give(link)
            self._settle(link)

    def _fan_out(self, start: int) -> None:
        """The same bytes for all who stand at `start`, what is theirs for the others."""
        log = self.room.log
        data, behind = log.segment(start) if log.holds(start) else (b"", start)
        if len(data) > SEGMENT:
            behind = start  # each takes it piece by piece
        for link in self._links:
            if not link.writable:
                if link.session.behind:
                    link.session.evict()
            elif behind == start or not link.session.follow(start, behind):
                self._give(link)
            else:
                link.write(data)
                if behind != log.end:
                    self._give(link)

    def _give(self, link: Link) -> None:
        take = link.session.take
        while link.writable:
            data = take()
            if not data:
                return
            link.write(data)

    def _settle(self, link: Link) -> None:
        """What follows from a session's new state: reading, closing, its next deadline."""
        session, transport = link.session, link.transport
        if link.closed or transport.is_closing():
            return
        if session.finished:
            if link.writable and link.close_by == NEVER:
                self._close(link)
        elif session.reading != transport.is_reading() and not link.eof:
            if session.reading:
                session.hears(self.now())
                transport.resume_reading()
            else:
                session.deaf(self.now())
                transport.pause_reading()
        if session.ready:
            self.has_input(link)
        self.watch(link)

    def _close(self, link: Link) -> None:
        """The last byte was given: end our side, wait a little for theirs. EP-10.4-1."""
        link.close_by = self.now() + self.config.close_timeout
        self._lingering += 1
        self._newcomers.pop(link, None)
        transport = link.transport
        if link.eof or not transport.can_write_eof() or self._lingering > LINGERING:
            transport.close()
            return
        transport.write_eof()
        if not transport.is_reading():
            transport.resume_reading()

    # ------------------------------------------------------------- the timer

    def watch(self, link: Link) -> None:
        """See to it that the link is looked at when its next deadline comes."""
        due = min(link.close_by, link.session.due)
        if due < link.due:
            link.due = due
            heappush(self._timers, (due, next(self._ids), link))
            if self._timers[0][2] is link:
                self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._timers[0][0], self._tick) if self._timers else None

    def _tick(self) -> None:
        self._timer = None
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            due, _, link = heappop(self._timers)
            if due == link.due and not link.closed:
                link.due = NEVER
                self._tick_link(link, now)
        self._arm()

    def _tick_link(self, link: Link, now: float) -> None:
        if now >= link.close_by:
            link.transport.abort()
            return
        size = link.transport.get_write_buffer_size()
        if not link.writable and size < link.backlog:
            link.backlog = size
            link.session.stuck(now)
        link.session.tick(now)
        if link.session.hopeless:
            link.transport.abort()
            return
        if link.session.ready:
            self.has_input(link)
        self.touched(link)

    # ------------------------------------------------------------- the end

    def stop(self) -> None:
        """Take nobody in any more, bring everybody to the end of the log, say goodbye."""
        if self.stopping:
            return
        self.stopping = True
        note("stopping", connections=len(self._links))
        for listener in self._sockets:
            self.loop.remove_reader(listener)
            listener.close()
        self.room.shut()
        for link in list(self._links):
            link.session.goodbye(ErrorCode.SHUTTING_DOWN)
        self.loop.call_later(self.config.drain, self.abort)
        if not self._links:
            self.ended.set()

    def abort(self) -> None:
        """End what is left, at once."""
        for link in list(self._links):
            link.transport.abort()


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets: for `localhost` on 127.0.0.1 and, where there is one, ::1.

    Port 0 takes a port that is free on all of them. Raises OSError.
    """
    if host != "localhost":
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return _listen_all([info[4][0] for info in infos if isinstance(info[4][0], str)], port)
    hosts = ["127.0.0.1"]
    with suppress(OSError):
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        hosts.append("::1")
    return _listen_all(hosts, port)


def _listen_all(hosts: list[str], port: int) -> list[socket.socket]:
    tries = 1 if port else 16
    for attempt in range(tries):
        sockets: list[socket.socket] = []
        chosen = port
        try:
            for host in dict.fromkeys(hosts):
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                sock = socket.create_server((host, chosen), family=family, backlog=BACKLOG)
                sock.setblocking(False)
                sockets.append(sock)
                chosen = sock.getsockname()[1]
            return sockets
        except OSError as error:
            for sock in sockets:
                sock.close()
            if error.errno != errno.EADDRINUSE or attempt == tries - 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _certified(transport: asyncio.Transport) -> str:
    """The common name in the client's certificate, empty without one."""
    certificate = transport.get_extra_info("peercert") or {}
    names = [
        value
        for relative in certificate.get("subject", ())
        for key, value in relative
        if key == "commonName"
    ]
    return names[0] if names else ""


async def serve(config: Config, *, ready: asyncio.Future[int] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; the first drains, the third ends at once."""
    loop = asyncio.get_running_loop()
    server = Server(config)
    port = server.start()
    signals = count(1)

    def on_signal() -> None:
        if next(signals) < 3:
            server.stop()
        else:
            server.abort()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    host = f"[{config.host}]" if ":" in config.host else config.host
    print(f"listening on {host}:{port}", flush=True)
    await server.ended.wait()
    note("stopped")


def run(config: Config) -> None:
    """Serve in this thread. Raises OSError where the address cannot be had."""
    asyncio.run(serve(config))
