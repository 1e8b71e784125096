"""What each contender does.

Rule: every contender of a group starts from the same events and must end at the
same ones; `check` proves it before anything is timed. A contender prepares what
is not its work (a fresh decoder, a member's connection) before the clock starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import construct
import msgpack  # type: ignore[import-untyped]
import msgspec

import eventcodec
from benchmarks.codec import handwritten
from benchmarks.codec.pure import pure
from benchmarks.codec.rows import (
    CHUNK,
    CHUNKED,
    CONNECTION,
    CONSTRUCT,
    CONSTRUCT_BODY,
    COPY,
    COUNT,
    FRAME_SIZE,
    HAND,
    JSON,
    JSON_UNCHECKED,
    MSGPACK,
    MSGPACK_ARRAYS,
    MSGPACK_UNCHECKED,
    MSGSPEC,
    OURS,
    TASKS,
    in_python,
)
from eventcodec import (
    Codec,
    Event,
    Message,
    encode,
)
from eventcodec.compiler import draft_of
from eventcodec.limits import HEADER_SIZE, MAX_FRAME_CEILING, VERSION
from eventcodec.reference import reference

SENDER = "ann"
MEBIBYTE = 1 << 20

Work = Callable[[], object]
Prepare = Callable[[], Work]


@dataclass(frozen=True)
class Group:
    """Contenders for one task."""

    contenders: dict[str, Prepare]
    result: object
    """What each contender's work must come to."""


# ------------------------------------------------------------------ the events


def _moved(library: Any) -> Any:
    """The class of an application's event of two numbers."""

    @library.application_event(0x80)
    class Moved(library.ApplicationEvent):  # type: ignore[misc, name-defined]
        x: int = library.field(library.wire.I32)
        y: int = library.field(library.wire.I32)

    return Moved


Moved = _moved(eventcodec)


def _messages() -> list[Message]:
    room = FRAME_SIZE - HEADER_SIZE - 1 - len(SENDER)
    said = (f"message {n:4} of a thousand, and on".ljust(room, ".")[:room] for n in range(COUNT))
    return [Message(seq=n, sender=SENDER, content=text) for n, text in enumerate(said, 1)]


MESSAGES = _messages()
FRAMES = [encode(message) for message in MESSAGES]
STREAM = b"".join(FRAMES)
assert {len(frame) for frame in FRAMES} == {FRAME_SIZE}

MOVES = [Moved(seq=n, sender=SENDER, x=n, y=-n) for n in range(1, COUNT + 1)]
MOVE_FRAMES = [encode(move) for move in MOVES]
MOVE_STREAM = b"".join(MOVE_FRAMES)
CODEC = Codec(events=[Moved])

# ------------------------------------------------------------------ eventcodec


def _decoding(library: Any, data: bytes, codec: Any, chunk: int | None = None) -> Prepare:
    chunks = [data] if chunk is None else [data[i : i + chunk] for i in range(0, len(data), chunk)]

    def prepare() -> Work:
        decoder = library.Decoder(codec=codec, max_frame=MAX_FRAME_CEILING)

        def work() -> list[object]:
            found: list[object] = []
            for chunk in chunks:
                decoder.receive_data(chunk)
                found += decoder.events()
            return found

        return work

    return prepare


def _through_connection(library: Any) -> Work:
    connection = library.ClientConnection()
    login = connection.send(library.Login(user="bob"))
    welcome = library.Welcome(
        seq=login.seq, user="bob", ticket=1, position=0, max_frame=1 << 16, heartbeat=0
    )
    connection.receive_data(library.encode(welcome))
    connection.next_event()

    def work() -> list[object]:
        connection.receive_data(STREAM)
        return list(connection.events())

    return work


def _encoding(library: Any) -> Prepare:
    events = [library.decode(frame) for frame in FRAMES]
    encode = library.encode
    return lambda: lambda: b"".join([encode(event) for event in events])


def _ours(library: Any, codec: Any) -> dict[str, dict[str, Prepare]]:
    """What one copy of eventcodec does, by task and name."""
    return {
        "decode": {
            OURS: _decoding(library, STREAM, codec),
            CONNECTION: lambda: _through_connection(library),
        },
        "encode": {OURS: _encoding(library)},
        "application": {OURS: _decoding(library, MOVE_STREAM, codec)},
        "mebibyte": {
            OURS: _decoding(library, LARGE_FRAME, codec),
            CHUNKED: _decoding(library, LARGE_FRAME, codec, CHUNK),
        },
    }


# ------------------------------------------------------------------ construct, interpreted

_HEADER_FIELDS = (
    "version" / construct.Const(VERSION, construct.Int8ub),
    "type" / construct.Int8ub,
    "reserved" / construct.Const(0, construct.Int16ub),
    "seq" / construct.Int64ub,
)


def _whole_frame(event: type[Event]) -> Any:
    body = reference(event)
    return construct.Prefixed(construct.Int32ub, construct.Struct(*_HEADER_FIELDS, "body" / body))


def _fields(event: Event) -> dict[str, Any]:
    return {part.name: getattr(event, part.name) for part in event.parts}


def _interpreted(event: type[Event], frames: list[bytes]) -> Prepare:
    """Whole frames to construct's containers; no typed event is asked of it."""
    parse = _whole_frame(event).parse
    return lambda: lambda: [parse(frame) for frame in frames]


def _interpreted_body(event: type[Event], frames: list[bytes]) -> Prepare:
    """The bodies alone, as if somebody else had cut the frames for nothing."""
    parse = reference(event).parse
    bodies = [frame[HEADER_SIZE:] for frame in frames]
    return lambda: lambda: [parse(body) for body in bodies]


