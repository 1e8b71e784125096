"""A declaration as construct reads and writes it: the reference, and the slow path.

Rule: construct defines the meaning of a declaration. Its results are made immutable. It gets a
copy, and its stream begins at the first field of the application.

Layer: above `framing`, `record` and `repetition`, below `compiler`. Only this module, `repetition`
and `wire` import construct.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from types import FunctionType
from typing import Any, NamedTuple

import construct

from . import wire
from .errors import ErrorCode, LocalProtocolError, RemoteProtocolError, counted
from .record import Record
from .repetition import Budget

__all__ = ["KNOWN", "Part", "Step", "check", "explain", "normalized", "reference", "walk"]

KNOWN = (wire.Integer, wire.Boolean, wire.Octets)
"""The subcons that the compiler knows. All other subcons are construct's own, or an
application's."""
CUT = "the frame ends inside it"
MISFIT = "does not fit its declaration"
NOT_CANONICAL = "not the one encoding of what it says"

_UNSAFE: tuple[tuple[type, str], ...] = (
    (type(construct.Pickled), "would run what a peer sends"),
    (construct.Rebuffered, "would wait for ever where a frame is too short"),
)
_HIDDEN = frozenset({"_io", "_flagsenum"})
"""The items of a container that construct uses internally."""
_OURS = frozenset({__name__, wire.__name__, Budget.__module__})
"""The modules whose errors are no misfit."""
_PLAIN = frozenset({int, bool, float, str, bytes, type(None)})


class Part(NamedTuple):
    """One field of a body: its name and the construct subcon that it is made of."""

    name: str
    subcon: Any

    @property
    def layout(self) -> str:
        """How the field stands on the wire, for documentation: ``u8 length + UTF-8``."""
        subcon = self.subcon
        return subcon.layout if isinstance(subcon, KNOWN) else type(subcon).__name__


_SENDER = Part("sender", wire.ShortText)
"""In front of an application's own fields; these cannot reach back into it."""


class Step(NamedTuple):
    """One field as it stands in a body: `start` and `stop` in bytes from the body's start.

    `error` is the reason why it cannot be read; then `value` is None and this is the last step.
    """

    part: Part | None
    start: int
    stop: int
    value: object = None
    error: str | None = None


def reference(event: Any) -> Any:
    """The construct parser for an event's body: the oracle of the tests.

    Takes an event class. Returns a `Struct` of construct that reads the whole body: bytes left over
    are an error.
    """
    parts: Sequence[Part] = event.parts
    return construct.Struct(*(part.name / part.subcon for part in parts), construct.Terminated)


# ---------------------------------------------------------------- declarations


def check(parts: Sequence[Part]) -> None:
    """Raise LocalProtocolError for a field that is not possible or not allowed.

    That is one of no subcon, one of a subcon that no reader may trust, and one that takes all
    that is left and is not the last.
    """
    for part in parts:
        if not isinstance(part.subcon, construct.Construct):
            raise LocalProtocolError("not a subcon of construct's", field=part.name)
        for inner in _inside(part.subcon):
            for kind, reason in _UNSAFE:
                if isinstance(inner, kind):
                    raise LocalProtocolError(reason, field=part.name)
    for part in parts[:-1]:
        if isinstance(part.subcon, wire.Octets) and part.subcon.count is None:
            reason = "takes all that is left, so it must be the last"
            raise LocalProtocolError(reason, field=part.name)


def _inside(subcon: object) -> Iterator[object]:
    """A subcon and those that it is made of."""
    waiting, seen = [subcon], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, construct.Construct) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += vars(each).values()


# ---------------------------------------------------------------- reading


def walk(parts: Sequence[Part], body: bytes) -> Iterator[Step]:
    """A body field by field, by construct itself, up to its end or its first error.

    Slow, and exact about the place: what error messages and `dissect` are made from.
    """
    base, stream = 0, io.BytesIO(body)
    context = _context(parts, stream, building=False)
    context._params._budget = Budget(len(body))
    for part in parts:
        start = base + stream.tell()
        try:
            value = (part.name / part.subcon)._parsereport(stream, context, part.name)
            frozen = freeze(value)
        except construct.StreamError:
            yield Step(part, start, len(body), error=CUT)
            return
        except Exception as raised:  # a subcon of an application may raise anything; its text stays
            _raise_ours(raised)
            known = isinstance(part.subcon, wire.Boolean | wire.Octets)
            error = part.subcon.complaint if known else MISFIT
            yield Step(part, start, len(body), error=error)
            return
        context[part.name] = value
        stop = base + stream.tell()
        if part == _SENDER:
            base, stream = stop, io.BytesIO(body[stop:])
            context["_io"] = stream
        yield Step(part, start, stop, frozen)
    end = base + stream.tell()
    if end < len(body):
        yield Step(
            None, end, len(body), error=f"{counted(len(body) - end, 'byte')} behind the last field"
        )


class _Context(construct.Container[Any]):
    """What construct hands to subcons. A private name that it lacks is an error of this module."""

    def __getattr__(self, name: str) -> Any:
        if name not in self and name.startswith("_") and name != "_":
            raise AttributeError(name)
        return super().__getattr__(name)


def _raise_ours(error: Exception) -> None:
    """Raise the error again if it is one of this package, and not of a value or a subcon.

    Otherwise a peer would be accused of it.
    """
    if isinstance(error, construct.ConstructError | RecursionError):
        return
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and trace.tb_frame.f_globals.get("__name__") in _OURS:
        raise error


