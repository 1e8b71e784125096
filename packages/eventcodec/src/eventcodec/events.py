"""The events: frozen and typed dataclasses; each field is declared once.

Rule: the layout, the reference parser and the fast functions of an event come from its class here;
no other place repeats them.

Layer: above `compiler`, below `codec`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container
from enum import IntEnum
from functools import cache
from types import MemberDescriptorType
from typing import Any, ClassVar, TypeVar, dataclass_transform, overload

from . import compiler, reference
from .compiler import Compiled
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import HEADER_SIZE
from .reference import Part
from .repetition import bounded
from .wire import U8, U16, U32, U64, Bytes16, Rest, ShortText, Text, Wire, plain

__all__ = [
    "STANDARD_EVENTS",
    "Ack",
    "ApplicationEvent",
    "Error",
    "Event",
    "Fact",
    "Joined",
    "Left",
    "LeftReason",
    "Login",
    "Logout",
    "Message",
    "Ping",
    "Pong",
    "Unknown",
    "Welcome",
    "application_event",
    "check_event",
    "field",
]

APPLICATION_TYPES = range(0x80, 0x100)
LAST_SEQ = 2**64 - 1

T = TypeVar("T")
E = TypeVar("E", bound="Event")
A = TypeVar("A", bound="ApplicationEvent")


@overload
def field(subcon: Wire[T], *, default: T, repr: bool = True) -> T: ...
@overload
def field(subcon: Wire[T], *, repr: bool = True) -> T: ...
def field(subcon: Any, *, default: Any = dataclasses.MISSING, repr: bool = True) -> Any:
    """Declares a field of an event: its form on the wire, and its default.

    `subcon` is a word of `eventcodec.wire`, or any subcon of construct. With `repr=False` no `repr`
    shows the value, also not the `repr` of an event that does not fit its class.

    >>> from eventcodec import ApplicationEvent, application_event, field, wire
    >>> @application_event(0x80)
    ... class Moved(ApplicationEvent):
    ...     x: int = field(wire.I32)
    >>> Moved(x=3)
    Moved(seq=0, sender='', x=3)
    """
    return dataclasses.field(default=default, repr=repr, metadata={"wire": subcon})


class _TypeNumber:
    """`event.type` and `EventClass.type`: the number of the type on the wire."""

    def __get__(self, event: Event | None, owner: type[Event]) -> int:
        number: object = owner._number if event is None else event._number
        if not isinstance(number, int):
            raise AttributeError(f"{owner.__name__} has no type of its own; its instances have")
        return number


def _check_seq(seq: object) -> None:
    if type(seq) is not int or not 0 <= seq <= LAST_SEQ:
        raise LocalProtocolError(f"not an int in 0 … {LAST_SEQ}", field="seq")


class _OnFirstUse:
    """`EventClass.compiled`: made for the first frame of the class, not at import.

    It belongs to the declared class. A class that derives from it without new fields shares it.
    """

    def __init__(self, declared: type[Event], number: int | None, unnumbered: bool) -> None:
        self.declared = declared
        self.number = number
        self.unnumbered = unnumbered

    def __get__(self, event: Event | None, owner: type[Event]) -> Compiled:
        kind = self.declared
        kind.compiled = compiled = compiler.compile_event(
            kind, self.number, kind.parts, unnumbered=self.unnumbered
        )
        return compiled


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def _declare(
    number: int | None = None, *, unnumbered: bool = False
) -> Callable[[type[E]], type[E]]:
    """Make a class an event: a frozen, slotted dataclass with its compiled functions."""

    def declare(declared: type[E]) -> type[E]:
        event = dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(
            declared
        )
        event.__setattr__ = event.__delattr__ = _refuse  # type: ignore[method-assign,assignment]
        fields = dataclasses.fields(event)[1:]
        event.parts = tuple(map(_part, fields))
        if number is not None:
            event._number = number
        reference.check(event.parts)
        if not compiler.is_known(event.parts):
            _keep_body(event)
        event._names = ("seq", *(part.name for part in event.parts))
        event._secret = frozenset(each.name for each in fields if not each.repr)
        event.compiled = _OnFirstUse(event, number, unnumbered)  # type: ignore[assignment]
        return event

    return declare


def _refuse(event: Event, name: str, value: object = None) -> None:
    """In place of the dataclass's own, which with slots fails for a name that is no field."""
    raise dataclasses.FrozenInstanceError(f"cannot change {name!r}: an event is frozen")


def _part(each: dataclasses.Field[Any]) -> Part:
    if "wire" not in each.metadata:
        raise LocalProtocolError("say what it is made of, with field()", field=each.name)
    subcon = each.metadata["wire"]
    return Part(each.name, subcon if isinstance(subcon, reference.KNOWN) else bounded(subcon))


