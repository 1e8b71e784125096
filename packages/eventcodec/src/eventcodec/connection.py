"""Both sides of a connection, without any I/O: data in, events out; events in, data out.

Rule: these classes know only the order of events: which reply belongs to which request, and which
position is next. The decoder reads the bytes; the caller has the socket and the clock.

Layer: above `states`; clients and servers are written on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from .codec import LAST_ERROR, STANDARD, Codec, encode
from .decoder import ConnectionEnded, Receiver, Stream
from .errors import ErrorCode, EventCodecError, LocalProtocolError, PeerError, RemoteProtocolError
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
    check_event,
)
from .framing import word_of
from .limits import (
    LENGTH_SIZE,
    MAX_FRAME_BEFORE_WELCOME,
    MAX_FRAME_CEILING,
    MAX_POSITION,
    MAX_UNSENT_PONGS,
    SENDER_ALLOWANCE,
    frame_limit,
)
from .states import REPLIES, SENDABLE, Role, State, kind_of, validate

__all__ = ["ClientConnection", "InvalidRequest", "Reply", "ServerConnection"]

_PONG = word_of(Pong.type)


class Reply(NamedTuple):
    """A reply and the request that it answers.

    `event` is a `Welcome`, an `Ack`, a `Pong` or an `Error`.
    """

    request: Event
    event: Welcome | Ack | Pong | Error


class InvalidRequest(NamedTuple):
    """A request that the protocol does not allow now, and the `Error` to reply with."""

    seq: int
    error: Error


Received = Message | Joined | Left | ApplicationEvent | Unknown | Reply
"""The events that a client gets, except the end."""
Request = Login | Message | Logout | Ping | ApplicationEvent | InvalidRequest
"""The events that a server gets, except the end."""


class ClientConnection(Receiver[Received]):
    """The client's side of one connection: requests in, bytes out; bytes in, events out.

    `codec` has the events of the application. `max_frame` is the greatest `length` in bytes that
    the client reads, even if the server announces more. Raises LocalProtocolError if no frame can
    have this `max_frame`.

    >>> conn = ClientConnection()
    >>> conn.send(Login(user="ann"))
    Login(seq=1, user='ann', position=0)
    >>> conn.data_to_send().hex()
    '0000002201010000000000000000000103616e6e000000000000000000000000000000000000'
    """

    def __init__(
        self, *, codec: Codec = STANDARD, max_frame: int = MAX_FRAME_CEILING + SENDER_ALLOWANCE
    ) -> None:
        self._cap = frame_limit(max_frame)
        self._stream = Stream(
            codec,
            min(max_frame, MAX_FRAME_BEFORE_WELCOME + SENDER_ALLOWANCE),
            unnumbered=LAST_ERROR,
            lost="the stream ended without the Ack of a Logout",
        )
        self._every_fact = frozenset(e for e in codec.events.values() if issubclass(e, Fact))
        self._every_fact |= {ApplicationEvent}
        self._facts: frozenset[type[Event]] = frozenset()
        self._state = State.NEW
        self._last_seq = 0
        self._requests: deque[Event] = deque()
        self._turns: set[type[Event]] = set()  # Login, Logout: those on their way
        self._out: list[bytes] = []
        self._pongs = 0  # among them
        self._position = 0
        self._welcome: Welcome | None = None

    @property
    def state(self) -> State:
        """NEW until the Welcome, then MEMBER, and ENDED when no more events can arrive."""
        return self._state if self._stream.end is None else State.ENDED

    @property
    def position(self) -> int:
        """The position of the last entry that was returned, as a fact or as an Ack.

        A resume continues after this position, with `ticket`. It counts an event when the event is
        returned. It stays valid after the end, and is 0 before the Welcome. EP-6.4-2.
        """
        return self._position

    @property
    def welcome(self) -> Welcome | None:
        """The Welcome of the server; None before it. It stays valid after the end."""
        return self._welcome

    @property
    def user(self) -> str:
        """The name that the server gave; empty before the Welcome."""
        return "" if self._welcome is None else self._welcome.user

    @property
    def ticket(self) -> int:
        """The ticket that resumes this session on another connection; 0 before the Welcome."""
        return 0 if self._welcome is None else self._welcome.ticket

    @property
    def outstanding(self) -> tuple[Event, ...]:
        """The requests without a reply, oldest first. It stays valid after the end."""
        return tuple(self._requests)

    def send(self, request: Event) -> Event:
        """Numbers a request, adds it to the data to send, and returns the numbered request.

        You can send more requests before the replies arrive. Raises LocalProtocolError, and sends
        nothing, if the client cannot send this event now, if it has a sender, or if the frame is
        longer than the server reads: 4,096 bytes of `length` before the Welcome.
        EP-4.2-4, EP-4.2-5, EP-4.4-3 to EP-4.4-5, EP-7.1-1, EP-7.1-2.
        """
        check_event(request)
        state = self._sending()
        if kind_of(request.type) not in SENDABLE[state]:
            reason = f"a client may not send {type(request).__name__} now ({state.value})"
            raise LocalProtocolError(reason)
        if getattr(request, "sender", ""):
            raise LocalProtocolError("the server fills it in", field="sender")
        numbered = request.with_seq(self._last_seq + 1)
        frame = encode(numbered)
        size = len(frame) - LENGTH_SIZE
        most = MAX_FRAME_BEFORE_WELCOME if self._welcome is None else self._welcome.max_frame
        if size > most:
            hint = "; more may be allowed after the Welcome" if self._welcome is None else ""
            raise LocalProtocolError(f"{size} bytes of length, and {most} is the most{hint}")
        self._last_seq += 1
        self._requests.append(numbered)
        if isinstance(numbered, Login | Logout):
            self._turns.add(type(numbered))
        self._out.append(frame)
        return numbered

    def data_to_send(self) -> bytes:
        """Returns the new bytes to write to the server. Each byte is returned once.

        Call it after you take events too: it has the Pongs for the Pings of the server. More than
        10,000 unsent Pongs end the connection (`MAX_UNSENT_PONGS`). If the transport can wait until
        it has written (`drain` of asyncio), wait before you read more.
        """
        data = b"".join(self._out)
        self._out.clear()
        self._pongs = 0
        return data

    def next_event(self) -> Received | ConnectionEnded | None:
        """Returns the next event: a fact, a reply with its request, an unknown event, or the end.

        Returns None if more data is needed, and after the end. A Ping is not returned; its Pong is
        in `data_to_send`. The error of `ConnectionEnded` is None after the Ack of a Logout.
        Otherwise it is a `PeerError` if the server ended the connection, a `RemoteProtocolError`
        if the server broke a rule, or a `ConnectionLostError`.
        EP-4.2-11 to EP-4.2-13, EP-10.1-2, EP-10.3-1.
        """
        return next(self.events(), None)

    def events(self) -> Iterator[Received | ConnectionEnded]:
        stream = self._stream
        while True:
            run = stream.run
            for event in run:
                position = self._position + 1
                if event.seq == position and event.__class__ in self._facts:
                    self._position = position
                    yield event  # type: ignore[misc]
                    continue
                received = self._other(event)
                if received is not None:
                    yield received
            if stream.run is not run or stream.decode_run():  # another loop may have decoded more
                continue
            end = self._end()
            if end is None:
                return
            yield end

    def _other(self, event: Event) -> Received | None:
        """Handle every event that is not the next fact. None if it ends the connection."""
        try:
            return self._received(event)
        except EventCodecError as error:
            self._stream.finish(error)
            return None

    def _received(self, event: Event) -> Received | None:
        code = validate(Role.CLIENT, self._state, event.type)
        if code is not None:
            raise self._protocol_error(event, f"no {type(event).__name__} may come now", code=code)
        if isinstance(event, Unknown):
            return event
        if isinstance(event, Ping):
            self._pong(event)
            return None
        if isinstance(event, Error) and not event.seq:
            raise PeerError(ErrorCode.known(event.code) or event.code, event.text)
        if isinstance(event, Fact):
            if event.seq != self._position + 1 or event.seq > MAX_POSITION:
                raise self._protocol_error(event, f"{event.seq} follows {self._position}", "seq")
            self._position = event.seq
            return event  # type: ignore[return-value]
        assert isinstance(event, Welcome | Ack | Pong | Error)
        return self._reply(event)

    def _pong(self, ping: Ping) -> None:
        if self._pongs == MAX_UNSENT_PONGS:
            raise self._protocol_error(
                ping, f"{MAX_UNSENT_PONGS} others have a Pong that was not sent yet"
            )
        self._pongs += 1
        self._out.append(encode(Pong(seq=ping.seq)))

    def _reply(self, event: Welcome | Ack | Pong | Error) -> Reply | None:
        if not self._requests or event.seq != self._requests[0].seq:
            raise self._protocol_error(event, "not the number of the oldest open request", "seq")
        request = self._requests[0]
        if not isinstance(event, Error) and event.type != REPLIES[kind_of(request.type)]:
            raise self._protocol_error(event, f"no reply to {type(request).__name__}")
        if isinstance(event, Ack) and event.position:
            if event.position != self._position + 1 or event.position > MAX_POSITION:
                reason = f"{event.position} follows {self._position}"
                raise self._protocol_error(event, reason, "position")
            self._position = event.position
        if isinstance(event, Welcome):
            assert isinstance(request, Login)
            if request.ticket and event.position != request.position:
                reason = f"{event.position}, and {request.position} was asked for"
                raise self._protocol_error(event, reason, "position")
            if event.position > MAX_POSITION:
                raise self._protocol_error(event, f"above {MAX_POSITION}", "position")
            self._enter(event)
        elif isinstance(request, Logout) and isinstance(event, Ack):
            self._stream.finish(None)
        self._requests.popleft()
        self._turns.discard(type(request))
        return Reply(request, event)

    def _enter(self, welcome: Welcome) -> None:
        self._welcome = welcome
        self._position = welcome.position
        self._state = State.MEMBER
        if welcome.position < MAX_POSITION // 2:  # else each is looked at for the last position
            self._facts = self._every_fact
        announced = max(welcome.max_frame, MAX_FRAME_BEFORE_WELCOME) + SENDER_ALLOWANCE
        self._stream.max_frame = min(self._cap, announced)

    def _sending(self) -> State:
        """The state after the requests that are on their way."""
        if self.state is State.ENDED:
            return State.ENDED
        if Logout in self._turns:
            return State.LEAVING
        return State.MEMBER if Login in self._turns else self._state

    def _protocol_error(
        self,
        event: Event,
        reason: str,
        field: str | None = None,
        code: ErrorCode = ErrorCode.UNEXPECTED_EVENT,
    ) -> RemoteProtocolError:
        """The server's fault, which is the event that was taken last."""
        start = self._stream.start_of_last
        return RemoteProtocolError(code, reason, field=field, offset=start, seq=event.seq)