def _context(parts: Iterable[Part], stream: io.BytesIO, *, building: bool) -> Any:
    """The context that a Struct of construct passes to its subcons."""
    outer: Any = _Context(_parsing=not building, _building=building, _sizing=False)
    outer._params = outer
    subcons = construct.Container((part.name, part.subcon) for part in parts)
    context: Any = _Context(outer, _=outer, _subcons=subcons, _io=stream, _index=None)
    context._root = context
    return context


def explain(
    parts: Sequence[Part], data: bytes, start: int, stop: int, seq: int
) -> RemoteProtocolError:
    """The error for a body that does not decode: which field, where, why.

    `offset` counts from the start of `data`.
    """
    for step in walk(parts, data[start:stop]):
        if step.error is not None:
            return _malformed(step.part, step.error, start + step.start, seq)
    return _malformed(None, NOT_CANONICAL, start, seq)


def _malformed(part: Part | None, reason: str, offset: int, seq: int) -> RemoteProtocolError:
    name = None if part is None else part.name
    return RemoteProtocolError(ErrorCode.MALFORMED, reason, field=name, offset=offset, seq=seq)


def read(
    parts: Sequence[Part], data: bytes, start: int, stop: int, seq: int
) -> tuple[bytes, dict[str, object]]:
    """A body and the values in it. Raises RemoteProtocolError for what is not its one encoding.

    The value is written again and compared: some subcons accept several encodings of one value, and
    an event has exactly one.
    """
    body = data[start:stop]
    values: dict[str, object] = {}
    for step in walk(parts, body):
        if step.error is not None or step.part is None:
            raise _malformed(step.part, step.error or MISFIT, start + step.start, seq)
        values[step.part.name] = step.value
    if not _is_canonical(parts, body, values):
        raise _malformed(None, NOT_CANONICAL, start, seq)
    return body, values


# ---------------------------------------------------------------- writing


def normalized(
    parts: Sequence[Part], given: Mapping[str, object]
) -> tuple[bytes, dict[str, object]]:
    """The body for these values, and the values as every reader finds them in it.

    A value that construct fills in (a `Computed`, or None for a `Default`) or rounds (a float) is
    stored as it is on the wire. Raises LocalProtocolError, with the field, for a value that cannot
    be written, or that would be read as another.
    """
    given = {name: freeze(value) for name, value in given.items()}
    body = _build(parts, given)
    values: dict[str, object] = {}
    for step in walk(parts, body):
        if step.error is not None or step.part is None:
            name = None if step.part is None else step.part.name
            raise LocalProtocolError("no reader finds it again", field=name)
        name = step.part.name
        if not _agrees(given[name], step.value):
            raise LocalProtocolError("is read as another value", field=name)
        values[name] = step.value
    if not _is_canonical(parts, body, values):
        raise LocalProtocolError("the fields have no encoding that is always the same")
    return body, values


def _build(parts: Sequence[Part], values: Mapping[str, object]) -> bytes:
    done, stream = b"", io.BytesIO()
    context = _context(parts, stream, building=True)
    thawed = {part.name: thaw(values[part.name]) for part in parts}
    context.update(thawed)
    for part in parts:
        try:
            written = (part.name / part.subcon)._build(
                thawed[part.name], stream, context, part.name
            )
        except Exception as error:  # as in `walk`
            _raise_ours(error)
            raise LocalProtocolError(MISFIT, field=part.name) from error
        context[part.name] = written
        if part == _SENDER:
            done, stream = stream.getvalue(), io.BytesIO()
            context["_io"] = stream
    return done + stream.getvalue()


def _is_canonical(parts: Sequence[Part], body: bytes, values: Mapping[str, object]) -> bool:
    with suppress(LocalProtocolError):
        return _build(parts, values) == body
    return False


def _agrees(given: Any, read: Any) -> bool:
    """Whether a value may be stored as it was read."""
    if given is None:  # construct has filled it in, or it is None again
        return True
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        return all(name in read and _agrees(each, read[name]) for name, each in given.items())
    if isinstance(given, tuple) and isinstance(read, tuple):
        return len(given) == len(read) and all(map(_agrees, given, read))
    if isinstance(read, float) and isinstance(given, int | float):
        return True  # rounded
    try:
        return bool(given == read) or bool(given == getattr(read, "intvalue", read))
    except Exception:  # an application's own values
        return False


# ---------------------------------------------------------------- values


def freeze(value: Any) -> Any:
    """The value, immutable: lists become tuples, mappings `Record`s, buffers bytes.

    A value of any other kind is copied.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return Record({k: freeze(each) for k, each in value.items() if k not in _HIDDEN})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(freeze, value))
    if isinstance(value, list | tuple):
        return tuple(map(freeze, value))
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, FunctionType):  # construct's Lazy
        return freeze(value())
    if isinstance(value, int | str | bytes | float):  # construct's own kinds of them
        return value
    return deepcopy(value)


def thaw(value: Any) -> Any:
    """The same in the types that construct builds from, as a copy."""
    if isinstance(value, Record):
        return construct.Container({name: thaw(each) for name, each in value.items()})
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return construct.ListContainer(map(thaw, value))
    return value if type(value) in _PLAIN else deepcopy(value)
