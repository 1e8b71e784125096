"""Both ends of a connection, without any I/O: data in, events out; events in, data out.

Rule: these classes know the order of things (whose turn, which reply to which
request, which position comes next) and nothing else; bytes are the decoder's,
sockets and clocks are the caller's.

Layer: above `states`; what a client or a server is written on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from .codec import STANDARD, Codec, Relayed, encode
from .decoder import Decoder
from .errors import ConnectionLost, ErrorCode, EventError, LocalError, ProtocolError, RemoteError
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
    Pong,
    Unknown,
    Welcome,
)
from .limits import MAX_FRAME_BEFORE_WELCOME, MAX_FRAME_CEILING, SENDER_ALLOWANCE, Limits
from .states import REPLIES, SENDABLE, Role, State, judge, kind_of

__all__ = ["ClientConnection", "Refused", "Reply", "ServerConnection"]


class Reply(NamedTuple):
    """A reply and the request that it answers.

    `event` is a `Welcome`, an `Ack`, a `Pong` or an `Error`.
    """

    request: Event
    event: Welcome | Ack | Pong | Error


class Refused(NamedTuple):
    """A request that the protocol refuses, and the `Error` to answer it with."""

    seq: int
    error: Error


Received = Message | Joined | Left | ApplicationEvent | Unknown | Reply
Request = Login | Message | Logout | Ping | ApplicationEvent | Refused


class ClientConnection:
    """The client's end: what to send, and what the bytes that came mean.

    `codec` knows the application's own events; `max_frame` is the greatest `length` in
    bytes that is read, however much more the server announces.

    >>> conn = ClientConnection()
    >>> conn.send(Login(user="ann"))
    Login(seq=1, user='ann', position=0)
    >>> conn.data_to_send().hex()
    '0000002201010000000000000000000103616e6e000000000000000000000000000000000000'
    """

    def __init__(
        self, *, codec: Codec = STANDARD, max_frame: int = MAX_FRAME_CEILING + SENDER_ALLOWANCE
    ) -> None:
        self._cap = max_frame
        self._decoder = Decoder(
            Limits(max_frame=min(max_frame, MAX_FRAME_BEFORE_WELCOME + SENDER_ALLOWANCE)), codec
        )
        self._every_fact = frozenset(e for e in codec.events.values() if issubclass(e, Fact))
        self._every_fact |= {ApplicationEvent}
        self._facts: frozenset[type[Event]] = frozenset()
        self._state = State.NEW
        self._eof = False
        self._clean = False
        self._last_seq = 0
        self._requests: deque[Event] = deque()
        self._turns: set[type[Event]] = set()  # Login, Logout: those on their way
        self._out: list[bytes] = []
        self._position = 0
        self._welcome: Welcome | None = None

    @property
    def state(self) -> State:
        """NEW until the Welcome, then MEMBER, and ENDED when nothing more will come."""
        return self._state

    @property
    def ended(self) -> bool:
        """Nothing more will come: the Ack of a Logout was taken, or an error raised."""
        return self._state is State.ENDED

    @property
    def position(self) -> int:
        """One's place in the log: the last entry that was given, as a fact or as an Ack.

        What a resume goes on behind, with `ticket`; also after the end. It counts an event
        in the instant before the iterator of `receive` gives it. 0 before the Welcome. EP-6.4-2.
        """
        return self._position

    @property
    def welcome(self) -> Welcome | None:
        """What the server said when it let one in; None before. Also after the end."""
        return self._welcome

    @property
    def user(self) -> str:
        """The name that the server gave; empty before the Welcome."""
        return "" if self._welcome is None else self._welcome.user

    @property
    def ticket(self) -> int:
        """What resumes this session on another connection; 0 before the Welcome."""
        return 0 if self._welcome is None else self._welcome.ticket

    @property
    def outstanding(self) -> tuple[Event, ...]:
        """The requests that have no reply, oldest first; also after the end."""
        return tuple(self._requests)

    def send(self, request: Event) -> Event:
        """Number a request and put it among the data to send; gives it as it was numbered.

        One may send on without waiting for replies. Raises LocalError, and nothing is
        sent, for an event that a client may not send now, for one with a sender, and for
        a frame above what the server reads: 4,096 bytes of `length` until its Welcome came.
        EP-4.2-4, EP-4.2-5, EP-4.4-3 to EP-4.4-5, EP-7.1-1, EP-7.1-2.
        """
        state = self._sending()
        if kind_of(request.type) not in SENDABLE[state]:
            raise LocalError(f"a client may not send {type(request).__name__} now ({state.value})")
        if getattr(request, "sender", ""):
            raise LocalError("the server fills it in", field="sender")
        numbered = request.with_seq(self._last_seq + 1)
        frame = encode(numbered)
        most = MAX_FRAME_BEFORE_WELCOME if self._welcome is None else self._welcome.max_frame
        if len(frame) - 4 > most:
            hint = "; more may be allowed after the Welcome" if self._welcome is None else ""
            raise LocalError(f"{len(frame) - 4} bytes of length, and {most} is the most{hint}")
        self._last_seq += 1
        self._requests.append(numbered)
        if isinstance(numbered, Login | Logout):
            self._turns.add(type(numbered))
        self._out.append(frame)
        return numbered

    def data_to_send(self) -> bytes:
        """What is to be written to the server now; once, it is gone from here then.

        Fetch it after each `receive` too: the Pongs for a server's Pings wait here.
        """
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> Iterator[Received]:
        """Store what came, at once, and return the iterator of what it says.

        `b""` is the end of the stream, as `socket.recv` spells it. The good events come
        first: facts, replies with their requests, unknown events. Then the iterator ends,
        or raises what ended the connection, now and in every later call: RemoteError,
        ConnectionLost, or ProtocolError for what the server did wrong. A Ping is answered
        in `data_to_send` and not given. EP-4.2-11 to EP-4.2-13, EP-10.1-2, EP-10.3-1.
        """
        if self._clean:
            return iter(())
        events = self._decoder.receive(data)
        self._eof |= not data
        return self._received(events)

    def _received(self, events: Iterator[Event]) -> Iterator[Received]:
        try:
            for event in events:
                position = self._position + 1
                if event.seq == position and event.__class__ in self._facts:
                    self._position = position
                    yield event  # type: ignore[misc]
                    continue
                received = self._other(event)
                if received is not None:
                    yield received
            if self._eof:
                raise self._decoder.fail(ConnectionLost("the stream ended without a Logout"))
        except EventError:
            if self._clean:
                return
            self._state = State.ENDED
            raise

    def _other(self, event: Event) -> Received | None:
        """Whatever is not the next fact."""
        code = judge(Role.CLIENT, self._state, event.type)
        if code is not None:
            raise self._broken(event, f"no {type(event).__name__} may come now", code=code)
        if isinstance(event, Unknown):
            return event
        if isinstance(event, Ping):
            self._out.append(encode(Pong(seq=event.seq)))
            return None
        if isinstance(event, Error) and not event.seq:
            number = ErrorCode.known(event.code) or event.code
            raise self._decoder.fail(RemoteError(number, event.text))
        if isinstance(event, Fact):
            raise self._broken(event, f"{event.seq} follows {self._position}", field="seq")
        assert isinstance(event, Welcome | Ack | Pong | Error)
        return self._reply(event)

    def _reply(self, event: Welcome | Ack | Pong | Error) -> Reply:
        if not self._requests or event.seq != self._requests[0].seq:
            raise self._broken(event, "not the number of the oldest open request", field="seq")
        request = self._requests[0]
        if not isinstance(event, Error) and event.type != REPLIES[kind_of(request.type)]:
            raise self._broken(event, f"no reply to {type(request).__name__}")
        if isinstance(event, Ack) and event.position:
            if event.position != self._position + 1:
                raise self._broken(event, f"{event.position} follows {self._position}", "position")
            self._position = event.position
        if isinstance(event, Welcome):
            self._enter(event, request)
        elif isinstance(request, Logout) and isinstance(event, Ack):
            self._leave()
        self._requests.popleft()
        self._turns.discard(type(request))
        return Reply(request, event)

    def _enter(self, welcome: Welcome, login: Event) -> None:
        assert isinstance(login, Login)
        if login.ticket and welcome.position != login.position:
            raise self._broken(
                welcome, f"{welcome.position}, and {login.position} was asked for", "position"
            )
        self._welcome = welcome
        self._position = welcome.position
        self._state = State.MEMBER
        self._facts = self._every_fact
        announced = max(welcome.max_frame, MAX_FRAME_BEFORE_WELCOME) + SENDER_ALLOWANCE
        self._decoder.max_frame = min(self._cap, announced)

    def _leave(self) -> None:
        """The clean end. Every iterator ends here, also one that was begun before."""
        self._state = State.ENDED
        self._clean = True
        self._decoder.fail(ConnectionLost("the connection was ended"))

    def _sending(self) -> State:
        """What one's own requests on their way have made of the state."""
        if self._state is State.ENDED:
            return State.ENDED
        if Logout in self._turns:
            return State.LEAVING
        return State.MEMBER if Login in self._turns else self._state

    def _broken(
        self,
        event: Event,
        reason: str,
        field: str | None = None,
        code: ErrorCode = ErrorCode.UNEXPECTED_EVENT,
    ) -> EventError:
        start = self._decoder.offset - len(encode(event))
        error = ProtocolError(code, reason, field=field, offset=start, seq=event.seq)
        return self._decoder.fail(error)