def _interpreted_building(event: type[Event], events: Iterable[Event]) -> Prepare:
    build = _whole_frame(event).build
    values = [{"type": e.type, "seq": e.seq, "body": _fields(e)} for e in events]
    return lambda: lambda: b"".join([build(value) for value in values])


# ------------------------------------------------------------------ json and msgpack

_DOCUMENTS = [
    {"type": m.type, "seq": m.seq, "sender": m.sender, "content": m.content} for m in MESSAGES
]
_JSON = "\n".join(json.dumps(document, separators=(",", ":")) for document in _DOCUMENTS)
_MSGPACK = b"".join(msgpack.packb(document) for document in _DOCUMENTS)
_ARRAYS = b"".join(msgpack.packb([m.type, m.seq, m.sender, m.content]) for m in MESSAGES)
_Draft = draft_of(Message)


def _checked(type: int, seq: int, sender: str, content: str) -> Message:
    """By the class: what came is of the right types and encodable, or it is refused."""
    return Message(seq=seq, sender=sender, content=content)


def _unchecked(type: int, seq: int, sender: str, content: str) -> Message:
    """The same object without a look at what came: what no careful reader would do."""
    draft = _Draft()
    draft.seq = seq
    draft.sender = sender
    draft.content = content
    draft.__class__ = Message
    return draft  # type: ignore[no-any-return]


def _json(make: Callable[..., Message]) -> Prepare:
    loads = json.loads
    return lambda: lambda: [make(**loads(line)) for line in _JSON.splitlines()]


def _unpacked(data: bytes) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return unpacker


def _msgpack(make: Callable[..., Message]) -> Prepare:
    return lambda: lambda: [make(**document) for document in _unpacked(_MSGPACK)]


def _msgpack_arrays(make: Callable[..., Message]) -> Prepare:
    return lambda: lambda: [make(*document) for document in _unpacked(_ARRAYS)]


class _Said(msgspec.Struct, array_like=True, frozen=True):
    """The same four values, as msgspec declares them."""

    type: int
    seq: int
    sender: str
    content: str


_SAID = [_Said(m.type, m.seq, m.sender, m.content) for m in MESSAGES]
_SAID_FRAMES = [msgspec.msgpack.encode(said) for said in _SAID]


def _msgspec() -> Work:
    """Frames that are already cut: msgspec has no streams."""
    decode = msgspec.msgpack.Decoder(_Said).decode
    return lambda: [decode(frame) for frame in _SAID_FRAMES]


def _msgspec_encoding() -> Work:
    encode = msgspec.msgpack.Encoder().encode
    return lambda: b"".join([encode(said) for said in _SAID])


# ------------------------------------------------------------------ one large content

_CONTENT = b"x" * MEBIBYTE
LARGE = Message(seq=1, content=_CONTENT.decode())
LARGE_FRAME = encode(LARGE)


def _copy_and_check() -> Work:
    # A bytearray, for `bytes` of bytes would be no copy.
    source = bytearray(_CONTENT)
    return lambda: bytes(source).decode()


# ------------------------------------------------------------------ all of them


def _both(task: str) -> dict[str, Prepare]:
    """eventcodec as it is installed, and in Python alone."""
    native = _ours(eventcodec, CODEC)[task]
    python = _ours(pure, pure.Codec(events=[_moved(pure)]))[task]
    return native | {in_python(name): prepare for name, prepare in python.items()}


GROUPS = {
    "decode": Group(
        {
            **_both("decode"),
            HAND: lambda: lambda: handwritten.decode(STREAM)[0],
            CONSTRUCT: _interpreted(Message, FRAMES),
            CONSTRUCT_BODY: _interpreted_body(Message, FRAMES),
            JSON: _json(_checked),
            JSON_UNCHECKED: _json(_unchecked),
            MSGPACK: _msgpack(_checked),
            MSGPACK_UNCHECKED: _msgpack(_unchecked),
            MSGPACK_ARRAYS: _msgpack_arrays(_unchecked),
            MSGSPEC: _msgspec,
        },
        MESSAGES,
    ),
    "encode": Group(
        {
            **_both("encode"),
            CONSTRUCT: _interpreted_building(Message, MESSAGES),
            MSGSPEC: _msgspec_encoding,
        },
        STREAM,
    ),
    "application": Group(
        {**_both("application"), CONSTRUCT: _interpreted(Moved, MOVE_FRAMES)},
        MOVES,
    ),
    "mebibyte": Group(
        {
            **_both("mebibyte"),
            COPY: _copy_and_check,
        },
        [LARGE],
    ),
}
assert GROUPS.keys() == TASKS.keys()


class Differs(Exception):
    """A contender came to something else than the others: its time would mean nothing."""


def check() -> None:
    """Every contender comes to its group's result."""
    for task, group in GROUPS.items():
        for name, prepare in group.contenders.items():
            if _comparable(prepare()(), group) != group.result:
                raise Differs(f"{task}: {name}")


def _comparable(result: object, group: Group) -> object:
    """construct and msgspec have no events, the copy has only the content, and a second
    eventcodec has classes of its own."""
    if result == b"".join(_SAID_FRAMES):
        return group.result
    if isinstance(result, list) and isinstance(result[0], _Said):
        return [_checked(*msgspec.structs.astuple(said)) for said in result]
    if isinstance(result, list) and isinstance(result[0], pure.Event):
        return [CODEC.decode(pure.encode(event)) for event in result]
    if isinstance(result, str):
        return [Message(seq=1, content=result)]
    if isinstance(result, list) and isinstance(result[0], construct.Container):
        kind = type(group.result[0])  # type: ignore[index]
        bodies = [parsed.get("body", parsed) for parsed in result]
        names = [part.name for part in kind.parts]
        values = [{name: body[name] for name in names} for body in bodies]
        return [kind(seq=seq, **each) for seq, each in enumerate(values, 1)]
    return result