def check_event(thing: object) -> None:
    """Raise LocalProtocolError if this is no event that a frame can carry."""
    if isinstance(thing, Event) and hasattr(type(thing), "compiled"):
        return
    if isinstance(thing, type) and issubclass(thing, Event):
        raise LocalProtocolError(
            f"{thing.__name__} is a class, no event; write {thing.__name__}(…)"
        )
    raise LocalProtocolError(f"{type(thing).__name__} is no event of the wire")


def _check_type(type: object, allowed: Container[object], reason: str) -> None:
    if not isinstance(type, int) or type not in allowed:
        raise LocalProtocolError(reason, field="type")


# Equality and representation stand here once: writing them for each class was half of what
# it took to import this module.
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Event:
    """The base of all events: `seq` is its number, and `type` the number of its kind.

    The meaning of `seq` depends on the sender:

    * of a request, the client's own number: from 1, and 0 until it is sent;
    * of a reply (`Welcome`, `Ack`, `Pong`, `Error`), the number of its request;
    * of a fact (`Message`, `Joined`, `Left`, an application event), its position in the log;
    * of the `Error` that ends a connection, 0.

    `with_seq` returns the same event with another number. `parts` are its fields in the order of
    the wire. Raises LocalProtocolError for a value that no frame can carry.

    >>> Message(content="hello").with_seq(7)
    Message(seq=7, sender='', content='hello')
    """

    type: ClassVar[_TypeNumber] = _TypeNumber()
    parts: ClassVar[tuple[Part, ...]] = ()
    compiled: ClassVar[Compiled]
    _number: ClassVar[int]
    _names: ClassVar[tuple[str, ...]] = ("seq",)
    _secret: ClassVar[frozenset[str]] = frozenset()

    seq: int = 0
    """A request's own number, a reply's request, or a fact's position, as above; u64."""

    def with_seq(self: E, seq: int) -> E:
        """Returns this event with the number `seq`. Raises LocalProtocolError outside of u64."""
        _check_seq(seq)
        return _rebuild(self.__class__, _state(self) | {"seq": seq})

    def __post_init__(self) -> None:
        _check_seq(self.seq)
        for name, subcon in self.parts:
            value = getattr(self, name)
            if value.__class__ not in _PLAIN:
                value = plain(value)
                object.__setattr__(self, name, value)
            reason = subcon.validate(value)
            if reason is not None:
                raise LocalProtocolError(reason, field=name)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._names)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self._names))

    def __repr__(self) -> str:
        values = (
            f"{name}={self.type:#04x}" if name == "type" else f"{name}={getattr(self, name)!r}"
            for name in self._told()
            if name not in self._secret
        )
        return f"{self.__class__.__qualname__}({', '.join(values)})"

    def _told(self) -> tuple[str, ...]:
        return self._names

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.__class__, _state(self))


_PLAIN = frozenset({int, str, bytes, bool})


def _keep_body(event: Any) -> None:
    """Let the events of this class keep their body: construct writes it, at their birth.

    Two of them are equal if their bodies are equal.
    """
    event.__post_init__ = _normalize
    event.__eq__ = _has_the_same_body
    event.__hash__ = _hash_of_body


def _normalize(event: Any) -> None:
    _check_seq(event.seq)
    given = {name: getattr(event, name) for name, _ in event.parts}
    body, values = reference.normalized(event.parts, given)
    for name, value in values.items():
        object.__setattr__(event, name, value)
    object.__setattr__(event, "_body", body)


def _has_the_same_body(event: Any, other: Any) -> Any:
    if other.__class__ is not event.__class__:
        return NotImplemented
    return event.seq == other.seq and event._body == other._body


def _hash_of_body(event: Any) -> int:
    return hash((event.seq, event._body))


def _state(event: Event) -> dict[str, object]:
    kind: Any = event.__class__  # to a type checker it has the hash of its instances
    return {name: getattr(event, name) for name in _slots(kind) if hasattr(event, name)}