class ServerConnection:
    """The server's end of one client's connection.

    It judges what came, one request after the other, and makes the bytes of replies,
    but keeps none: order and queues belong to the session that uses it. A request must
    be replied to before the next one is judged, for the reply may change the state.

    >>> conn = ServerConnection()
    >>> for request in conn.receive(encode(Ping(seq=7))):
    ...     conn.reply(request, Pong()).hex()
    '0000000c010700000000000000000007'
    """

    def __init__(self, *, codec: Codec = STANDARD) -> None:
        self._decoder = Decoder(Limits(max_frame=MAX_FRAME_BEFORE_WELCOME), codec)
        self._decoder.unnumbered = None
        self._state = State.NEW
        self._open: Request | None = None
        self._sender = b""
        self._eof = False

    @property
    def state(self) -> State:
        """NEW until a Welcome was given in reply, then MEMBER; ENDED after the last frame."""
        return self._state

    @property
    def held(self) -> int:
        """Bytes held of what came and was not judged yet."""
        return self._decoder.held

    @property
    def judged(self) -> int:
        """Bytes of the stream that were judged, from its beginning."""
        return self._decoder.offset

    def receive(self, data: bytes) -> Iterator[Request]:
        """Store what came, at once, and return the iterator of requests.

        `b""` is the end of the stream. Gives the requests that may be carried out, and as
        `Refused` those that the protocol refuses; Pongs are taken in silence. Raises
        ProtocolError, whose code is what to say `goodbye` with; ConnectionLost at the end
        of the stream; LocalError where the last request has no reply yet. After the last
        frame was made (Ack of a Logout, `goodbye`) all that comes is dropped. EP-4.2-6, EP-4.3-1 to
        EP-4.3-6, EP-8.3-1.
        """
        if self._state is State.ENDED:
            return iter(())
        events = self._decoder.receive(data)
        self._eof |= not data
        return self._requests(events)

    def _requests(self, events: Iterator[Event]) -> Iterator[Request]:
        while self._state is not State.ENDED:
            if self._open is not None:
                raise LocalError(f"request {self._open.seq} has no reply yet")
            event = next(events, None)
            if event is None:
                if self._eof:
                    raise self._decoder.fail(ConnectionLost("the client closed the stream"))
                return
            request = self._judge(event)
            if request is not None:
                self._open = request
                yield request

    def _judge(self, event: Event) -> Request | None:
        code = judge(Role.SERVER, self._state, event.type)
        if getattr(event, "sender", ""):
            code = ErrorCode.UNEXPECTED_EVENT
        if code is not None:
            return Refused(event.seq, Error(code=code, text=code.meaning))
        if isinstance(event, Pong):
            return None
        assert isinstance(event, Login | Message | Logout | Ping | ApplicationEvent)
        return event

    def relay(self, position: int, count: int) -> Relayed:
        """Take the run of messages that is next, as the facts and Acks that they become.

        The short road for what is only relayed: the same as `receive`, a fact made of each
        `Message` and application event, and an `Ack` in reply, without their events. Facts
        are numbered from `position`; at most `count` are taken. Gives nothing where
        something else is next, or not all of a message is there.
        """
        if self._state is not State.MEMBER or self._open is not None:
            return Relayed([], b"")
        return self._decoder.relay(self._sender, position, count)

    def reply(self, request: Request, event: Event) -> bytes:
        """The frame that answers `request`, under its number.

        `Welcome` makes the client a member and sets what it may send to its `max_frame`; the
        `Ack` of a Logout is the last frame. Raises LocalError where `request` is not the one
        to be answered, where `event` is no answer to it, and for an Error whose code ends
        connections: that is a `goodbye`. EP-4.2-2, EP-4.2-10, EP-7.1-3, EP-10.1-1.
        """
        if request is not self._open:
            raise LocalError("this request is not the one to be answered")
        if isinstance(event, Error):
            if event.code in _FATAL:
                raise LocalError("ends the connection; say goodbye", field="code")
        elif isinstance(request, Refused) or event.type != REPLIES[kind_of(request.type)]:
            raise LocalError(f"{type(event).__name__} is no answer to {type(request).__name__}")
        frame = encode(event.with_seq(request.seq))
        self._open = None
        if isinstance(event, Welcome):
            name = event.user.encode()
            self._sender = bytes([len(name)]) + name
            self._decoder.max_frame = event.max_frame
            self._state = State.MEMBER
        elif isinstance(request, Logout) and isinstance(event, Ack):
            self._end()
        return frame

    def goodbye(self, code: ErrorCode, text: str | None = None) -> bytes:
        """The last frame: an `Error` with seq 0. What comes after it is dropped.

        Without `text` it says what the code means. Raises LocalError after the last frame, and
        for a code that ends no connection: the fatal ones do, and at a takeover USER_TAKEN.
        EP-8.1-1, EP-8.2-1 to EP-8.2-3.
        """
        if self._state is State.ENDED:
            raise LocalError("the last frame was made already")
        if code not in _LAST:
            raise LocalError("ends no connection; reply to the request", field="code")
        frame = encode(Error(code=code, text=code.meaning if text is None else text))
        self._end()
        return frame

    def _end(self) -> None:
        self._state = State.ENDED
        self._open = None
        self._decoder.fail(ConnectionLost("the connection was ended"))


_FATAL = frozenset(code for code in ErrorCode if code.fatal)
_LAST = _FATAL | {ErrorCode.USER_TAKEN}
