"""The conversation with one client: its requests and their effects.

Rule: every change of a client's state is made here.

The `outbox` decides what the client is sent, the `deadlines` decide what is due, the `room` decides
who is in it. Time is passed in. This module knows no socket.

Layer: the top of `session`.
"""

from __future__ import annotations

from collections.abc import Callable

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
from eventcodec.limits import LENGTH_SIZE

from . import names
from .context import Context, Peer, Proof
from .deadlines import NEVER, Deadlines, Due
from .outbox import Outbox, Reply
from .ratelimit import TokenBucket
from .room import LoginRefused, Membership
from .sequencer import Last, Sequencer, Submitter
from .state import State

__all__ = ["HELD", "HELD_BEFORE_LOGIN", "REJECT_DELAY", "Session"]

Request = Login | Message | Logout | Ping | ApplicationEvent | InvalidRequest

HELD = 65_536
"""With so many bytes of input that is not validated, or of replies that are not sent, reading from
a client is paused."""

HELD_BEFORE_LOGIN = 1_024
"""The same limit for replies before login. For input before login, the limit is one frame."""

REJECT_DELAY = 0.1
"""Seconds until UNAUTHORIZED is sent: ten guesses a second and connection at most. EP-6.3-4."""

ELSEWHERE = "the session goes on elsewhere"
"""The text of the Error that ends a connection after a takeover."""

UNAUTHENTICATED, LOGIN_DELAYED, REJECTED = (
    State.UNAUTHENTICATED,
    State.LOGIN_DELAYED,
    State.REJECTED,
)
LOGGING_IN, MEMBER, DRAINING = State.LOGGING_IN, State.MEMBER, State.DRAINING
SUPERSEDED = State.SUPERSEDED

TIMEOUTS = {
    Due.FRAME_TIMEOUT: "a frame was begun and not completed in time",
    Due.LOGIN_TIMEOUT: "no login in time",
    Due.SILENCE_TIMEOUT: None,
}
"""The deadlines that end a connection with TIMEOUT, and the text of the Error; None is the text of
the code."""


