"""A test of the installed package, without pytest.

Rule: the same work each time from the same seed, reported and never raised; a check that ran no
case has failed. It uses no assert: it must work with -O too.

Layer: above `exchange`, below `commands`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random

from . import exchange, vectors, wire
from .codec import Codec, encode, relay
from .decoder import ConnectionEnded, Decoder
from .errors import RemoteProtocolError
from .events import (
    APPLICATION_TYPES,
    Ack,
    ApplicationEvent,
    Event,
    Message,
    Unknown,
    application_event,
    field,
)
from .framing import pack_header
from .limits import HEADER_SIZE, LENGTH_SIZE, MAX_FRAME
from .reference import reference, walk

__all__ = ["Result", "run"]

MUTANTS = 5_000
STREAMS = 300
RUNS = 1_000
LONGEST = 400


@dataclass(frozen=True, slots=True)
class Result:
    """How one check went: its name, how many cases it had, and what was wrong with which."""

    name: str
    cases: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """There were cases, and none was wrong."""
        return self.cases > 0 and not self.failures


def run(seed: int = 1) -> Iterator[Result]:
    """Every check, one after the other. Random values depend on `seed`."""
    for name, check in CHECKS:
        outcomes = list(check(Random(seed)))
        yield Result(name, len(outcomes), tuple(filter(None, outcomes)))


@application_event(0x80)
class Everything(ApplicationEvent):
    """Every word of `wire`, so that all that the compiler writes is run."""

    u8: int = field(wire.U8)
    i16: int = field(wire.I16)
    text: str = field(wire.ShortText)
    u16: int = field(wire.U16)
    flag: bool = field(wire.Flag)
    i64: int = field(wire.I64)
    short: bytes = field(wire.ShortBytes)
    long: bytes = field(wire.Bytes16)
    i8: int = field(wire.I8)
    u32: int = field(wire.U32)
    i32: int = field(wire.I32)
    u64: int = field(wire.U64)
    end: str = field(wire.Text)


CODEC = Codec([Everything])
GENERAL = (Unknown, ApplicationEvent)
SAMPLE = Everything(
    seq=1,
    sender="ann",
    u8=1,
    i16=-2,
    text="zoë",
    u16=3,
    flag=True,
    i64=-4,
    short=b"short",
    long=b"long",
    i8=-5,
    u32=6,
    i32=-7,
    u64=8,
    end="end",
)


def _vectors(_: Random) -> Iterator[str | None]:
    """Each vector in both directions, with the answer."""
    every = exchange.cases(vectors.load(), receivers=exchange.RECEIVERS, encoding=True)
    for case in every:
        line = json.dumps(exchange.answer(case.question)).encode()
        wrong = exchange.complaint(case, line)
        yield wrong and f"{case.id}: {wrong}"


def _agreement(random: Random) -> Iterator[str | None]:
    """Changed bodies: the compiled functions and construct agree."""
    references = {kind: reference(kind) for kind in (*CODEC.events.values(), *GENERAL)}
    for frame in _mutants(random):
        event = _decoded(frame)
        kind = _kind_of(frame)
        values = _by_construct(kind, frame[HEADER_SIZE:])
        same = values == (None if event is None else _values(event))
        if event is not None and same:
            body = references[kind].build(values)
            same = encode(event) == frame[:HEADER_SIZE] + body == frame
        yield None if same else f"they differ: {frame.hex()}"


def _decoded(frame: bytes) -> Event | None:
    try:
        event = CODEC.decode(frame)
    except RemoteProtocolError:
        return None
    return None if getattr(event, "decode_error", None) else event


def _values(event: Event) -> dict[str, object]:
    return {part.name: getattr(event, part.name) for part in event.parts}


def _kind_of(frame: bytes) -> type[Event]:
    type = frame[LENGTH_SIZE + 1]
    return CODEC.events.get(type, GENERAL[type in APPLICATION_TYPES])


def _by_construct(kind: type[Event], body: bytes) -> dict[str, object] | None:
    steps = list(walk(kind.parts, body))
    if any(step.error for step in steps):
        return None
    return {step.part.name: step.value for step in steps if step.part}


def _frames() -> list[bytes]:
    frames = [valid.frame for valid in vectors.load().valid]
    return [*(frame for frame in frames if len(frame) <= LONGEST), *[encode(SAMPLE)] * 20]


def _mutants(random: Random) -> Iterator[bytes]:
    """Frames with a valid header and a changed body."""
    frames = _frames()
    for _ in range(MUTANTS):
        frame, other = random.choices(frames, k=2)
        body = bytearray(frame[HEADER_SIZE:])
        for _ in range(random.randint(1, 2)):
            at = random.randint(0, len(body))
            replace, insert = (1, random.randbytes(1)), (0, random.randbytes(2))
            cut, splice = (len(body), b""), (2, other[HEADER_SIZE:])
            size, new = random.choice((replace, replace, replace, insert, cut, splice))
            body[at : at + size] = new
        yield pack_header(frame[LENGTH_SIZE + 1], random.getrandbits(63) + 1, len(body)) + body


def _chunkings(random: Random) -> Iterator[str | None]:
    """Valid and broken streams: any chunks have the same result."""
    frames = _frames()
    mutants = _mutants(random)
    for _ in range(STREAMS):
        stream = b"".join(random.choices(frames, k=random.randint(1, 8)))
        stream += random.choice((b"", next(mutants), random.randbytes(20), stream[:-1]))
        whole = _outcome([stream])
        bytewise = _outcome(stream[at : at + 1] for at in range(len(stream)))
        mixed = _outcome(_pieces(random, stream))
        yield None if whole == bytewise == mixed else f"chunks matter: {stream.hex()}"


def _pieces(random: Random, stream: bytes) -> Iterator[bytes]:
    while stream:
        size = random.choice((1, 3, 4, 16, random.randint(1, 200)))
        yield stream[:size]
        stream = stream[size:]


def _outcome(chunks: Iterable[bytes]) -> tuple[list[object], str, object]:
    """The events in a stream, and its end: what went wrong, and at which byte."""
    decoder = Decoder(codec=CODEC)
    found: list[object] = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        found += decoder.events()
    decoder.receive_eof()
    found += decoder.events()
    *events, end = found
    error = end.error if isinstance(end, ConnectionEnded) else None
    return events, str(error), getattr(error, "seq", None)


def _relays(random: Random) -> Iterator[str | None]:
    """Requests that a server relays: the facts and Acks are those that `encode` makes."""
    for _ in range(RUNS):
        seq, position = random.getrandbits(60) + 1, random.getrandbits(60) + 1
        requests, facts, acks = b"", [], b""
        for n in range(random.randint(1, 8)):
            text = "".join(random.choices("aé☺𝄞", k=random.randint(1, 40)))
            requests += encode(Message(seq=seq + n, content=text))
            facts.append(encode(Message(seq=position + n, sender="ann", content=text)))
            acks += encode(Ack(seq=seq + n, position=position + n))
        relayed = relay(requests, 0, MAX_FRAME, b"\x03ann", position, len(facts))
        yield None if relayed == (facts, acks, len(requests)) else f"wrong: {requests.hex()}"


CHECKS: tuple[tuple[str, Callable[[Random], Iterator[str | None]]], ...] = (
    ("vectors, read and written", _vectors),
    ("mutated bodies, compiled functions against construct", _agreement),
    ("streams, whole, byte by byte and in random chunks", _chunkings),
    ("runs of requests, relayed", _relays),
)
