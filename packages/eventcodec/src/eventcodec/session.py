"""A client over several connections: no request is accepted twice, and each gets an outcome.

Rule: a session decides what to do next. The caller passes the time and carries the bytes. The
ledger knows the outcomes of requests, the connection knows the order on one connection, and the
tables of `lifecycle` say what follows from an end.

Layer: above `lifecycle` and `connection`; clients that survive their connections are written on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .codec import STANDARD, Buffer, Codec, encode
from .connection import ClientConnection, Reply
from .decoder import ConnectionEnded
from .errors import (
    ConnectionLostError,
    ErrorCode,
    EventCodecError,
    LocalProtocolError,
    PeerError,
    RemoteProtocolError,
)
from .events import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Fact,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Ping,
    Unknown,
    Welcome,
)
from .ledger import Fate, Ledger, Outcome, Request
from .lifecycle import (
    LAST_ERRORS,
    REFUSED_LOGINS,
    TRANSITIONS,
    CaughtUp,
    Closed,
    Gap,
    Offline,
    Online,
    Pause,
    Paused,
    SessionState,
    Step,
)
from .limits import MAX_FRAME_BEFORE_WELCOME

__all__ = ["ClientSession", "SessionEvent", "SessionFullError"]

SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two attempts to connect, before the random part. EP-9.3-1."""

HEARTBEAT = 20.0
"""Seconds without a byte after which a session asks a server that named no heartbeat itself."""

LOGIN_TIMEOUT = 30.0
"""Seconds that a session waits for the reply to its Login."""

MAX_BUFFERED = 1_048_576
"""Bytes of requests without an outcome that a session takes: some thousand short messages."""

WINDOW = 65_536
"""Bytes of requests without a reply after which a session waits before it hands out more."""

REQUEST_CHARGE = 100
"""The memory of a request in addition to its bytes, in bytes."""

MOST_FAILURES = 3
"""Connections that may end with INTERNAL while the same request is the first without a reply."""

FORMAT = 1
"""The version of the result of `snapshot`."""

SessionEvent = (
    Message
    | Joined
    | Left
    | ApplicationEvent
    | Unknown
    | Reply
    | Outcome
    | Online
    | CaughtUp
    | Offline
    | Gap
    | Paused
    | Closed
)
"""The events that `ClientSession.next_event` returns. A `Reply` is the reply to a `ping`."""


class SessionFullError(LocalProtocolError):
    """The session holds too many requests without an outcome; it did not take this one.

    Try again after the next `Outcome`.
    """


