"""A construct declaration -> straight-line encode and decode functions.

Rule: the functions made here accept and refuse exactly the bytes that construct
does with the same declaration; `reference` is construct, and also the slow path for
what the compiler does not know. Source is generated once for each class, as
text that a traceback can show.

Layer: above `reference`, below `events`.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from struct import Struct
from struct import error as struct_error
from typing import Any, NamedTuple

from . import wire
from .errors import LocalProtocolError
from .framing import HEADER, pack_header, word_of
from .limits import HEADER_SIZE, LENGTH_SIZE, MIN_LENGTH
from .reference import KNOWN, Part, explain, read
from .speedups import native

__all__ = ["Compiled", "compile_event", "decode_many_with", "draft_of", "is_known"]

Decode = Callable[[bytes, int, int, int], Any]
DecodeMany = Callable[[bytes, int, int, int, int, int, int], tuple[list[Any], int]]
Encode = Callable[[Any], bytes]


class Compiled(NamedTuple):
    """An event class as functions, and the source that they were made from.

    `decode(data, start, stop, seq)` makes the event with the body `data[start:stop]`.
    `decode_many(data, at, stop, word, seq, limit, count)` makes the event of the frame
    `data[at:stop]`, which has a validated header, and the events of the next frames. It stops
    before a frame that is not whole, has another word or a `length` above the limit, or is not
    valid. It returns the events and the index of the first byte after them. `encode(event)` makes
    its whole frame. `source` is empty where construct does it. `pure` is the same in Python, where
    these functions are native.
    """

    decode: Decode
    decode_many: DecodeMany
    encode: Encode
    source: str
    pure: Compiled | None = None


def _unnumbered() -> LocalProtocolError:
    return LocalProtocolError("0, and only an Error that ends the connection has that", field="seq")


def compile_event(
    event: Any, number: int | None, parts: Sequence[Part], *, unnumbered: bool = False
) -> Compiled:
    """The functions of an event class, from its declaration.

    `number` is its type, or None where each instance has its own. With `unnumbered`, seq 0 can be
    encoded.
    """
    if is_known(parts):
        return _straight_line(event, number, parts, unnumbered)
    return _by_construct(event, parts)


def is_known(parts: Sequence[Part]) -> bool:
    """Whether the compiler knows all these fields; else they take the slow path."""
    return all(isinstance(part.subcon, KNOWN) for part in parts)


def _straight_line(
    event: Any, number: int | None, parts: Sequence[Part], unnumbered: bool
) -> Compiled:
    names: dict[str, Any] = {
        "_Draft": draft_of(event),
        "_Event": event,
        "_Faults": (struct_error, IndexError, ValueError),
        "_Misfit": ValueError,
        "_explain": explain,
        "_len": len,
        "_parts": parts,
        "_unnumbered": _unnumbered,
    }
    runs = _runs(parts)
    fields = list(_field_lines(runs, names))
    source = "\n".join(
        [
            *_decode_lines(parts, fields),
            "",
            *_decode_many_lines(parts, fields, names),
            "",
            *_encode_lines(number, runs, names, unnumbered),
            "",
        ]
    )
    filename = f"<eventcodec {event.__module__}.{event.__qualname__}>"
    exec(compile(source, filename, "exec"), names)
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    pure = Compiled(names["decode"], names["decode_many"], names["encode"], source)
    return _native(event, number, parts, unnumbered, pure) or pure


def _native(
    event: Any,
    number: int | None,
    parts: Sequence[Part],
    unnumbered: bool,
    pure: Compiled,
    constants: Sequence[tuple[str, object]] = (),
) -> Compiled | None:
    """The same in C, made from the same declaration; None without the native module.

    Bytes and values that are not valid go to the Python functions, so that errors have one source.
    """
    if native is None or len(parts) > native.MOST_FIELDS:
        return None
    word, slot = (word_of(0), "_number") if number is None else (word_of(number), None)
    steps = [(part.name, part.subcon.kind, part.subcon.size) for part in parts]
    program = native.Program(
        event, word, slot, unnumbered, steps, pure.decode, pure.encode, constants
    )
    return Compiled(program.decode, program.decode_many, program.encode, pure.source, pure)


def decode_many_with(event: Any, constants: Sequence[tuple[str, object]]) -> DecodeMany | None:
    """The event's `decode_many`, where each event also gets these values of slots.

    None without the native module; then Python does it.
    """
    pure = event.compiled.pure
    made = pure and _native(event, None, event.parts, False, pure, constants)
    return made.decode_many if made else None


def draft_of(event: Any) -> Any:
    """A class of the same layout with instances that can be filled in.

    An instance becomes the frozen event by one assignment to its `__class__`. Measured on
    Python 3.11 for three fields: 260 ns, against 490 ns through slot descriptors and
    1,200 ns through the frozen `__init__`.
    """
    body = {
        "__slots__": event.__dict__["__slots__"],
        "__init__": object.__init__,
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    draft = type(event.__name__ + "Draft", event.__bases__, body)
    draft().__class__ = event
    return draft


def _runs(parts: Sequence[Part]) -> list[list[Part]]:
    """Neighbours of fixed size together, to be read and written by one struct."""
    runs: list[list[Part]] = []
    for part in parts:
        fixed = not isinstance(part.subcon, wire.Octets)
        if fixed and runs and not isinstance(runs[-1][-1].subcon, wire.Octets):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _decode_lines(parts: Sequence[Part], fields: Sequence[str]) -> Iterator[str]:
    """One body, or the explanation of its error."""
    yield "def decode(_data, _start, _stop, _seq):"
    yield "    try:"
    yield from _indented(fields, 2)
    yield "    except _Faults:"
    yield "        raise _explain(_parts, _data, _start, _stop, _seq) from None"
    yield from _indented(_event_lines(parts), 1)
    yield "    return _event"


def _decode_many_lines(
    parts: Sequence[Part], fields: Sequence[str], names: dict[str, Any]
) -> Iterator[str]:
    """Whole frames of one kind, up to the first that is not good: the slow path takes that."""
    names["_header"] = HEADER.unpack_from
    names["_repeat"] = repeat
    yield "def decode_many(_data, _at, _stop, _word, _seq, _limit, _count):"
    yield "    _events = []"
    yield "    _append = _events.append"
    yield "    _size = _len(_data)"
    yield "    try:"
    yield "        for _ in _repeat(None, _count):"
    yield f"            _start = _at + {HEADER_SIZE}"
    yield from _indented(fields, 3)
    yield from _indented(_event_lines(parts), 3)
    yield "            _append(_event)"
    yield "            _at = _stop"
    yield f"            if _at + {HEADER_SIZE} > _size:"
    yield "                break"
    yield "            _length, _its_word, _seq = _header(_data, _at)"
    yield f"            _stop = _at + {LENGTH_SIZE} + _length"
    yield "            if _its_word != _word or not _seq or _stop > _size or _length > _limit:"
    yield "                break"
    yield "    except _Faults:"
    yield "        pass"
    yield "    return _events, _at"


def _indented(lines: Iterable[str], depth: int) -> Iterator[str]:
    return (" " * 4 * depth + line for line in lines)


def _field_lines(runs: Sequence[Sequence[Part]], names: dict[str, Any]) -> Iterator[str]:
    """Read the fields between `_start` and `_stop`.

    One check at the end serves all: what is read past `_stop` lies in the next frame. A
    length below the least makes `_stop` less than `_start`, and fails there too.
    """
    at, whole = "_start", False
    for index, run in enumerate(runs):
        subcon = run[0].subcon
        if not isinstance(subcon, wire.Octets):
            yield from _fixed_lines(run, index, at, names)
        elif subcon.count is None:
            whole = True
            yield f"if {at} > _stop:"
            yield "    raise _Misfit"
            yield f"{run[0].name} = _data[{at}:_stop]{_DECODE[subcon.text]}"
        else:
            yield from _counted_lines(run[0].name, subcon, index, at, names)
        at = f"_end{index}"
    if not whole:
        yield f"if {at} != _stop:"
        yield "    raise _Misfit"


def _event_lines(parts: Sequence[Part]) -> Iterator[str]:
    yield "_event = _Draft()"
    yield "_event.seq = _seq"
    for part in parts:
        yield f"_event.{part.name} = {part.name}"
    yield "_event.__class__ = _Event"


_DECODE = {True: ".decode()", False: ""}
"""Measured on Python 3.11: 70 ns for 33 bytes, against 170 ns for ``str(data, 'utf-8')``."""


def _fixed_lines(run: Sequence[Part], index: int, at: str, names: dict[str, Any]) -> Iterator[str]:
    struct = Struct(">" + "".join(part.subcon.code for part in run))
    names[f"_unpack{index}"] = struct.unpack_from
    targets = ", ".join(part.name for part in run)
    yield f"{targets}, = _unpack{index}(_data, {at})"
    yield f"_end{index} = {at} + {struct.size}"
    for part in run:
        if isinstance(part.subcon, wire.Boolean):
            yield f"if {part.name} > 1:"
            yield "    raise _Misfit"
            yield f"{part.name} = {part.name} == 1"


def _counted_lines(
    name: str, subcon: wire.Octets, index: int, at: str, names: dict[str, Any]
) -> Iterator[str]:
    count = subcon.count
    assert count is not None
    if count.size == 1:
        size = f"_data[{at}]"
    else:
        names[f"_unpack{index}"] = Struct(">" + count.code).unpack_from
        size = f"_unpack{index}(_data, {at})[0]"
    yield f"_end{index} = {at} + {count.size} + {size}"
    yield f"{name} = _data[{at} + {count.size}:_end{index}]{_DECODE[subcon.text]}"


def _encode_lines(
    number: int | None,
    runs: Sequence[Sequence[Part]],
    names: dict[str, Any],
    unnumbered: bool,
) -> Iterator[str]:
    """One struct packs the header and the numbers after it."""
    yield "def encode(_event):"
    yield "    _seq = _event.seq"
    if not unnumbered:
        yield "    if not _seq:"
        yield "        raise _unnumbered()"
    blobs = [run[0] for run in runs if isinstance(run[0].subcon, wire.Octets)]
    for part in blobs:
        text = ".encode()" if part.subcon.text else ""
        yield f"    {part.name} = _event.{part.name}{text}"
    size = MIN_LENGTH + sum(part.subcon.size for run in runs for part in run)
    length = " + ".join([str(size), *(f"_len({part.name})" for part in blobs)])
    pieces: list[str] = []
    word = f"{word_of(0)} + (_event.type << 16)" if number is None else str(word_of(number))
    code, values = "IIQ", [length, word, "_seq"]
    for run in runs:
        subcon = run[0].subcon
        if not isinstance(subcon, wire.Octets):
            code += "".join(part.subcon.code for part in run)
            values += [f"_event.{part.name}" for part in run]
            continue
        if subcon.count is not None:
            code += subcon.count.code
            values.append(f"_len({run[0].name})")
        pieces += [*_packed(code, values, names), run[0].name]
        code, values = "", []
    pieces += _packed(code, values, names)
    yield "    return " + " + ".join(pieces)


def _packed(code: str, values: Sequence[str], names: dict[str, Any]) -> list[str]:
    if not code:
        return []
    names[f"_pack{code}"] = Struct(">" + code).pack
    return [f"_pack{code}({', '.join(values)})"]


def _by_construct(event: Any, parts: Sequence[Part]) -> Compiled:
    """The slow path, for subcons that the compiler does not know.

    An event keeps its body from the moment it is made, and is encoded to the same bytes.
    """
    draft = draft_of(event)

    def decode(data: bytes, start: int, stop: int, seq: int) -> Any:
        body, values = read(parts, data, start, stop, seq)
        made = draft()
        made.seq = seq
        made._body = body
        for name, value in values.items():
            setattr(made, name, value)
        made.__class__ = event
        return made

    def encode(made: Any) -> bytes:
        if not made.seq:
            raise _unnumbered()
        body: bytes = made._body
        return pack_header(made.type, made.seq, len(body)) + body

    return Compiled(decode, _none_at_once, encode, "")


def _none_at_once(
    data: bytes, at: int, stop: int, word: int, seq: int, limit: int, count: int
) -> tuple[list[Any], int]:
    """For the slow path, which decodes one by one."""
    return [], at