class ServerConnection(Receiver[Request]):
    """The server's side of one connection.

    It returns one request at a time. The reply to a request can change the state in which the next
    one is validated (EP-4.2-6), so `next_event` returns None until you reply. You can reply at once
    or later, from any task.

    >>> conn = ServerConnection()
    >>> conn.receive_data(encode(Ping(seq=7)))
    >>> for request in conn.events():
    ...     conn.reply(request, Pong())
    >>> conn.data_to_send().hex()
    '0000000c010700000000000000000007'
    """

    def __init__(self, *, codec: Codec = STANDARD) -> None:
        self._stream = Stream(
            codec,
            MAX_FRAME_BEFORE_WELCOME,
            unnumbered=None,
            lost="the client ended the stream without a Logout",
        )
        self._state = State.NEW
        self._open: Request | None = None
        self._sender = b""
        self._out: list[bytes] = []

    @property
    def state(self) -> State:
        """NEW until you reply with a Welcome, then MEMBER; ENDED after the last frame."""
        return self._state

    @property
    def open_request(self) -> Request | None:
        """The request that was returned and has no reply yet, or None."""
        return self._open

    @property
    def held(self) -> int:
        """The number of received bytes of events that were not returned yet."""
        return self._stream.held()

    @property
    def offset(self) -> int:
        """The number of bytes of the stream up to the last returned event, Pongs included."""
        return self._stream.offset

    @property
    def max_frame(self) -> int:
        """The greatest `length` in bytes that is accepted.

        It is 4,096 until you reply with a Welcome, then the `max_frame` of the Welcome. You can set
        another limit; it applies to the frames that are not decoded yet.

        Raises LocalProtocolError if the limit is not in 12 … 2^32 - 1. EP-7.1-1, EP-7.1-3.
        """
        return self._stream.max_frame

    @max_frame.setter
    def max_frame(self, limit: int) -> None:
        self._stream.max_frame = frame_limit(limit)

    def next_event(self) -> Request | ConnectionEnded | None:
        """Returns the next request, an `InvalidRequest`, or the end.

        A Pong is not returned. A request that the protocol does not allow is an `InvalidRequest`.
        The error of `ConnectionEnded` is None after the last frame (the Ack of a Logout, or a
        `goodbye`). Otherwise it is a `RemoteProtocolError` or a `ConnectionLostError`. Pass the
        code of a `RemoteProtocolError` to `goodbye`.

        * While a request has no reply (`open_request`), returns None.
        * If a whole frame is there, returns its request, or the end with an error.
        * If more data is needed, returns None.
        * After the last frame was made or the stream ended, returns the end once, then None.

        EP-4.2-6, EP-4.3-1 to EP-4.3-6, EP-8.3-1.
        """
        if self._open is not None:
            return None
        while (event := self._stream.decode_one()) is not None:
            self._open = self._request(event)
            if self._open is not None:
                return self._open
        return self._end()

    def _request(self, event: Event) -> Request | None:
        code = validate(Role.SERVER, self._state, event.type)
        if getattr(event, "sender", ""):
            code = ErrorCode.UNEXPECTED_EVENT
        if code is not None:
            return InvalidRequest(event.seq, Error(code=code, text=code.meaning))
        if isinstance(event, Pong):
            return None
        assert isinstance(event, Login | Message | Logout | Ping | ApplicationEvent)
        return event

    def take_pongs(self, count: int) -> int:
        """Skips at most `count` Pongs that are next; returns how many it skipped.

        `next_event` skips any number of Pongs before a request. A server that limits the work of a
        turn calls this method first, and calls `next_event` when it returns 0.
        """
        taken = 0
        if self._open is None and validate(Role.SERVER, self._state, Pong.type) is None:
            stream = self._stream
            while taken < count and stream.next_word() == _PONG and stream.decode_one() is not None:
                taken += 1
        return taken

    def relay(self, position: int, count: int) -> list[bytes]:
        """Takes a run of messages and returns the facts that they become.

        This is the fast path for messages that are only relayed. It does the same as `next_event`,
        a fact for each `Message` and application event, and a `reply` with its `Ack`, but makes no
        event objects. Facts are frames with numbers from `position`; at most `count` are taken.
        Their Acks are in `data_to_send`. Returns an empty list if another event is next, if the
        message is not complete, or if a request has no reply yet.
        """
        if self._state is not State.MEMBER or self._open is not None:
            return []
        facts, acks = self._stream.relay(self._sender, position, count)
        if facts:
            self._out.append(acks)
        return facts

    def reply(self, request: Request, event: Event) -> None:
        """Replies to the open request: adds the frame, with the number of the request, to the data
        to send.

        A `Welcome` makes the client a member, and its `max_frame` becomes the limit for the
        client's frames. The `Ack` of a Logout is the last frame. Raises LocalProtocolError if
        `request` is not the open one, if `event` is no reply to it, if a position is not below
        2^63, and for an Error with a code that ends connections; use `goodbye` for it. EP-4.2-2,
        EP-4.2-10, EP-5.1-2, EP-7.1-3, EP-10.1-1.
        """
        if request is None or request is not self._open:
            raise LocalProtocolError("this request is not the open one")
        check_event(event)
        if isinstance(event, Error):
            if event.code in _FATAL:
                raise LocalProtocolError("ends the connection; say goodbye", field="code")
        elif isinstance(request, InvalidRequest) or event.type != REPLIES[kind_of(request.type)]:
            reason = f"{type(event).__name__} is no answer to {type(request).__name__}"
            raise LocalProtocolError(reason)
        if getattr(event, "position", 0) > MAX_POSITION:
            raise LocalProtocolError(f"above {MAX_POSITION}", field="position")
        self._out.append(encode(event.with_seq(request.seq)))
        self._open = None
        if isinstance(event, Welcome):
            name = event.user.encode()
            self._sender = bytes([len(name)]) + name
            self._stream.max_frame = event.max_frame
            self._state = State.MEMBER
        elif isinstance(request, Logout) and isinstance(event, Ack):
            self._leave()

    def goodbye(self, code: ErrorCode, text: str | None = None) -> None:
        """Ends the connection: adds the last frame, an `Error` with seq 0, to the data to send.

        Data that arrives later is dropped. The default of `text` is the meaning of the code. Raises
        LocalProtocolError after the last frame, and for a code that ends no connection. Fatal codes
        end it, and USER_TAKEN at a takeover. EP-8.1-1, EP-8.2-1 to EP-8.2-3.
        """
        if self._state is State.ENDED:
            raise LocalProtocolError("the last frame was made already")
        if code not in _LAST:
            raise LocalProtocolError("ends no connection; reply to the request", field="code")
        self._out.append(encode(Error(code=code, text=code.meaning if text is None else text)))
        self._leave()

    def data_to_send(self) -> bytes:
        """Returns the new bytes to write to the client. Each byte is returned once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _leave(self) -> None:
        self._state = State.ENDED
        self._open = None
        self._stream.finish(None)


_FATAL = frozenset(code for code in ErrorCode if code.fatal)
_LAST = _FATAL | {ErrorCode.USER_TAKEN}