class ClientSession:
    """A client over several connections, without any I/O.

    The caller connects at `connect_at` and then calls `connected`. It carries bytes in both
    directions, calls `handle_timer` at `next_timer`, and takes events. It closes the transport when
    `is_connected` is false. All times are seconds on one clock of the caller.

    `user` is the requested name; empty means any name. After `heartbeat` seconds without a byte the
    session sends a Ping; after twice as many it gives the connection up. None takes the value of
    the Welcome, and 0 waits for ever. `max_buffered` limits the bytes of requests without an
    outcome. `random` returns a number from 0 to below 1; None takes `random.random`. EP-6.5-5 to
    EP-6.5-18, EP-9.3-1 to EP-9.3-4.

    It has more than twenty methods and fifteen attributes: each step of `lifecycle` has a method,
    and all use the state of one session.

    >>> session = ClientSession("ann")
    >>> session.say(Message(content="hello"))
    1
    >>> session.connected(now=0.0)
    >>> session.data_to_send().hex()
    '0000002201010000000000000000000103616e6e000000000000000000000000000000000000'
    """

    def __init__(
        self,
        user: str = "",
        *,
        codec: Codec = STANDARD,
        heartbeat: float | None = None,
        max_buffered: int = MAX_BUFFERED,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._codec = codec
        self._heartbeat = heartbeat
        self._max_buffered = max_buffered
        if random is None:
            import random as standard  # a program without a session does without

            random = standard.random
        self._random = random
        self._state = SessionState.WAITING
        self._ledger = Ledger()
        self._ready: deque[SessionEvent] = deque()
        self._asked_for = user
        self._user = ""
        self._ticket = 0
        self._position = 0
        self._last_number = 0
        self._conn: ClientConnection | None = None
        self._marker = 0
        self._pings: set[int] = set()
        self._is_leaving = False
        self._login_was_unanswered = False
        self._failing = (0, 0)
        self._attempts = 0
        self._connect_at = 0.0
        self._now = 0.0
        self._heard_at = 0.0
        self._asked_at: float | None = None

    # ------------------------------------------------------------ what it is

    @property
    def state(self) -> SessionState:
        """The state of the session; `lifecycle.TRANSITIONS` is the table of transitions."""
        return self._state

    @property
    def is_connected(self) -> bool:
        """True while the session uses the connection. Close the transport when it is false."""
        return self._conn is not None

    @property
    def user(self) -> str:
        """The name that the server gave; before the first Welcome, the requested name."""
        return self._user or self._asked_for

    @property
    def position(self) -> int:
        """The position of the last entry that was returned, as a fact or an outcome. EP-6.5-4."""
        return self._position

    @property
    def unsettled(self) -> tuple[tuple[int, Event], ...]:
        """The requests without an outcome, with their numbers, oldest first."""
        return tuple((request.number, request.event) for request in self._ledger.requests)

    @property
    def in_doubt(self) -> int:
        """How many of the first `unsettled` requests the server may already have accepted."""
        return self._ledger.in_doubt

    # ------------------------------------------------------------ what the user wants

    def say(self, request: Message | ApplicationEvent) -> int:
        """Takes a request, sends it when possible, and returns its number: 1, 2, 3 …

        Its `Outcome` arrives later, with this number. Raises SessionFullError if too many requests
        have no outcome. Raises LocalProtocolError if the event cannot be sent, if it is longer than
        the server accepts, and after a `logout`.
        """
        if not isinstance(request, Message | ApplicationEvent):
            raise LocalProtocolError(f"{type(request).__name__} is nothing to say")
        if request.sender:
            raise LocalProtocolError("the server fills it in", field="sender")
        if self._is_leaving or self._state is SessionState.CLOSED:
            raise LocalProtocolError("the session ends")
        kept = Request.of(self._last_number + 1, request)
        most = self._max_frame
        if most is not None and kept.length > most:
            raise LocalProtocolError(f"{kept.length} bytes of length, and {most} is the most")
        ledger = self._ledger
        held = ledger.bytes + REQUEST_CHARGE * len(ledger.requests)
        if held + kept.length + REQUEST_CHARGE > self._max_buffered and len(ledger.requests):
            raise SessionFullError(f"requests without an outcome: {len(ledger.requests)}")
        self._last_number += 1
        ledger.add(kept)
        return kept.number

    def ping(self) -> Ping:
        """Sends a Ping and returns it with its number. Its `Reply` is an event later, unless
        the connection is lost.

        Raises LocalProtocolError if the session is not ONLINE.
        """
        if self._conn is None or self._state is not SessionState.ONLINE:
            raise LocalProtocolError(f"no Ping may be sent now ({self._state.value})")
        ping = self._conn.send(Ping())
        assert isinstance(ping, Ping)
        self._pings.add(ping.seq)
        return ping

    def logout(self) -> None:
        """Logs out when every request has its outcome. `Closed` is the last event.

        An offline session without requests closes at once: the server frees the name by itself.
        """
        self._is_leaving = True
        if self._conn is None and not self._ledger.requests:
            self._close(is_clean=False)

    def close(self) -> None:
        """Ends the session now. Each request without an outcome gets one; then follows `Closed`.

        The outcome of a request in doubt is UNKNOWN. EP-6.5-15.
        """
        self._ready += self._ledger.give_up()
        self._close(is_clean=False)

    def go_on(self, now: float, *, user: str | None = None, again: Iterable[Outcome] = ()) -> None:
        """Connects again after a `Paused`.

        `user` is another name to request; a session with a ticket keeps its own name. `again` are
        UNKNOWN outcomes. The session sends their requests again, before all others; the server can
        then have them twice. Raises LocalProtocolError if the session is not paused, for another
        name than that of the session, and for an outcome that is not UNKNOWN.
        """
        if self._state is not SessionState.PAUSED:
            raise LocalProtocolError(f"the session is not paused ({self._state.value})")
        outcomes = list(again)
        if any(outcome.fate is not Fate.UNKNOWN for outcome in outcomes):
            raise LocalProtocolError("only what is unknown may be said again", field="again")
        if user is not None and self._ticket and user != self._user:
            raise LocalProtocolError("a session keeps its name", field="user")
        if user is not None:
            self._asked_for = user
        self._ledger.again(Request.of(each.number, each.request) for each in outcomes)
        self._step(Step.GO_ON)
        self._failing = (0, 0)
        self._attempts = 0
        self._connect_at = now

    # ------------------------------------------------------------ the transport

    @property
    def connect_at(self) -> float | None:
        """When to connect, or None. A time in the past means now. EP-9.3-1."""
        return self._connect_at if self._state is SessionState.WAITING else None

    def connected(self, now: float, *, credential: bytes = b"") -> None:
        """Starts to use a new connection: logs in, or resumes.

        `credential` is for this attempt. Pass one only over TLS or for a loopback address
        (EP-6.3-1). Raises LocalProtocolError if the session needs no connection now.
        """
        if self._state is not SessionState.WAITING:
            raise LocalProtocolError(f"no connection is wanted now ({self._state.value})")
        conn = ClientConnection(codec=self._codec)
        user = self._user if self._ticket else self._asked_for
        conn.send(
            Login(user=user, credential=credential, ticket=self._ticket, position=self._position)
        )
        self._marker = conn.send(Ping()).seq if self._ticket else 0
        self._conn = conn
        self._pings.clear()
        self._ledger.connected()
        self._step(Step.CONNECT)
        self._now = self._heard_at = now
        self._asked_at = None

    def receive_data(self, data: Buffer, now: float) -> None:
        """Takes received bytes; `next_event` returns their events. Offline, drops them."""
        self._now = now
        if self._conn is not None:
            self._conn.receive_data(data)
            self._heard_at = now
            self._asked_at = None

    def receive_eof(self, now: float) -> None:
        """The server has ended its stream."""
        self._now = now
        if self._conn is not None:
            self._conn.receive_eof()

    def connection_lost(self, now: float, error: Exception | None = None) -> None:
        """Reports that the transport failed or could not connect; the session tries again later."""
        self.receive_eof(now)
        if self._state is SessionState.WAITING:
            self._retry(error)

    def data_to_send(self) -> bytes:
        """Returns the bytes to write to the server now.

        It hands out requests while fewer than `WINDOW` bytes of them have no reply. These requests
        are then in doubt. If the session must survive the end of the program, store a `snapshot`
        before you write these bytes.
        """
        conn, ledger = self._conn, self._ledger
        if conn is None:
            return b""
        if self._state is SessionState.ONLINE:
            while ledger.bytes_in_doubt < WINDOW and (request := ledger.next) is not None:
                conn.send(request)
                ledger.handed_out()
            if self._is_leaving and ledger.next is None:
                conn.send(Logout())
                self._step(Step.LEAVE)
        return conn.data_to_send()

    # ------------------------------------------------------------ time

    @property
    def next_timer(self) -> float | None:
        """When to call `handle_timer`; None means never."""
        if self._conn is None:
            return None
        if self._state is SessionState.LOGIN:
            return self._heard_at + LOGIN_TIMEOUT
        silence = self._silence
        if not silence:
            return None
        if self._asked_at is not None:
            return self._asked_at + silence
        return self._heard_at + (silence if self._can_ask else 2 * silence)

    def handle_timer(self, now: float) -> None:
        """Sends a Ping to a silent server, or gives its connection up, if the time has come.

        First pass all received bytes to `receive_data`: a program that was stopped for a while must
        read before it decides. EP-9.1-7.
        """
        self._now = now
        due = self.next_timer
        if due is None or now < due or self._conn is None:
            return
        if self._can_ask:
            self._conn.send(Ping())
            self._asked_at = now
        else:
            self._ended(ConnectionLostError("the server was silent for too long"))

    @property
    def _can_ask(self) -> bool:
        may_ping = self._state in (SessionState.REPLAY, SessionState.ONLINE)
        return may_ping and self._asked_at is None

    # ------------------------------------------------------------ events

    def next_event(self) -> SessionEvent | None:
        """Returns the next event, or None if there is none yet.

        The events are facts and unknown events, one `Outcome` for each request, and the changes of
        the session itself. `position` and `unsettled` change when the event is returned.
        """
        while not self._ready:
            received = None if self._conn is None else self._conn.next_event()
            if received is None:
                return None
            event = self._handle(received)
            if event is not None:
                return event
        return self._ready.popleft()

    def events(self) -> Iterator[SessionEvent]:
        """Iterates over the ready events; takes each one when the loop asks for it."""
        while (event := self.next_event()) is not None:
            yield event

    def _handle(
        self,
        received: Message | Joined | Left | ApplicationEvent | Unknown | Reply | ConnectionEnded,
    ) -> SessionEvent | None:
        if isinstance(received, ConnectionEnded):
            self._ended(received.error)
            return None
        assert self._conn is not None
        if self._conn.welcome is not None:
            self._position = self._conn.position
        if isinstance(received, Reply):
            return self._reply(received)
        if isinstance(received, Fact):
            return self._ledger.fact(received) or received
        return received

    def _reply(self, reply: Reply) -> SessionEvent | None:
        request, event = reply
        if isinstance(request, Login):
            if isinstance(event, Welcome):
                return self._enter(event, request)
            assert isinstance(event, Error)
            self._login_was_refused(event, request)
        elif isinstance(request, Ping):
            if request.seq == self._marker:
                return self._replay_is_over(event)
            if request.seq in self._pings:
                self._pings.discard(request.seq)
                return reply
        elif isinstance(request, Logout):
            if isinstance(event, Error):
                self._ended(PeerError(event.code, event.text), is_lost=True)
        elif isinstance(event, Error):
            return self._ledger.refused(event)
        else:
            assert isinstance(event, Ack)
            return self._ledger.acknowledged(event.position)
        return None

    def _enter(self, welcome: Welcome, login: Login) -> SessionEvent | None:
        is_other = bool(login.ticket) and welcome.ticket != login.ticket
        if not welcome.ticket or is_other or welcome.max_frame < MAX_FRAME_BEFORE_WELCOME:
            self._ended(  # EP-3.8-5
                RemoteProtocolError(ErrorCode.UNEXPECTED_EVENT, "a Welcome that may not be")
            )
            return None
        self._user, self._ticket = welcome.user, welcome.ticket
        self._login_was_unanswered = False
        self._attempts = 0
        self._ledger.welcomed(welcome.user, resumed=bool(login.ticket))
        self._step(Step.RESUME if login.ticket else Step.ENTER)
        self._ready.append(Online(welcome, is_resumed=bool(login.ticket)))
        if not login.ticket:
            self._ready += self._ledger.too_long(welcome.max_frame)
        return None

    def _replay_is_over(self, event: Event) -> SessionEvent | None:
        if self._state is not SessionState.REPLAY:
            return None  # the resume was refused
        if isinstance(event, Error):
            self._stop(Pause.REFUSED, PeerError(event.code, event.text))
            return None
        assert self._conn is not None and self._conn.welcome is not None
        self._ledger.marker()
        self._step(Step.CATCH_UP)
        self._ready.append(CaughtUp(self._position))
        self._ready += self._ledger.too_long(self._conn.welcome.max_frame)
        return None

    def _login_was_refused(self, error: Error, login: Login) -> None:
        refusal = PeerError(ErrorCode.known(error.code) or error.code, error.text)
        reason = REFUSED_LOGINS.get(error.code, Pause.REFUSED)
        if reason is Pause.USER_TAKEN and (login.ticket or self._login_was_unanswered):
            self._ended(refusal, is_lost=True)
            return
        if reason is Pause.GAP:
            self._ready.append(Gap(self._position))
            self._ready += self._ledger.history_gone()
            self._ticket = self._position = 0
            self._user = ""
        self._stop(reason, refusal)

    # ------------------------------------------------------------ the end of a connection

    def _ended(self, error: EventCodecError | None, *, is_lost: bool = False) -> None:
        """The connection has ended. With `is_lost`, `error` counts as a lost connection."""
        if error is None:
            self._close(is_clean=True)
            return
        code = error.code if isinstance(error, PeerError) and not is_lost else None
        reason = None if code is None else LAST_ERRORS.get(code)
        if isinstance(error, RemoteProtocolError):
            reason = Pause.SERVER_FAULT
        if code == ErrorCode.INTERNAL and self._fails_again():
            reason = Pause.FAILING_REQUEST
        if self._state is SessionState.LOGIN and code is None and not is_lost:
            self._login_was_unanswered = True
        self._ledger.ended(code)
        if self._is_leaving and not self._ledger.requests:
            self._close(is_clean=False)
        elif reason is not None:
            self._stop(reason, error)
        else:
            self._retry(error)

    def _fails_again(self) -> bool:
        """Whether too many connections have ended this way while the same request was the first."""
        if not (self._ledger.may_send and self._ledger.in_doubt):
            return False
        number, count = self._failing
        first = self._ledger.requests[0].number
        self._failing = (first, count + 1 if first == number else 1)
        return self._failing[1] >= MOST_FAILURES

    def _stop(self, reason: Pause, error: EventCodecError) -> None:
        self._conn = None
        self._ledger.ended()
        self._step(Step.PAUSE)
        self._ready.append(Paused(reason, error))

    def _retry(self, error: Exception | None) -> None:
        """EP-9.3-1: the wait doubles, and up to half of it is left out by chance."""
        self._conn = None
        self._step(Step.RETRY)
        longest = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(self._attempts, 10))
        self._attempts += 1
        self._connect_at = self._now + longest * (0.5 + self._random() / 2)
        self._ready.append(Offline(error, self._connect_at))

    def _close(self, *, is_clean: bool) -> None:
        if self._state is SessionState.CLOSED:
            return
        self._conn = None
        self._step(Step.LEFT if is_clean else Step.CLOSE)
        self._ready.append(Closed(is_clean))

    def _step(self, step: Step) -> None:
        self._state = TRANSITIONS[self._state, step]

    @property
    def _max_frame(self) -> int | None:
        """The `max_frame` of the server, or None before its Welcome."""
        welcome = None if self._conn is None else self._conn.welcome
        return None if welcome is None else welcome.max_frame

    @property
    def _silence(self) -> float:
        if self._heartbeat is not None:
            return self._heartbeat
        welcome = None if self._conn is None else self._conn.welcome
        return (welcome.heartbeat if welcome is not None else 0) or HEARTBEAT

    # ------------------------------------------------------------ snapshots

    def snapshot(self) -> dict[str, Any]:
        """Returns everything that `restore` needs, as values for JSON.

        It contains the ticket, which is a secret (EP-12-1). Its state is the one after the last
        returned event. Take it after you have handled this event, and again before you write the
        bytes of `data_to_send`. Raises LocalProtocolError if events are ready that you have not
        taken, and after the end of the session. EP-6.5-18.
        """
        if self._ready:
            raise LocalProtocolError("take the events that are ready first")
        if self._state is SessionState.CLOSED:
            raise LocalProtocolError("the session is over")
        ledger = self._ledger
        return {
            "format": FORMAT,
            "asked_for": self._asked_for,
            "user": self._user,
            "ticket": str(self._ticket),
            "position": str(self._position),
            "login_was_unanswered": self._login_was_unanswered or self._state is SessionState.LOGIN,
            "is_leaving": self._is_leaving,
            "last_number": self._last_number,
            "in_doubt": ledger.in_doubt,
            "tried": ledger.tried,
            "requests": [
                [request.number, encode(request.event.with_seq(1)).hex()]
                for request in ledger.requests
            ],
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any], **settings: Any) -> ClientSession:
        """Returns the session of a snapshot. It is in the state after a lost connection.

        `settings` are the keyword arguments of `ClientSession`. Raises LocalProtocolError for a
        snapshot of another format.
        """
        if snapshot.get("format") != FORMAT:
            raise LocalProtocolError("not a snapshot of this format")
        session = cls(snapshot["asked_for"], **settings)
        session._user = snapshot["user"]
        session._ticket = int(snapshot["ticket"])
        session._position = int(snapshot["position"])
        session._login_was_unanswered = snapshot["login_was_unanswered"]
        session._is_leaving = snapshot["is_leaving"]
        session._last_number = snapshot["last_number"]
        for number, frame in snapshot["requests"]:
            event = session._codec.decode(bytes.fromhex(frame)).with_seq(0)
            session._ledger.add(Request.of(number, event))
        session._ledger.restore(in_doubt=snapshot["in_doubt"], tried=snapshot["tried"])
        return session
