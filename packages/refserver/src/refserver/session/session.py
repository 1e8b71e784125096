"""One client: its connection, its identity, its deadlines, and its place in the log.

Rule: what a client is sent is the log from its place on, with its own entries as
their Acks and its other replies where they were made. `take` is all there is to
order, replay, eviction and drain. Time is passed in; no socket is known here.

Layer: above `room` and `auth`, below `server`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from eventcodec import (
    Ack,
    ApplicationEvent,
    ConnectionEnded,
    Error,
    ErrorCode,
    Event,
    InvalidRequest,
    LeftReason,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    RemoteProtocolError,
    ServerConnection,
    Welcome,
    encode,
)
from eventcodec.limits import LENGTH_SIZE, MAX_FRAME_BEFORE_WELCOME

from ..server.auth import Auth
from ..server.config import Config
from ..server.logs import note
from ..server.metrics import Tally
from . import names
from .room import SEGMENT, LoginRefused, Membership, Room

__all__ = ["HELD", "Peer", "Session"]

Request = Login | Message | Logout | Ping | ApplicationEvent | InvalidRequest

HELD = 65_536
"""Bytes of unjudged input, or of unread replies, at which a client is not read any more."""

OWN_CHARGE = 150
"""What a reply costs beside its bytes, in bytes: a Pong has 16 of them."""

HELD_BEFORE_LOGIN = 1_024
"""The same for replies to somebody who is not logged in; of input it is one frame."""

VERDICT_DELAY = 0.1
"""Seconds until UNAUTHORIZED is said: ten guesses a second and connection at most. EP-6.3-4."""

NEVER = float("inf")

ROUNDING = 1e-6
"""What a wait may be too short by, in frames: else it would be followed by one of no length."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a client comes from, and the name in its certificate, empty without one."""

    address: str
    certified: str = ""


class Own(NamedTuple):
    """What this client alone reads: `data`, in place of the entries `start` + 1 to `stop`."""

    start: int
    stop: int
    data: bytes


