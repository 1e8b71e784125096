"""Sockets and the clock, for sessions that know neither.

Rule: this module moves bytes and time and decides nothing about the protocol. In
one turn of the loop it lets every client that has input work, then gives every
member one write.

Layer: below `service`; the only module with transports.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import socket
import sys
import termios
from collections import OrderedDict, deque
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil

from eventcodec import ErrorCode

from ..session.room import SEGMENT, Room
from ..session.session import HELD, NEVER, Peer, Session
from .admission import Gate
from .auth import Auth, OpenDoor
from .config import Config, Unusable, networks
from .listener import Listeners, resolve
from .logs import failure, note
from .metrics import Tally, Values
from .proxy_protocol import Headers
from .tls import Tls, common_name

__all__ = ["Link", "Server"]

FRAMES = 256
"""Frames of one client in one turn; then the next client has its turn."""
FEWEST_FRAMES = 8
"""So many in a turn at least where many wait, and each has a share, so that a round is short."""
DELIVERIES = 200_000
"""Entries times members in one turn: below 20 ms of work, and few turns for many messages."""
TURN_SECONDS = 0.02
TURN_BYTES = 1 << 20
"""Bytes entered in one turn, which the log holds beyond its capacity until they are given out."""

POLLS = 8
"""How often the loop is polled for more before the log is given out: a bound on who waits, for
authors that send one message after the other bring one with each poll."""
VAIN_POLLS = 2
"""So many that bring nothing, one after the other, end the polling: an author that was sent its
Ack needs as long as two of them to send its next message."""

FAR = 1.0
"""Seconds: deadlines that are not nearer come together,"""
GRID = 8
"""at so many moments a second. Alone, each heartbeat costs four rounds of the loop."""

TIMERS = 64
"""Deadlines that may have moved, or be those of links that are gone, beside two a link."""

RESERVED_DESCRIPTORS = 64
"""Kept free below the limit: for connections that are closing,"""
OTHER_DESCRIPTORS = 16
"""and of them these for the loop, the listeners and files."""
BUFFER = 65_536
BUFFER_BEFORE_LOGIN = 4_096

Handshake = asyncio.Task[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]


class Link(asyncio.BufferedProtocol):
    """One accepted connection: the transport of one session, and its way to the end.

    Over TLS there is no session before the handshake is done, and no half-close: what is
    not written when the client's end of stream is handed over is never written.
    """

    def __init__(self, server: Server, address: str) -> None:
        self.server = server
        self.address = address
        self.buffer = server.buffer[:BUFFER_BEFORE_LOGIN]
        self.counted = False  # among the connections that there may be
        self.turned_away = False
        self.writable = True
        self.untaken = (0, 0)  # what asyncio and the kernel held when it was last looked at
        self.waiting = False  # in the server's queue of those that have input
        self.due = NEVER  # when the server's timer comes for it
        self.close_by = NEVER
        self.abort_by = NEVER
        self.discarded = 0
        self.eof = False
        self.closed = False
        self.failed = False
        self.descriptor = -1  # to write to without the transport, where it only would pass it on
        self.half_closes = True
        self.transport: asyncio.Transport
        self.sock: socket.socket
        self.session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.sock = transport.get_extra_info("socket")
        self.half_closes = transport.can_write_eof()
        if self.half_closes:
            self.descriptor = self.sock.fileno()
        self.server.opened(self)
        # asyncio pauses a TLS connection at its limit, a plain one above it.
        transport.set_write_buffer_limits(high=0 if self.half_closes else 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.server.tally.bytes_in += nbytes
        if self.close_by != NEVER:
            self.discarded += nbytes
            if self.discarded > self.server.config.close_bytes:
                self.abort()
            return
        self.session.receive(self.buffer[:nbytes], self.server.now())
        self.server.has_input(self)
        if not self.session.reading:  # also where its turn is not yet
            self.server.touched(self)

    def eof_received(self) -> bool:
        self.eof = True
        if self.close_by != NEVER:
            self.close()
            return False
        self.session.end_of_input()
        self.server.has_input(self)
        if not self.half_closes:
            self.server.answer_now(self)
        return self.half_closes

    def write(self, data: bytes | memoryview) -> None:
        """Write while the link is `writable`, so the transport holds nothing of ours.

        A plain socket is written to directly: a tenth of the cost of a short write is the
        transport's. What the socket does not take, and every error, is the transport's again.
        The descriptor is this socket's: it is closed after `connection_lost`, which ends
        `writable`.
        """
        size = len(data)
        self.server.tally.bytes_out += size
        try:
            taken = os.write(self.descriptor, data)
        except OSError:  # over TLS always: there is no such descriptor
            taken = 0
        if taken != size:
            self.pass_on(data[taken:])

    def pass_on(self, rest: bytes | memoryview) -> None:
        """Have the transport write what the socket did not take."""
        self.transport.write(rest)
        if self.transport.is_closing():  # the client is gone: asyncio logs any more of it
            self.writable = False

    def close(self) -> None:
        """End it when all is written. A TLS transport that is closed twice cannot be aborted."""
        if not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        """End it at once, whatever the client still has to read."""
        self.writable = False
        self.transport.abort()

    def pause_writing(self) -> None:
        self.writable = False
        self.moved()
        self.session.stuck(self.server.now())
        self.server.watch(self)

    def moved(self) -> bool:
        """Whether the client has taken bytes since this was last asked.

        The kernel's word counts: it holds megabytes, and tells asyncio only when a third of
        them is gone, which takes a slow client longer than a stalled one is borne.
        """
        before = self.untaken
        self.untaken = self.transport.get_write_buffer_size(), unacknowledged(self.sock)
        return self.untaken != before

    def resume_writing(self) -> None:
        self.writable = True
        self.session.moves()
        self.server.touched(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.writable = False
        by_client = self.eof or exc is not None
        try:
            if by_client and self.session.deserted():  # what came before the end is judged first
                self.server.has_input(self)
            else:
                self.session.lost()
        finally:
            self.server.lost(self)


class Server:
    """The room, its clients, and the loop that they share.

    `start` listens, `stop` drains, `ended` is set when the last connection is gone.
    """

    def __init__(self, config: Config, auth: Auth | None = None, tls: Tls | None = None) -> None:
        self.config = config
        self.auth = auth or OpenDoor()
        self.tls = tls
        self.room: Room[Session] = Room(capacity=config.log_bytes, presence=config.presence)
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.buffer = memoryview(bytearray(BUFFER))
        self.ended = asyncio.Event()
        self.stopping = False
        self.tally = Tally()
        self._headers = Headers(
            networks(config.proxy_protocol), config.login_timeout, config.newcomers, self._let_in
        )
        self._listeners = Listeners(self.loop, self._headers.accepted)
        self._gate = Gate(config)
        self._links: dict[Link, None] = {}  # those with a session
        self._newcomers: dict[Link, None] = {}  # those without a member, oldest first
        self._handshakes: dict[Link, Handshake] = {}
        self._leaving: dict[Link, None] = {}  # those that are not counted any more
        self._input: deque[Link] = deque()
        self._touched: OrderedDict[Link, None] = OrderedDict()  # in rotation
        self._flushed = 0
        self.room.log.spare(self._flushed)
        self._flushed_bytes = 0
        # Writes to one member in a turn: what a turn may enter, so whoever keeps up can.
        self._pieces = 2 + (TURN_BYTES + max(HELD, config.max_frame)) // SEGMENT
        self._seen = 0  # the end of the log in the turn before
        self._polls = 0  # since the log was given out
        self._vain = 0  # those of them that brought nothing, one after the other
        self._turn_is_due = False
        self._timers: list[tuple[float, int, Link]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ids = count()
        self._reloading: asyncio.Task[None] | None = None

    # ------------------------------------------------------------- listening

    @property
    def most(self) -> int:
        """Connections that are let in: what was asked for, and what descriptors allow."""
        return max(1, min(self.config.connections, descriptors() - RESERVED_DESCRIPTORS))

    @property
    def most_leaving(self) -> int:
        """Connections that may take their time to close: likewise, of what the others leave."""
        return min(self.config.closing, descriptors() - self.most - OTHER_DESCRIPTORS)

    def start(self) -> int:
        """Listen; gives the port. Raises OSError where that is not possible, or Unusable."""
        addresses = resolve(self.config.host)
        self.config.check_exposure(addresses)
        port = self._listeners.open(addresses, self.config.port)
        if self.most < self.config.connections:
            note("descriptors", limit=descriptors(), connections=self.most)
        return port

    # ------------------------------------------------------------- admission

    def _let_in(self, sock: socket.socket, address: str) -> None:
        """Count a connection and begin it, or turn it away. Nobody waits for a handshake."""
        link = Link(self, address)
        self.tally.accepted += 1
        if self._has_room(address):
            link.counted = True
            self._gate.enter(address)
            self._newcomers[link] = None
            if len(self._newcomers) > self.config.newcomers:
                self._dismiss_oldest()
        else:
            self.tally.turned_away += 1
            link.turned_away = True
            if not self._step_aside(link):
                sock.close()
                return
        tls = self.tls.context if self.tls else None
        handshake = self.loop.create_task(
            self.loop.connect_accepted_socket(
                lambda: link,
                sock,
                ssl=tls,
                ssl_handshake_timeout=self.config.login_timeout if tls else None,
                ssl_shutdown_timeout=self.config.close_timeout if tls else None,
            )
        )
        self._handshakes[link] = handshake
        handshake.add_done_callback(lambda task: self._shaken(link, sock, task))

    def _shaken(self, link: Link, sock: socket.socket, handshake: Handshake) -> None:
        """The handshake is over, one way or the other."""
        del self._handshakes[link]
        error = None if handshake.cancelled() else handshake.exception()
        if error is not None:
            reason = getattr(error, "reason", None) or type(error).__name__
            note("handshake", peer=link.address, reason=reason)
        if link not in self._links:
            sock.close()
            self.lost(link)

    def _has_room(self, address: str) -> bool:
        """Whether one more may come from there; if need be, the oldest newcomer has to go."""
        most = self.most
        if self._gate.is_crowded(address, most):
            return False
        if self._gate.held >= most and self._newcomers:
            self._dismiss_oldest()
        return self._gate.held < most

    def _dismiss_oldest(self) -> None:
        """End the connection that has been here longest without logging in."""
        oldest = next(iter(self._newcomers))
        del self._newcomers[oldest]
        if oldest in self._links and self._step_aside(oldest):
            oldest.session.goodbye(ErrorCode.SERVER_FULL, "others came before you logged in")
        else:
            self._uncount(oldest)
            self._end(oldest)

    def _step_aside(self, link: Link) -> bool:
        """Give its place to others while it ends. False where too many do so already."""
        if len(self._leaving) >= self.most_leaving and not self.stopping:
            return link in self._leaving
        self._leaving[link] = None
        self._uncount(link)
        return True

    def _uncount(self, link: Link) -> None:
        if link.counted:
            link.counted = False
            self._gate.leave(link.address)

    def _end(self, link: Link) -> None:
        """End a connection at once, also in its handshake."""
        if link in self._links:
            link.abort()
        else:
            self._handshakes[link].cancel()

    # ------------------------------------------------------------- links

    def opened(self, link: Link) -> None:
        """A connection is there."""
        peer = Peer(link.address, common_name(link.transport.get_extra_info("peercert")))
        link.session = Session(
            self.room,
            self.auth,
            self.config,
            peer,
            self.now(),
            lambda: self.touched(link),
            partial(self._gate.login_at, link.address),
            self.tally,
        )
        self._links[link] = None
        if link.turned_away:
            link.session.goodbye(ErrorCode.SERVER_FULL)
        elif self.stopping:
            link.session.goodbye(ErrorCode.SHUTTING_DOWN)
        self.watch(link)

    def lost(self, link: Link) -> None:
        """A connection is gone."""
        self._uncount(link)
        if link in self._links:
            self.tally.carried += link.session.carried
        for those in (self._leaving, self._links, self._newcomers, self._touched):
            those.pop(link, None)
        self._need_turn()
        if self.stopping and not self._links and not self._handshakes:
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

    def _poll(self) -> None:
        """Have a turn behind all input that there is: the loop calls its timers last."""
        if not self._turn_is_due:
            self._turn_is_due = True
            self.loop.call_at(self.now(), self._turn)

    def _turn(self) -> None:
        """Let those who have input work, within the budget; then write to everybody."""
        self._turn_is_due = False
        now = self.now()
        log = self.room.log
        deliveries, bytes_before = DELIVERIES, log.total
        readers, waiting = len(self.room.members) + 1, len(self._input)
        frames = min(FRAMES, max(FEWEST_FRAMES, DELIVERIES // (readers * max(1, waiting))))
        for _ in range(waiting):
            link = self._input.popleft()
            link.waiting = False
            deliveries -= self._work(link, now, frames) * readers
            if log.total - bytes_before > TURN_BYTES:
                break
            if deliveries <= 0 or self.now() - now > TURN_SECONDS:
                break
        self._flush()
        if self._input:
            self._need_turn()

    def _work(self, link: Link, now: float, frames: int = FRAMES) -> int:
        session = link.session
        try:
            made = session.work(now, frames)
        except Exception as error:
            self._failed(link, error)
            made = 1
        if session.member is not None and link in self._newcomers:
            del self._newcomers[link]
            link.buffer = self.buffer
        if session.ready:
            self.has_input(link)
        elif link.closed:
            session.lost()
        else:
            self._touched[link] = None
        return made

    def _failed(self, link: Link, error: Exception) -> None:
        """What one client made us do went wrong: it costs this client, and nobody else."""
        failure(error)
        if link.failed or link.session.finished:
            link.abort()
            return
        link.failed = True
        try:
            link.session.goodbye(ErrorCode.INTERNAL)
        except Exception as another:
            self._failed(link, another)

    def _flush(self) -> None:
        """One write for each member that the log has something for.

        Those with something of their own come first: while the others are written to, the
        authors read their Acks and write on, and the next turn finds more to do at once.
        The log is given out when polls brought nothing more, or one write is full: a write
        costs what ten entries cost, so few and large ones win.
        """
        self._flush_touched()
        log = self.room.log
        if log.end == self._flushed:
            return
        if log.end != self._seen:
            self._seen, self._vain = log.end, 0
        patient = self._vain < VAIN_POLLS and self._polls < POLLS
        if patient and log.total - self._flushed_bytes < SEGMENT:
            self._polls += 1
            self._vain += 1
            self._poll()
            return
        start, self._polls = self._flushed, 0
        self._flushed, self._flushed_bytes = log.end, log.total
        self._fan_out(start)
        log.spare(self._flushed)
        if self._touched:
            self._need_turn()

    def _flush_touched(self) -> None:
        """Give each what it has of its own, within its pieces; who has more has it next turn."""
        for _ in range(len(self._touched)):
            link, _ = self._touched.popitem(last=False)
            self._give(link)
            try:
                self._settle(link)
            except Exception as error:
                self._failed(link, error)
        if self._touched:
            self._need_turn()

    def _fan_out(self, start: int) -> None:
        """The same bytes for all who stand at `start`, what is theirs for the others."""
        log = self.room.log
        data, behind = log.segment(start) if log.holds(start) else (b"", start)
        if len(data) > SEGMENT:
            behind = start  # each takes it piece by piece
        size, write, alike = len(data), os.write, 0
        here = start if behind != start else -1  # nobody's place
        oldest = log.first - 1  # only who stands before it may be `behind`, which costs more
        for link in self._links:
            session = link.session
            if session.cursor == here and session.follows and link.writable:
                alike += 1
                session.cursor = behind
                try:  # as in Link.write; its call is a twentieth of a short write
                    taken = write(link.descriptor, data)
                except OSError:
                    taken = 0
                if taken != size:
                    link.pass_on(data[taken:])
            elif not link.writable:
                if session.cursor < oldest and session.behind:
                    session.evict()
            elif link not in self._touched:  # it had its pieces in this turn already
                self._give(link)
        self.tally.bytes_out += size * alike
        if alike and behind != log.end:
            self._fan_out(behind)

    def _give(self, link: Link) -> None:
        take = link.session.take
        try:
            for _ in range(self._pieces):
                data = link.writable and take()
                if not data:
                    return
                link.write(data)
            self._touched[link] = None  # for the next turn
        except Exception as error:
            self._failed(link, error)

    def _settle(self, link: Link) -> None:
        """What follows from a session's new state: reading, closing, its next deadline."""
        session, transport = link.session, link.transport
        if link.closed or transport.is_closing():
            return
        if session.dismissed:
            self._abort_later(link)
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
        self._bound(link)
        self._newcomers.pop(link, None)
        transport = link.transport
        if not self._step_aside(link) or link.eof:
            link.close()
            return
        try:
            # Over TLS the last frame is the end: closing now would not wait for theirs.
            if link.half_closes:
                transport.write_eof()
        except OSError:
            link.abort()  # the client has reset the connection
            return
        link.moved()
        if not transport.is_reading():
            transport.resume_reading()

    def _bound(self, link: Link) -> None:
        """From now on only the client's end is awaited, and not for ever."""
        link.close_by = self.now() + self.config.close_timeout
        self._abort_later(link)

    def _abort_later(self, link: Link) -> None:
        """However little it takes, and however often: it is borne for so long and no longer."""
        link.abort_by = min(link.abort_by, self.now() + self.config.stalled)

    def answer_now(self, link: Link) -> None:
        """Judge what one turn allows, and give one piece: there is no way to give it later.

        asyncio closes the transport when this was done, and waits for whoever takes nothing.
        """
        self._work(link, self.now())
        data = link.session.take()
        if data:
            link.write(data)
        self._bound(link)
        self.watch(link)

    # ------------------------------------------------------------- the timer

    def watch(self, link: Link) -> None:
        """See to it that the link is looked at when its next deadline comes."""
        due = min(link.close_by, link.session.due)
        if due < link.due and (due := self._together(due)) < link.due:
            link.due = due
            heappush(self._timers, (due, next(self._ids), link))
            if len(self._timers) > 2 * len(self._links) + TIMERS:
                self._sweep()
            if self._timers[0][2] is link:
                self._arm()

    def _together(self, due: float) -> float:
        """One moment for many deadlines that are far away, so that they are one turn's work."""
        if due - self.now() < FAR:
            return due
        return ceil(due * GRID) / GRID

    def _sweep(self) -> None:
        """Forget deadlines that have moved, and with them the links that are gone."""
        self._timers = [
            (due, number, link)
            for due, number, link in self._timers
            if due == link.due and not link.closed
        ]
        heapify(self._timers)

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
                try:
                    self._tick_link(link, now)
                except Exception as error:
                    self._failed(link, error)
        self._arm()

    def _tick_link(self, link: Link, now: float) -> None:
        if now >= link.close_by:
            self._tick_close(link, now)
            return
        if not link.writable and link.moved() and now < link.abort_by:
            link.session.stuck(now)
        link.session.tick(now)
        if link.session.hopeless:
            link.abort()
            return
        if link.session.ready:
            self.has_input(link)
        self.touched(link)

    def _tick_close(self, link: Link, now: float) -> None:
        """The client did not close in time; one that still takes bytes has more of it."""
        if link.moved() and link.untaken != (0, 0) and now < link.abort_by:
            link.close_by = now + self.config.close_timeout
            self.watch(link)
        elif link.half_closes or link.transport.is_closing():
            link.abort()
        else:
            link.close()

    # ------------------------------------------------------------- figures

    def figures(self) -> Values:
        """Each of `metrics.FIGURES`, as it stands now."""
        tally, log = self.tally, self.room.log
        sessions = [link.session for link in self._links]
        backlogs = [session.backlog for session in sessions]
        handshakes = sum(link not in self._links for link in self._handshakes)
        return {
            "connections": {
                "handshake": handshakes,
                "new": len(self._newcomers) - handshakes,
                "member": len(self.room.members),
                "closing": len(self._leaving),
            },
            "connections_accepted": tally.accepted,
            "connections_turned_away": tally.turned_away,
            "logins": tally.logins,
            "events_received": tally.requests,
            "events_sent": tally.carried + tally.replies + sum(s.carried for s in sessions),
            "bytes_received": tally.bytes_in,
            "bytes_sent": tally.bytes_out,
            "errors": tally.errors,
            "evictions": tally.evictions,
            "log_entries": log.end + 1 - log.first,
            "log_bytes": log.size,
            "backlog_entries": sum(backlogs),
            "backlog_most": max(backlogs, default=0),
            "loop_lag_seconds": max(tally.lags),
        }

    def probe(self, expected: float) -> None:
        """Note how late the loop is, and do so again in a second."""
        now = self.now()
        self.tally.lags.append(max(0.0, now - expected))
        self.loop.call_at(now + 1.0, self.probe, now + 1.0)

    # ------------------------------------------------------------- the end

    def reload(self) -> None:
        """Read the tokens and the certificates again, in slices between turns.

        What cannot be read stays as it was, and the log says so. A reload that is asked for
        during another one begins it anew.
        """
        if self._reloading is not None:
            self._reloading.cancel()
        self._reloading = self.loop.create_task(self._reload())

    async def _reload(self) -> None:
        failures: list[str] = []
        for source in (self.auth, self.tls):
            try:
                for _ in source.reload() if source else ():
                    await asyncio.sleep(0)
            except Unusable as error:
                failures.append(str(error))
        note("reload", level=logging.ERROR if failures else logging.INFO, failures=failures)

    def stop(self) -> None:
        """Take nobody in any more, bring everybody to the end of the log, say goodbye."""
        if self.stopping:
            return
        self.stopping = True
        note("stopping", connections=len(self._links))
        self._listeners.close()
        self._headers.close()
        self.room.shut()
        for link in list(self._links):
            link.session.goodbye(ErrorCode.SHUTTING_DOWN)
        self.loop.call_later(self.config.drain, self.abort)
        if not self._links and not self._handshakes:
            self.ended.set()

    def abort(self) -> None:
        """End what is left, at once."""
        for link in [*self._handshakes, *self._links]:
            self._end(link)


def descriptors() -> int:
    """How many this process may have open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel holds for this socket's peer; 0 where it does not tell."""
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # not known on this system; closed by now
        return 0
