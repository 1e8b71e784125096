"""The declarations of events as plain data, for the modules that describe them.

Rule: nothing is said here that a class, a table or a constant of this package does not say.

Layer: the bottom layer of `describe`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..codec import LAST_ERROR, Codec
from ..errors import ErrorCode
from ..events import ApplicationEvent, Error, Event, Fact, Left, LeftReason
from ..framing import word_of
from ..limits import MAX_FRAME_CEILING, MIN_LENGTH, SENDER_ALLOWANCE, VERSION
from ..reference import KNOWN, Part
from ..states import REPLIES, SENDABLE, kind_of

__all__ = ["Field", "Layout", "Protocol", "protocol"]

PORT = 3000
"""Where a server listens if nobody chose another port. EP-4.1-2."""

NUMBERS: dict[tuple[type[Event], str], type[ErrorCode] | type[LeftReason]] = {
    (Error, "code"): ErrorCode,
    (Left, "reason"): LeftReason,
}
"""Fields whose numbers have names."""


class Field(NamedTuple):
    """One field of a body.

    `kind` is "unsigned", "signed", "flag", "text", "bytes", or "opaque" for what only construct
    knows. `size` is the number of bytes of an integer, or of the count in front of a text; 0: the
    field goes to the end of the frame. `names` are the names of its numbers, if they have any.
    """

    name: str
    kind: str
    size: int
    names: dict[int, str]


class Layout(NamedTuple):
    """An event: its type, its name and its fields.

    `type` is None for application events without a declaration. `is_request` says that clients
    ask with it; `is_fact` that it is an entry of the log too, so that only one with an empty
    sender asks; `is_reply` that it answers. `may_be_unnumbered`: seq 0 is allowed.
    """

    type: int | None
    name: str
    fields: tuple[Field, ...]
    is_request: bool
    is_fact: bool
    is_reply: bool
    may_be_unnumbered: bool

    @property
    def snake(self) -> str:
        """The name in the manner of file and filter names: ``application_event``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower()


class Protocol(NamedTuple):
    """All that a description is made from."""

    version: int
    port: int
    least_length: int
    most_length: int
    events: tuple[Layout, ...]
    application: Layout
    """Of the types 0x80 to 0xFF that no class was declared for."""


def protocol(events: Iterable[type[ApplicationEvent]] = ()) -> Protocol:
    """The standard events, and these application events.

    Raises LocalProtocolError where two of them have one type, as `Codec` does.
    """
    known = Codec(events).events
    return Protocol(
        version=VERSION,
        port=PORT,
        least_length=MIN_LENGTH,
        most_length=MAX_FRAME_CEILING + SENDER_ALLOWANCE,
        events=tuple(_layout(event, type) for type, event in sorted(known.items())),
        application=_layout(ApplicationEvent, None),
    )


_ASKED = frozenset().union(*SENDABLE.values())
_REPLIES = frozenset((*REPLIES.values(), Error.type))


def _layout(event: type[Event], type: int | None) -> Layout:
    kind = kind_of(0x80 if type is None else type)
    return Layout(
        type=type,
        name=event.__name__,
        fields=tuple(_field(event, part) for part in event.parts),
        is_request=kind in _ASKED,
        is_fact=issubclass(event, Fact),
        is_reply=kind in _REPLIES,
        may_be_unnumbered=type is not None and word_of(type) == LAST_ERROR,
    )


def _field(event: type[Event], part: Part) -> Field:
    numbers = NUMBERS.get((event, part.name))
    names = {} if numbers is None else {each.value: each.name for each in numbers}
    kind, size = _form(part.subcon)
    return Field(part.name, kind, size, names)


def _form(subcon: Any) -> tuple[str, int]:
    return (subcon.kind, subcon.size) if isinstance(subcon, KNOWN) else ("opaque", 0)
