"""Events as JSON, one object a line: for people, for scripts, for codecs in other languages.

Rule: an event has one form, with exactly the fields of its declaration. The form can be read back
without loss. Numbers of eight bytes are decimal strings (EP-2.3-7), bytes are lowercase hex.

Layer: above `connection`, below `dissect`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from .errors import LocalProtocolError, counted
from .events import STANDARD_EVENTS, ApplicationEvent, Event, Unknown
from .reference import Part
from .wire import U8, U64, Integer, Octets

__all__ = ["dumps", "from_object", "loads", "secrets_of", "size_of", "to_object"]

_KINDS: dict[object, type[Event]] = {
    kind.__name__: kind for kind in (*STANDARD_EVENTS, ApplicationEvent, Unknown)
}
_TYPE = Part("type", U8)
_SEQ = Part("seq", U64)
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def to_object(event: Event, *, secrets: bool = True) -> dict[str, Any]:
    """Returns the event as an object for `json`.

    An application event has the form of the general class, declared or not. With `secrets=False` it
    has only the size of credentials and tickets, and cannot be read back.

    >>> from eventcodec import Message
    >>> to_object(Message(seq=7, sender="ann", content="hello"))
    {'event': 'Message', 'seq': '7', 'sender': 'ann', 'content': 'hello'}
    """
    kind = ApplicationEvent if isinstance(event, ApplicationEvent) else type(event)
    hidden = frozenset[str]() if secrets else secrets_of(type(event))
    if hidden and kind is not type(event):
        hidden = frozenset({"data"})  # the secret is somewhere in there
    form: dict[str, Any] = {"event": kind.__name__}
    for part in _parts(kind):
        value = getattr(event, part.name)
        is_hidden = part.name in hidden
        form[part.name] = f"({size_of(part, value)} hidden)" if is_hidden else _write(part, value)
    return form


def from_object(form: object) -> Event:
    """Returns the event of an object. Raises LocalProtocolError if it is not the form of an event.

    >>> from_object({"event": "Ack", "seq": "7", "position": "42"})
    Ack(seq=7, position=42)
    """
    if not isinstance(form, dict):
        raise LocalProtocolError("not an object")
    name = form.get("event")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise LocalProtocolError(f"not one of {', '.join(map(str, _KINDS))}", field="event")
    parts = {part.name: part for part in _parts(kind)}
    for name in parts:
        if name not in form:
            raise LocalProtocolError("is missing", field=name)
    for key in form:
        if key != "event" and key not in parts:
            raise LocalProtocolError(f"not a field of {kind.__name__}", field=ascii(key))
    values: dict[str, Any] = {name: _read(part, form[name]) for name, part in parts.items()}
    return kind(**values)


def dumps(event: Event, *, secrets: bool = True) -> str:
    r"""The event as one line of JSON, all ASCII and no control character in it.

    >>> from eventcodec import Joined
    >>> print(dumps(Joined(seq=1, user="zoë")))
    {"event": "Joined", "seq": "1", "user": "zo\u00eb"}
    """
    return json.dumps(to_object(event, secrets=secrets)).replace("\x7f", r"\u007f")


def loads(line: str | bytes) -> Event:
    """The event in a line of JSON. Raises LocalProtocolError for what is not JSON, or no event."""
    try:
        text = line if isinstance(line, str) else str(line, "utf-8")
        form = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise LocalProtocolError(f"not JSON: {error.msg} at column {error.colno}") from None
    except UnicodeDecodeError:
        raise LocalProtocolError("not JSON: not UTF-8") from None
    except (ValueError, RecursionError):
        raise LocalProtocolError("not JSON: a number too long, or too deep") from None
    return from_object(form)


def secrets_of(kind: type[Event]) -> frozenset[str]:
    """The secret fields of an event: those that its `repr` does not show."""
    return frozenset(each.name for each in dataclasses.fields(kind) if not each.repr)


def size_of(part: Part, value: Any) -> str:
    """What is shown of a secret: its size."""
    return counted(part.subcon.size if isinstance(part.subcon, Integer) else len(value), "byte")


def _parts(kind: type[Event]) -> tuple[Part, ...]:
    own = (_TYPE,) if kind in (ApplicationEvent, Unknown) else ()
    return (*own, _SEQ, *kind.parts)


def _write(part: Part, value: Any) -> Any:
    if isinstance(part.subcon, Integer):
        return str(value) if part.subcon.size == 8 else int(value)
    return value.hex() if isinstance(value, bytes) else value


def _read(part: Part, value: object) -> object:
    """The value of a field. The event checks its size and range."""
    subcon = part.subcon
    if isinstance(subcon, Integer) and subcon.size == 8:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise LocalProtocolError("not a number as a decimal string", field=part.name)
        return int(value)
    if isinstance(subcon, Octets) and not subcon.text:
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise LocalProtocolError("not bytes as lowercase hex", field=part.name)
        return bytes.fromhex(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    form = dict(pairs)
    if len(form) < len(pairs):
        raise LocalProtocolError("not JSON: a name stands twice")
    return form