class Session:
    """One connection's half of the conversation, from accept to the last byte.

    The server gives it what came (`receive`, `end_of_input`), lets it work (`work`), writes
    what it gives (`take`) until `finished`, and wakes it at `due` (`tick`). It says
    `touched` when there is something of its own to take.
    """

    def __init__(
        self,
        room: Room[Session],
        auth: Auth,
        config: Config,
        peer: Peer,
        now: float,
        touched: Callable[[], None] = lambda: None,
        login_at: Callable[[float], float] = lambda now: now,
        tally: Tally | None = None,
    ) -> None:
        self.room = room
        self.peer = peer
        self.member: Membership[Session] | None = None
        self._auth = auth
        self._config = config
        self._conn = ServerConnection()
        self._log = room.log
        self._touched = touched
        self._login_at = login_at
        self._tally = tally or Tally()
        self._postponed: Login | None = None  # until its address may log in again
        self._rest: memoryview | None = None  # of a piece that was begun
        self._head: list[bytes] = []  # replies from before the place in the log
        self._own: deque[Own] = deque()
        self.cursor = 0  # the place in the log: the last entry that was taken
        self.follows = False  # a member to which nothing is due but the log
        self._start = 0  # where it came in, and what it was not given since
        self._unread = 0  # bytes charged for the replies in _head and _own
        self._most_unread: float = HELD_BEFORE_LOGIN
        # Room for the longest frame: who stops reading inside of one waits for ever.
        self._most_held = LENGTH_SIZE + MAX_FRAME_BEFORE_WELCOME
        self._ending = False  # the last frame stands in _head or _own, or was taken
        self._evicted = False
        self._verdict = NEVER  # when to say UNAUTHORIZED
        self._fresh = False  # something came, or became possible, since the last work
        self._eof = False
        self._login_by = now + config.login_timeout
        self._last_byte = now
        self._pinged = 0
        self._asked = False  # pinged in this silence
        self._began = NEVER  # when the frame that is not whole began
        self._judged = 0  # bytes of the stream that were judged by then
        self._stuck = NEVER  # since when the socket takes nothing
        self._patience = config.stalled
        self._slowed = NEVER  # when the rate limit allows the next frame
        self._tokens = max(config.rate, 1.0)
        self._refilled = now
        self._deaf = NEVER  # since when the server does not read

    # ------------------------------------------------------------- input

    def receive(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Store what came."""
        self._last_byte = now
        self._asked = False
        if not self._ending:
            self._conn.receive_data(data)
            self._fresh = True

    def end_of_input(self) -> None:
        """The client has closed its sending side: what is here is answered, then it has left.

        There is nothing more to read, so no clock judges it from now on.
        """
        self._deaf = min(self._deaf, self._last_byte)
        if not self._ending:
            self._conn.receive_eof()
            self._fresh = self._eof = True

    @property
    def reading(self) -> bool:
        """Whether more input is wanted: not while replies are unread or input unjudged."""
        return (
            self._verdict == NEVER
            and self._postponed is None
            and self._conn.held < self._most_held
            and self._unread < self._most_unread
        )

    @property
    def ready(self) -> bool:
        """Whether `work` could do something now."""
        return (
            self._fresh
            and not self._ending
            and self._verdict == NEVER
            and self._unread < self._most_unread
        )

    def work(self, now: float, frames: int) -> int:
        """Judge and carry out up to so many frames of what came; gives the entries made."""
        before = self._log.end
        granted = left = self._granted(now, frames)
        while left > 0 and self.ready:
            left -= self._step(now, left)
        if self._config.rate:
            self._tokens += left
        self._tally.requests += granted - left
        self._time_frame(now)
        if self._hesitates:
            self.hears(now)
        return self._log.end - before

    def _step(self, now: float, frames: int) -> int:
        """The run of messages that is next, or one other request; gives the frames used."""
        log = self._log
        facts = self._conn.relay(log.end + 1, frames)
        if facts:
            start = log.end
            log.extend(facts)
            self._put(Own(start, log.end, self._conn.data_to_send()))
            self._fresh = self._conn.held > 0 or self._eof  # mostly: that was all
            return len(facts)
        request = self._postponed or self._conn.next_event()
        self._postponed = None
        if request is None:
            self._fresh = False
            return 0
        if isinstance(request, ConnectionEnded):
            self._input_ended(request)
            return 0
        self._answer(request, now)
        return 1

    def _input_ended(self, end: ConnectionEnded) -> None:
        if isinstance(end.error, RemoteProtocolError):
            self.goodbye(end.error.code, str(end.error))
        else:
            self._finish(b"", LeftReason.LOST)

    def _granted(self, now: float, frames: int) -> int:
        """How many of these frames the rate limit allows now; above it a client is slowed."""
        rate = self._config.rate
        if not rate:
            return frames
        self._tokens = min(max(rate, 1.0), self._tokens + (now - self._refilled) * rate)
        self._refilled = now
        granted = min(frames, int(self._tokens + ROUNDING))
        if not granted:
            self._wait(now + (1.0 - self._tokens) / rate)
        self._tokens -= granted
        return granted

    def _wait(self, until: float) -> None:
        """Judge nothing before then."""
        self._fresh = False
        self._slowed = until

    def _time_frame(self, now: float) -> None:
        """Watch over a frame that has begun and is not whole."""
        waiting = self._conn.held and not self._fresh and self._slowed == NEVER
        if not waiting or self._ending:
            self._began = NEVER
        elif self._began == NEVER or self._judged != self._conn.offset:
            self._began = now
            self._judged = self._conn.offset

    # ------------------------------------------------------------- requests

    def _answer(self, request: Request, now: float) -> None:
        if isinstance(request, Login):
            self._login(request, now)
        elif isinstance(request, Logout):
            self._logout(request)
        elif isinstance(request, Ping):
            self._reply(self._replied(request, Pong()))
        elif isinstance(request, InvalidRequest):
            self._count(request.error.code)
            self._reply(self._replied(request, request.error))
        else:
            self._say(request)

    def _say(self, said: Message | ApplicationEvent) -> None:
        """One message by the slow path: it came behind a Pong, before which `relay` ends."""
        assert self.member is not None
        start, sender = self._log.end, self.member.user
        fact: Message | ApplicationEvent
        if isinstance(said, Message):
            fact = Message(content=said.content, sender=sender, seq=start + 1)
        else:
            fact = ApplicationEvent(type=said.type, data=said.data, sender=sender, seq=start + 1)
        position = self._log.append(encode(fact))
        self._put(Own(start, position, self._replied(said, Ack(position=position))))

    def _login(self, login: Login, now: float) -> None:
        when = self._login_at(now)
        if when > now:
            self._postponed = login
            self._wait(when)
            return
        proof = self._auth.judge(login.user, login.credential, self.peer.certified)
        if proof is None:
            note("refused", user=login.user, code="UNAUTHORIZED", peer=self.peer.address)
            self._verdict = now + VERDICT_DELAY
            return
        user = proof.user or login.user
        try:
            fault = names.fault_of(user)
            if fault is not None:
                raise LoginRefused(ErrorCode.BAD_USER, f"this name {fault}")
            if login.ticket or login.position:
                self._resume(login, user)
            else:
                self._join(login, user, bound=bool(proof.user))
        except LoginRefused as refused:
            self._count(refused.code)
            note("refused", user=login.user, code=refused.code.name, peer=self.peer.address)
            self._reply(self._replied(login, Error(code=refused.code, text=refused.reason)))

    def _join(self, login: Login, user: str, *, bound: bool) -> None:
        self.member, self.cursor = self.room.enter(self, user, bound=bound)
        self._welcome(login)

    def _resume(self, login: Login, user: str) -> None:
        member = self.room.find(user, login.ticket, login.position)
        if member.session is not None:
            member.session.goodbye(ErrorCode.USER_TAKEN, "the session goes on elsewhere")
        self.member, self.cursor = member, login.position
        self._welcome(login)
        self.room.resume(member, self)

    def _welcome(self, login: Login) -> None:
        assert self.member is not None
        welcome = Welcome(
            user=self.member.user,
            ticket=self.member.ticket,
            position=self.cursor,
            max_frame=self._config.max_frame,
            heartbeat=self._config.heartbeat,
            server=self._config.server_name,
        )
        self._start = self.cursor
        self._most_unread = HELD
        self._most_held = max(HELD, LENGTH_SIZE + self._config.max_frame)
        self._tally.logins += 1
        self._put_first(self._replied(login, welcome))
        note("login", user=self.member.user, peer=self.peer.address, position=self.cursor)

    def _logout(self, logout: Logout) -> None:
        assert self.member is not None
        before = self._log.end
        position = self._leave(LeftReason.LEFT)
        ack = self._replied(logout, Ack(position=position))
        self._put(Own(before, before, ack))
        self._ending = True

    def _replied(self, request: Request, event: Event) -> bytes:
        """The frame that answers this request."""
        self._conn.reply(request, event)
        return self._conn.data_to_send()

    # ------------------------------------------------------------- output

    def _reply(self, data: bytes) -> None:
        """A reply that made no entry: behind all that is in the log by now."""
        if self.member is None:
            self._put_first(data)
        else:
            self._put(Own(self._log.end, self._log.end, data))

    def _put_first(self, data: bytes) -> None:
        self._head.append(data)
        self.follows = False
        self._tally.replies += 1
        self._unread += len(data)
        self._touched()

    def _put(self, own: Own) -> None:
        self._own.append(own)
        self.follows = False
        if own.data and own.start == own.stop:
            self._tally.replies += 1
        self._unread += len(own.data) + OWN_CHARGE
        self._touched()

    def _count(self, code: int) -> None:
        self._tally.errors[ErrorCode(code).name] += 1

    def take(self) -> bytes | memoryview:
        """What to write next, `SEGMENT` bytes at most; empty where there is nothing now.

        Whoever only `follows` may also be given the log's own segment behind its `cursor`,
        which then is put behind it: the fast path of a fan-out, where most do.
        """
        if self.follows:
            return self._cut(self._from_log())
        pieces: list[bytes | memoryview] = []
        size = 0
        while size < SEGMENT:
            piece = self._next()
            if not piece and not self._own:
                break
            if pieces and len(piece) > SEGMENT:  # joined, it would be a copy for each member
                self._rest = memoryview(piece)
                break
            pieces.append(piece)
            size += len(piece)
        private = self._own or self._head or self._ending or self.member is None
        self.follows = not private and self._rest is None
        return self._cut(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _next(self) -> bytes | memoryview:
        """The next piece: the rest of the last, what is first, the log, or one's own."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return rest
        if self._head:
            first = b"".join(self._head)
            self._head.clear()
            self._unread -= len(first)
            return first
        if not self._own:
            return self._from_log()
        own = self._own[0]
        if self.cursor < own.start:
            return self._from_log(own.start)
        self._own.popleft()
        self.cursor = own.stop
        self._unread -= len(own.data) + OWN_CHARGE
        return own.data

    def _from_log(self, stop: int | None = None) -> bytes:
        if self.member is None or (self._ending and stop is None):
            return b""
        try:
            data, self.cursor = self._log.segment(self.cursor, stop)
        except LookupError:
            self.evict()
            return b""
        return data

    def _cut(self, data: bytes | memoryview) -> bytes | memoryview:
        """Give a segment; the rest of a longer piece waits in front of everything else."""
        if len(data) <= SEGMENT:
            return data
        whole = memoryview(data)
        self._rest = whole[SEGMENT:]
        self.follows = False
        return whole[:SEGMENT]

    @property
    def finished(self) -> bool:
        """The last byte was given: the connection can be closed, in stages."""
        return self._ending and not self._own and not self._head and self._rest is None

    @property
    def dismissed(self) -> bool:
        """It ends, and is owed a last frame and little time: a stranger, or an evicted member."""
        return self._ending and (self._evicted or self.member is None)

    @property
    def carried(self) -> int:
        """Entries that were given to this connection, as facts or as Acks."""
        return self.cursor - self._start

    @property
    def backlog(self) -> int:
        """Entries that are still to be given."""
        if self.member is None:
            return 0
        own = self._own[-1].stop if self._own else self.cursor
        return (own if self._ending else self._log.end) - self.cursor

    @property
    def behind(self) -> bool:
        """The log has dropped what this member would read next."""
        return self.member is not None and not self._ending and not self._log.holds(self.cursor)

    # ------------------------------------------------------------- the end

    def goodbye(self, code: ErrorCode, text: str | None = None) -> None:
        """End the connection with an Error behind all that is due; the member leaves now."""
        if self._ending:
            return
        user = None if self.member is None else self.member.user
        note("goodbye", code=code.name, user=user, peer=self.peer.address)
        self._count(code)
        evicted = code is ErrorCode.SLOW_CONSUMER
        reason = LeftReason.EVICTED if evicted else LeftReason.LOST
        self._conn.goodbye(code, text)
        self._finish(self._conn.data_to_send(), reason)

    def evict(self, ran_out: str = "log") -> None:
        """End the connection of a client that did not keep up, behind what it was given.

        What else was due is forgotten: nothing can follow an entry that is gone. What ran
        out, the log or the time, is for the figures.
        """
        self._evicted = True
        self._start += self._log.end - self.cursor
        self._own.clear()
        self._head.clear()
        self._unread = 0
        self.cursor = self._log.end
        self._patience = self._config.close_timeout
        code = ErrorCode.TIMEOUT if self.member is None else ErrorCode.SLOW_CONSUMER
        if self.member is not None:
            self._tally.evictions[ran_out] += 1
        if self._ending:  # it left before, and what it was to read until then is gone
            self._count(code)
            last = encode(Error(code=code, text=code.meaning))
            self._put(Own(self.cursor, self.cursor, last))
        else:
            self.goodbye(code)

    def deserted(self) -> bool:
        """The client has closed, and reads no reply; gives whether it left something to judge."""
        self._most_unread = NEVER
        return self.ready

    def lost(self) -> None:
        """The transport is gone, and with it whatever was held for it or came from it."""
        self._finish(b"", LeftReason.LOST)
        self._conn = ServerConnection()
        self._own.clear()
        self._head.clear()
        self._rest = None

    def _finish(self, last: bytes, reason: LeftReason) -> None:
        if self._ending:
            return
        self._reply(last)
        self._ending = True
        self._verdict = NEVER
        if self.member is not None:
            self._leave(reason)

    def _leave(self, reason: LeftReason) -> int:
        assert self.member is not None
        note("left", user=self.member.user, reason=reason.name.lower(), peer=self.peer.address)
        return self.room.leave(self.member, reason)

    # ------------------------------------------------------------- time

    def deaf(self, now: float) -> None:
        """The server reads no more; the clocks that judge the client stand still. EP-9.1-6."""
        if not self._hesitates:
            self._deaf = min(self._deaf, now)

    def hears(self, now: float) -> None:
        """The server reads again."""
        if self._deaf == NEVER:
            return
        pause = now - self._deaf
        self._last_byte += pause
        self._login_by += pause
        self._began += pause
        self._deaf = NEVER

    @property
    def _hesitates(self) -> bool:
        """A stranger that takes no replies: with its clocks stopped, it could stay for ever."""
        return self.member is None and self._unread >= self._most_unread

    def stuck(self, now: float) -> None:
        """The socket takes nothing more for the moment."""
        self._stuck = now

    def moves(self) -> None:
        """The socket takes bytes again."""
        self._stuck = NEVER

    @property
    def hopeless(self) -> bool:
        """Set by `tick` where a connection that ends takes nothing: it is to be aborted."""
        return self._patience <= 0

    @property
    def due(self) -> float:
        """When `tick` has something to do, if nothing happens before."""
        due = min(self._slowed, self._stuck + self._patience)
        if self._ending:
            return due
        if not self._is_judged:
            return min(due, self._verdict)
        return min(due, self._began + self._config.frame_timeout, self._silent_until)

    @property
    def _is_judged(self) -> bool:
        """Whether it is the client's turn: not while the server does not read. EP-9.1-6."""
        return self._deaf == NEVER and self._verdict == NEVER

    @property
    def _silent_until(self) -> float:
        """When the client has to be in, or to be asked whether it is there, or to be gone."""
        if self.member is None:
            return self._login_by
        heartbeat = self._config.heartbeat or NEVER
        return self._last_byte + (2 if self._asked else 1) * heartbeat

    def tick(self, now: float) -> None:
        """Do what is due by now."""
        if now >= self._slowed:
            self._slowed = NEVER
            self._fresh = True
        if now >= self._stuck + self._patience:
            self._stuck = now
            if self._ending:
                self._patience = 0.0
            else:
                self.evict("time")
        if self._ending:
            return
        if now >= self._verdict:
            self.goodbye(ErrorCode.UNAUTHORIZED)
        elif self._is_judged:
            self._tick_silence(now)

    def _tick_silence(self, now: float) -> None:
        heartbeat = self._config.heartbeat
        silence = now - self._last_byte
        if now >= self._began + self._config.frame_timeout:
            self.goodbye(ErrorCode.TIMEOUT, "a frame was begun and not completed in time")
        elif self.member is None:
            if now >= self._login_by:
                self.goodbye(ErrorCode.TIMEOUT, "no login in time")
        elif not heartbeat:
            return
        elif silence >= 2 * heartbeat:
            self.goodbye(ErrorCode.TIMEOUT)
        elif silence >= heartbeat and not self._asked:
            self._asked = True
            self._pinged += 1
            self._reply(encode(Ping(seq=self._pinged)))