@cache
def _slots(kind: Any) -> tuple[str, ...]:
    """The names of the slots of a class."""
    names = (name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    return tuple(name for name in names if isinstance(getattr(kind, name), MemberDescriptorType))


def _rebuild(kind: type[E], state: dict[str, object]) -> E:
    event = object.__new__(kind)
    for name, value in state.items():
        object.__setattr__(event, name, value)
    return event


class Fact(Event):
    """An entry of the log of the room. All members receive it, except its author."""

    __slots__ = ()

    @property
    def position(self) -> int:
        """The number of this entry in the log; it travels as `seq`.

        Raises LocalProtocolError for a request (its `Ack` has the position) and for a fact without
        a number. A fact from the server has a sender; a request has none.
        """
        if not self.seq or not getattr(self, "sender", "nobody's"):
            reason = "a request is no entry; its Ack has the position" if self.seq else "no number"
            raise LocalProtocolError(reason, field="position")
        return self.seq


@_declare(0x01)
class Login(Event):
    """The request to log in. The reply is a `Welcome` or an `Error`.

    With ticket 0 and position 0 it starts a new session. With the ticket and the position of an
    earlier session it resumes this session. `repr` does not show the credential and the ticket.
    EP-6.1-2, EP-6.4-2.

    >>> Login(user="ann", credential=b"secret")
    Login(seq=0, user='ann', position=0)
    """

    user: str = field(ShortText, default="")
    """The requested name. If it is empty, the server chooses a free name."""
    credential: bytes = field(Bytes16, default=b"", repr=False)
    """The proof for the name; at most 65,535 bytes."""
    ticket: int = field(U64, default=0, repr=False)
    """`Welcome.ticket` of the session to resume; 0 for a new session."""
    position: int = field(U64, default=0)
    """The last position that was read in that session; 0 for a new session."""


@_declare(0x02)
class Message(Fact):
    """A text message: a request from its author, a fact for all other members.

    >>> Message(content="hello")
    Message(seq=0, sender='', content='hello')
    """

    sender: str = field(ShortText, default="")
    """The author. The server fills it in; it is empty in a request."""
    content: str = field(Text)
    """The text, up to the end of the frame."""


@_declare(0x03)
class Logout(Event):
    """The request to log out. Its `Ack` is the clean end of the connection."""


@_declare(0x04)
class Ack(Event):
    """The reply to a request that the server accepted."""

    position: int = field(U64, default=0)
    """The position of the entry that the request made in the log, or 0 if it made none."""


@_declare(0x05, unnumbered=True)
class Error(Event):
    """A refusal, or with seq 0 the end of the connection. Only servers send it.

    >>> from eventcodec import Error, ErrorCode
    >>> Error(code=ErrorCode.USER_TAKEN, text="ann is here")
    Error(seq=0, code=<ErrorCode.USER_TAKEN: 13>, text='ann is here')
    """

    code: int = field(U16)
    """An `ErrorCode`, or a number that this version does not know."""
    text: str = field(ShortText, default="")
    """For people only; may change at any time."""


@_declare(0x06)
class Ping(Event):
    """The request for a `Pong`. Both sides can send it."""


@_declare(0x07)
class Pong(Event):
    """The reply to a `Ping`, with its number. It has no reply."""


@_declare(0x08)
class Welcome(Event):
    """The reply to an accepted `Login`. `repr` does not show the ticket."""

    user: str = field(ShortText)
    """The name of this member."""
    ticket: int = field(U64, repr=False)
    """Names the session for a resume; random, never 0. Keep it like a password."""
    position: int = field(U64)
    """The position of this member in the log. The next entry has this number plus one."""
    max_frame: int = field(U32)
    """The greatest `length` that the server reads from now on, in bytes."""
    heartbeat: int = field(U16)
    """Seconds of silence after which the server sends a Ping; 0 means never."""
    server: str = field(ShortText, default="")
    """The name of the server, for people only."""


@_declare(0x09)
class Joined(Fact):
    """A member has entered the room."""

    user: str = field(ShortText)
    """Who."""


class LeftReason(IntEnum):
    """The reason why a member left."""

    LEFT = 0
    """It logged out."""
    LOST = 1
    """Its connection ended, on any side."""
    EVICTED = 2
    """The server ended its connection because it did not keep up. EP-5.4-4."""


@_declare(0x0A)
class Left(Fact):
    """A member has left the room. From this entry on, the name is free.

    >>> Left(user="ann", reason=77).why
    <LeftReason.LOST: 1>
    """

    user: str = field(ShortText)
    """Who."""
    reason: int = field(U8, default=0)
    """The number of the reason, as the server sent it."""

    @property
    def why(self) -> LeftReason:
        """The reason; a number that this version does not know reads as LOST. EP-3.10-2."""
        try:
            return LeftReason(self.reason)
        except ValueError:
            return LeftReason.LOST


class _Numbered(Event):
    """An event with a type of its own: the class has none."""

    __slots__ = ("_number",)


@_declare()
class Unknown(_Numbered):
    """A frame of a type that this version does not know; encodes to the same bytes.

    Types 0x00 and 0x0B to 0x7F. It has no position, because only a newer protocol knows its
    meaning. EP-3.12-2 to EP-3.12-4. Pass `type` again to `dataclasses.replace`: it is not a field
    of the class.
    """

    body: bytes = field(Rest)
    """All bytes after the header."""

    def __init__(self, *, type: int, body: bytes = b"", seq: int = 0) -> None:
        _check_type(type, _FREE_TYPES, "not 0x00 and not in 0x0B … 0x7F")
        _fill(self, seq=seq, _number=type, body=body)


class _Application(Fact, _Numbered):
    __slots__ = ("_body", "data", "decode_error")

    data: bytes
    decode_error: RemoteProtocolError | None

    def _told(self) -> tuple[str, ...]:
        """The names in the `repr`. An event that does not fit its class shows its error and hides
        its data."""
        if self.decode_error is None:
            return self._names
        return tuple("decode_error" if name == "data" else name for name in self._names)


@_declare()
class ApplicationEvent(_Application):
    """An event that an application defines, with a type from 0x80 to 0xFF. The server relays it
    like a Message.

    This class is the general one: `type`, `sender`, and `data`, the bytes of the application.
    Derive from it, with the decorator `application_event`, to declare fields for the bytes. Bytes
    that do not fit their declared class become a general event with the error in `decode_error`;
    they do not end the connection. EP-3.11-5.

    `type` and `data` of the general class are not fields: pass them again to `dataclasses.replace`.
    With a derived class this is not necessary.

    >>> up = ApplicationEvent(type=0x80, data=b"up")
    >>> up
    ApplicationEvent(seq=0, type=0x80, sender='', data=b'up')
    >>> dataclasses.replace(up, sender="ann", type=up.type, data=up.data)
    ApplicationEvent(seq=0, type=0x80, sender='ann', data=b'up')
    """

    sender: str = field(ShortText, default="")
    """The author. The server fills it in; it is empty in a request."""

    def __init__(
        self,
        *,
        type: int,
        sender: str = "",
        data: bytes = b"",
        seq: int = 0,
        decode_error: RemoteProtocolError | None = None,
    ) -> None:
        if self.__class__ is not ApplicationEvent:
            reason = f"{self.__class__.__name__} lacks the decorator application_event"
            raise LocalProtocolError(reason)
        _check_type(type, APPLICATION_TYPES, "not in 0x80 … 0xFF")
        _fill(self, seq=seq, _number=type, sender=sender, data=data, decode_error=decode_error)


def _fill(event: Event, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(event, name, value)
    event.__post_init__()


ApplicationEvent.parts = (*ApplicationEvent.parts, Part("data", Rest))
ApplicationEvent._names = ("seq", "type", "sender", "data")
Unknown._names = ("seq", "type", "body")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def application_event(number: int) -> Callable[[type[A]], type[A]]:
    """Declares an event of an application: its type `number`, 0x80 to 0xFF, and its fields.

    The class has `sender` before its own fields, and `data`, the bytes of its own fields. Pass the
    class to a `Codec` to decode it. Raises LocalProtocolError if the number or a field name is not
    free, and if the class does not derive from ApplicationEvent.

    >>> from eventcodec import ApplicationEvent, application_event, field, wire
    >>> @application_event(0x80)
    ... class Moved(ApplicationEvent):
    ...     x: int = field(wire.I32)
    ...     y: int = field(wire.I32)
    >>> Moved(x=3, y=-4).data.hex()
    '00000003fffffffc'
    """

    _check_type(number, APPLICATION_TYPES, "not in 0x80 … 0xFF")

    def declare(declared: type[A]) -> type[A]:
        if not issubclass(declared, ApplicationEvent):
            raise LocalProtocolError(f"{declared.__name__} does not derive from ApplicationEvent")
        own = declared.__annotations__
        for name in own:
            if name.startswith("_") or name in dir(ApplicationEvent):
                raise LocalProtocolError("not free for a field", field=name)
        event: Any = _declare(number)(declared)
        event.data = property(_own_data)
        event.decode_error = None
        return event  # type: ignore[no-any-return]

    return declare


def _own_data(event: ApplicationEvent) -> bytes:
    frame = event.compiled.encode(event.with_seq(1))
    return frame[HEADER_SIZE + 1 + len(event.sender.encode()) :]


STANDARD_EVENTS: tuple[type[Event], ...] = (
    Login,
    Message,
    Logout,
    Ack,
    Error,
    Ping,
    Pong,
    Welcome,
    Joined,
    Left,
)
"""The classes of the types 0x01 to 0x0A, in order."""

_FREE_TYPES = frozenset(range(0x80)) - {event.type for event in STANDARD_EVENTS}