class Session:
    """The server's side of one connection, from accept to the last byte.

    The server passes on received bytes (`receive`, `receive_eof`), lets the session work (`work`),
    writes the bytes of its `outbox` until that is `finished`, and calls `tick` at `due`. The
    session calls `wake` if it has bytes to send without one of these calls.

    It has more than twenty methods and fifteen attributes: each request has its own method, and all
    methods of one conversation need the same state.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        context: Context,
        peer: Peer,
        now: float,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        settings = context.settings
        self.room = sequencer.room
        self.peer = peer
        self.member: Membership[Submitter] | None = None
        self.state = UNAUTHENTICATED
        self.outbox = Outbox(sequencer.log)
        self.deadlines = Deadlines(settings, now)
        self.should_abort = False  # it ends, and the client takes no bytes
        self.context = context
        self._sequencer = sequencer
        self._log = sequencer.log
        self.wake = wake
        self.conn = ServerConnection()
        self._has_input = False  # bytes arrived, or a wait ended, since the last work
        self._eof = False
        self._delayed_login: Login | None = None
        self._is_paced = False  # its address may log in; the limit of its user is checked next
        self._most_unread: float = HELD_BEFORE_LOGIN
        # Space for the longest frame: a pause inside a frame would never end.
        self._most_held = LENGTH_SIZE + self.conn.max_frame
        self._rate = TokenBucket(settings.rate, max(settings.rate, 1.0)) if settings.rate else None
        self.pings = 0  # sent so far; the last one has this seq

    # ------------------------------------------------------------- input

    def receive(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Take received bytes."""
        self.deadlines.received(now)
        if self.state < DRAINING:
            self.conn.receive_data(data)
            self._has_input = True

    def receive_eof(self) -> None:
        """The client has closed its sending side. Whole frames are answered, then the client
        leaves."""
        self.deadlines.end_of_input()
        if self.state < DRAINING:
            self.conn.receive_eof()
            self._has_input = self._eof = True

    @property
    def reading(self) -> bool:
        """Whether the server may read more. It may not while many replies are unread or much input
        waits."""
        return (
            not LOGIN_DELAYED <= self.state <= REJECTED
            and self.conn.held < self._most_held
            and self.outbox.unread < self._most_unread
        )

    @property
    def has_work(self) -> bool:
        """Whether `work` has a request to handle now."""
        return (
            self._has_input
            and self.state < DRAINING
            and not LOGGING_IN <= self.state <= REJECTED
            and self.outbox.unread < self._most_unread
        )

    def work(self, now: float, frames: int) -> int:
        """Validate and handle up to so many frames. Returns the number of new entries.

        A Login is the last frame of its client in a turn: it costs the most, also in lines of the
        log.
        """
        before = self._sequencer.entries
        granted = left = frames if self._rate is None else self._granted(self._rate, now, frames)
        while left > 0 and self.has_work:
            count = self._relay(left) or self.conn.take_pongs(left)
            if count:
                left -= count
                continue
            request = self._delayed_login or self.conn.next_event()
            if request is None:
                self._has_input = False
                break
            if isinstance(request, ConnectionEnded):
                self._input_ended(request)
                break
            left -= 1
            self.handle(request, now)
            if request.__class__ is Login:
                break
        if self._rate is not None:
            self._rate.take(granted - left, now)
        self.context.counters.requests += granted - left
        self._watch_frame(now)
        return self._sequencer.entries - before

    def _granted(self, rate: TokenBucket, now: float, frames: int) -> int:
        """How many of these frames the rate limit allows now. The others wait."""
        granted = min(frames, rate.available(now))
        if granted < 1:
            self._wait(rate.when(1.0, now))
            return 0
        return granted

    def _relay(self, frames: int) -> int:
        """Enter the run of messages that is next. Returns their number."""
        facts = self.conn.relay(self._log.end + 1, frames)
        if facts:
            self._sequencer.say(self, facts, self.conn.data_to_send())
            self._has_input = self.conn.held > 0 or self._eof  # mostly: that was all
        return len(facts)

    def _input_ended(self, end: ConnectionEnded) -> None:
        if isinstance(end.error, RemoteProtocolError):
            self.goodbye(end.error.code, str(end.error))
        else:
            self.finish(b"", LeftReason.LOST, DRAINING)

    def _wait(self, until: float) -> None:
        """Validate no frame before this time."""
        self._has_input = False
        self.deadlines.work_at = until

    def _watch_frame(self, now: float) -> None:
        """Set the deadline for a frame that is not whole."""
        deadlines = self.deadlines
        pending = self.conn.held and not self._has_input and deadlines.work_at == NEVER
        if pending and self.state < DRAINING:
            deadlines.frame_pending(self.conn.offset, now)
        else:
            deadlines.no_frame_pending()
        if self._is_stalling:
            deadlines.reading_resumed(now)

    # ------------------------------------------------------------- requests

    def handle(self, request: Request, now: float) -> None:
        """Handle one request, and reply to it."""
        if isinstance(request, Login):
            self._delayed_login = None
            self.login(request, now)
        elif isinstance(request, Logout):
            self.logout(request)
        elif isinstance(request, Ping):
            self.reply(self.answer(request, Pong()))
        elif isinstance(request, InvalidRequest):
            self._count_error(request.error.code)
            self.reply(self.answer(request, request.error))
        else:
            self.publish(request)

    def publish(self, said: Message | ApplicationEvent) -> None:
        """Enter one message that `relay` does not take: the slow path."""
        assert self.member is not None
        position, sender = self._log.end + 1, self.member.user
        fact: Message | ApplicationEvent
        if isinstance(said, Message):
            fact = Message(content=said.content, sender=sender, seq=position)
        else:
            fact = ApplicationEvent(type=said.type, data=said.data, sender=sender, seq=position)
        ack = self.answer(said, Ack(position=position))
        self._sequencer.say(self, [encode(fact)], ack)

    def login(self, login: Login, now: float) -> None:
        """Accept the Login, refuse it, or let it wait."""
        context, address = self.context, self.peer.address
        if not self._is_paced:
            when = context.quotas.login_at(address, now)
            if when > now:
                self.delay(login, when)
                return
            self._is_paced = True
        self.state = UNAUTHENTICATED
        proof = self.authenticate(login)
        if proof is None:
            context.log_event("refused", user=login.user, code="UNAUTHORIZED", peer=address)
            self.state = REJECTED
            self.deadlines.reject_at = now + REJECT_DELAY
            return
        user = proof.user or login.user
        try:
            error = names.error_of(user)
            if error is not None:
                raise LoginRefused(ErrorCode.BAD_USER, f"this name {error}")
            if login.ticket or login.position:
                self.resume(login, user, now)
            else:
                self.join(login, user, bound=bool(proof.user))
        except LoginRefused as refused:
            self.refuse(login, refused)

    def refuse(self, login: Login, refused: LoginRefused) -> None:
        """Refuse a Login. The client may send another one."""
        self.state = UNAUTHENTICATED
        self._is_paced = False
        self._count_error(refused.code)
        code, peer = refused.code, self.peer.address
        self.context.log_event("refused", user=login.user, code=code.name, peer=peer)
        self.reply(self.answer(login, Error(code=code, text=refused.reason)))

    def authenticate(self, login: Login) -> Proof | None:
        """The proof of the credential, or None."""
        certified = self.peer.certified
        return self.context.authenticator.authenticate(login.user, login.credential, certified)

    def delay(self, login: Login, until: float) -> None:
        """Try this login again at that time. Reading is paused until then."""
        self.state = LOGIN_DELAYED
        self._delayed_login = login
        self._wait(until)

    def join(self, login: Login, user: str, *, bound: bool) -> None:
        """Begin a new session. Raises LoginRefused."""
        self.state = LOGGING_IN
        self._sequencer.join(self, login, user, bound=bound)

    def resume(self, login: Login, user: str, now: float) -> None:
        """Continue a session, also one that has a connection. Raises LoginRefused."""
        self.state = LOGGING_IN
        self._sequencer.resume(self, login, user, now)

    def may_replay(self, login: Login, user: str, now: float) -> bool:
        """Whether its user may get a replay now. After recent replays it waits."""
        size = self._log.bytes_after(login.position)
        when = self.context.quotas.replay_at(user, size, now)
        if when > now:
            self.delay(login, when)
        return when <= now

    def welcome(self, login: Login, member: Membership[Submitter], cursor: int) -> None:
        """The client is a member now, with the position `cursor` in the log."""
        self.member = member
        self._log = self.outbox.log = self._sequencer.log
        settings, counters = self.context.settings, self.context.counters
        welcome = Welcome(
            user=member.user,
            ticket=member.ticket,
            position=cursor,
            max_frame=settings.max_frame,
            heartbeat=settings.heartbeat,
            server=settings.server_name,
        )
        self._most_unread = HELD
        self._most_held = max(HELD, LENGTH_SIZE + settings.max_frame)
        self.state = MEMBER
        # Before `follow_log`: so the Welcome is sent before every entry.
        self.reply(self.answer(login, welcome))
        self.outbox.follow_log(cursor)
        counters.logins += 1
        self.context.log_event("login", user=member.user, peer=self.peer.address, position=cursor)

    def logout(self, logout: Logout) -> None:
        """The member leaves; the Ack is its last frame, before its own `Left`."""
        self.state = DRAINING

        def last(position: int | None) -> bytes:
            if position is None:
                return self._overtaken()
            return self.answer(logout, Ack(position=position))

        self._leave(LeftReason.LEFT, last)

    def answer(self, request: Request, event: Event) -> bytes:
        """Make the frame that answers this request. `reply` or the sequencer queues it."""
        self.conn.reply(request, event)
        return self.conn.data_to_send()

    def reply(self, data: bytes) -> None:
        """Send a reply without an entry, after all entries that are in the log now."""
        if self.outbox.in_log:
            self._sequencer.mark(self, data)
        else:
            self.outbox.add_preamble(data)
        self.context.counters.replies += 1

    # ------------------------------------------------------------- the end

    def goodbye(self, code: ErrorCode, text: str | None = None) -> None:
        """End the connection with an Error after all due bytes. The member leaves now."""
        if self.state >= DRAINING:
            return
        user = None if self.member is None else self.member.user
        self.context.log_event("goodbye", code=code.name, user=user, peer=self.peer.address)
        self._count_error(code)
        reason, state = LeftReason.LOST, DRAINING
        if self.member is None:
            state = State.DISMISSED
        elif code is ErrorCode.SLOW_CONSUMER:
            reason, state = LeftReason.EVICTED, State.DISMISSED
        elif code is ErrorCode.USER_TAKEN:
            state = SUPERSEDED
        self.conn.goodbye(code, text)
        self.finish(self.conn.data_to_send(), reason, state)

    def evict(self, ran_out: str = "log") -> None:
        """End the connection of a client that did not keep up, after the chunk that was begun.

        All other due bytes are dropped: no byte can follow an entry that is gone. `ran_out` is
        `log` or `time`, for the metrics.
        """
        self.outbox.leave_log()
        self.deadlines.write_timeout = self.context.settings.close_timeout
        code = ErrorCode.TIMEOUT if self.member is None else ErrorCode.SLOW_CONSUMER
        if self.member is not None:
            self.context.counters.evictions[ran_out] += 1
        if self.state >= DRAINING:  # it left before, and the entries up to then are gone
            self._count_error(code)
            self.state = State.DISMISSED
            self.reply(encode(Error(code=code, text=code.meaning)))
            self.outbox.close()
        else:
            self.goodbye(code)

    def finish(self, last: bytes, reason: LeftReason, state: State) -> None:
        """Queue the last frame. A member leaves now. `state` decides which other bytes are still
        sent."""
        if self.state >= DRAINING:
            return
        was_member = self.state == MEMBER
        self.state = state
        if was_member and state != SUPERSEDED:
            self._leave(reason, lambda position: last)
        else:
            self.left(self._log.end, last)
        self.wake()

    def superseded(self) -> None:
        """Another connection continues the session. Its own `Left` is the next entry."""
        self.goodbye(ErrorCode.USER_TAKEN, ELSEWHERE)

    def _overtaken(self) -> bytes:
        """Make the last frame of a client whose Logout came after a takeover in the room's order.

        The Logout has no effect. EP-6.4-10, EP-6.4-12."""
        self.state = SUPERSEDED
        self._count_error(ErrorCode.USER_TAKEN)
        self.conn.goodbye(ErrorCode.USER_TAKEN, ELSEWHERE)
        return self.conn.data_to_send()

    def desert(self) -> None:
        """End the connection without a word: nobody knows what became of what it asked."""
        self.finish(b"", LeftReason.LOST, DRAINING)

    def left(self, before: int, last: bytes) -> None:
        """The member has left. The last frame comes after the log up to `before`."""
        if self.outbox.closed:
            return
        if self.outbox.in_log:
            self.outbox.add(Reply(before, before, last))
        else:
            self.outbox.add_preamble(last)
        self.outbox.close()
        if last:
            self.context.counters.replies += 1

    def client_closed(self) -> bool:
        """The client has closed, and reads no reply. Returns whether it left requests to handle."""
        self._most_unread = NEVER
        return self.has_work

    def lost(self) -> None:
        """The transport is gone. All bytes from it and for it are dropped."""
        self.finish(b"", LeftReason.LOST, State.CLOSED)
        self.state = State.CLOSED
        self.conn = ServerConnection()
        self.outbox.clear()
        self.outbox.close()

    def _leave(self, reason: LeftReason, last: Last) -> None:
        assert self.member is not None
        user, peer = self.member.user, self.peer.address
        self.context.log_event("left", user=user, reason=reason.name.lower(), peer=peer)
        self._sequencer.leave(self, reason, last)

    def _count_error(self, code: int) -> None:
        self.context.counters.errors[ErrorCode(code).name] += 1

    # ------------------------------------------------------------- time

    @property
    def due(self) -> float:
        """When to call `tick`, if no other event happens before."""
        return self.deadlines.next_due(self.state)

    def tick(self, now: float) -> None:
        """Handle the deadlines that are due."""
        for due in self.deadlines.expired(self.state, now):
            if due is Due.WORK:
                self._has_input = True
            elif due is Due.WRITE_TIMEOUT:
                if self.state >= DRAINING:
                    self.should_abort = True
                else:
                    self.evict("time")
            elif due is Due.REJECT:
                self.goodbye(ErrorCode.UNAUTHORIZED)
            elif due is Due.PING:
                self.pings += 1
                self.outbox.add_here(encode(Ping(seq=self.pings)))
                self.context.counters.replies += 1
            else:
                self.goodbye(ErrorCode.TIMEOUT, TIMEOUTS[due])

    def reading_paused(self, now: float) -> None:
        """Reading is paused, so the deadlines for the client do not run. EP-9.1-6."""
        if not self._is_stalling:
            self.deadlines.reading_paused(now)

    @property
    def exceeds_quota(self) -> bool:
        """Its Login waits because its user has used up its limit."""
        return self.state == LOGIN_DELAYED and self._is_paced

    @property
    def _is_stalling(self) -> bool:
        """It is not logged in and reads no replies. If its deadlines did not run, it could stay
        without end."""
        return self.member is None and self.outbox.unread >= self._most_unread
