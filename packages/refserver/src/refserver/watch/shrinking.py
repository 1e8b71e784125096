"""Make a recording as short as it can be while something still holds of it.

Rule: what is left was tried as it is. Without any one of its connections, frames, breaks between
writes or characters of a content it was tried too, and did not hold.

Layer: above `cutting`, below `shrink_command`. It does no I/O: a function says what holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..wording import counted
from .conversation import Bytes, Ended, Item, Opened, Side
from .cutting import HEADER, LEAST

__all__ = ["Script", "scripted", "shrunk", "summary"]

PONG, LOGIN, MESSAGE, APPLICATION = 0x07, 0x01, 0x02, 0x80
REPLIES = (0x04, 0x05, 0x07, 0x08)
Holds = Callable[["Script"], bool]


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that happened on a connection: open, send, reply, fact or end."""

    kind: str
    connection: int
    data: bytes = b""
    number: int = 0
    """Of a request and of its reply: the same on its connection, from 1."""
    cuts: tuple[int, ...] = ()
    """Where the bytes of a frame were written apart."""
    joined: bool = False
    """Written together with the frame before it."""
    item: Item | None = None

    @property
    def type(self) -> int:
        return self.data[5] if len(self.data) > 5 else -1


class Script:
    """What the clients did, in an order, and which replies they had by then."""

    def __init__(self, steps: Iterable[_Step]) -> None:
        self.steps = tuple(steps)

    @property
    def connections(self) -> list[int]:
        """Their numbers, in the order in which they were opened."""
        return [step.connection for step in self.steps if step.kind == "open"]

    @property
    def frames(self) -> int:
        """How many frames the clients send."""
        return sum(step.kind == "send" for step in self.steps)

    @property
    def size(self) -> int:
        """How many bytes the clients send."""
        return sum(len(step.data) for step in self.steps if step.kind == "send")

    def items(self) -> Iterator[Item]:
        """The same as a recording."""
        resumes = any(
            step.kind == "send" and step.type == LOGIN and _has_ticket(step.data)
            for step in self.steps
        )
        held = b""
        for at, step in enumerate(self.steps):
            number, time = step.connection, at / 1000
            if step.kind == "send":
                start = 0
                for stop in step.cuts:
                    yield Bytes(time, number, Side.CLIENT, held + step.data[start:stop])
                    start, held = stop, b""
                held += step.data[start:]
                if not self._is_joined(at + 1, number):
                    yield Bytes(time, number, Side.CLIENT, held)
                    held = b""
            elif step.kind == "reply" or (step.kind == "fact" and resumes):
                yield Bytes(time, number, Side.SERVER, step.data)
            elif step.item is not None:
                yield replace(step.item, at=time)

    def _is_joined(self, at: int, connection: int) -> bool:
        """Whether the step there is written together with the one before it, of a connection."""
        step = self.steps[at] if at < len(self.steps) else None
        return step is not None and step.joined and step.connection == connection

    def without(self, gone: Iterable[_Step]) -> Script:
        """The same without these frames, and without their replies."""
        dropped = set(map(id, gone))
        answers = {
            (step.connection, step.number)
            for step in self.steps
            if id(step) in dropped and step.number
        }
        return Script(
            step
            for step in self.steps
            if id(step) not in dropped
            and not (step.kind == "reply" and (step.connection, step.number) in answers)
        )

    def changed(self, old: _Step, new: _Step) -> Script:
        """The same with one step in the place of another."""
        return Script(new if step is old else step for step in self.steps)


def _has_ticket(data: bytes) -> bool:
    at = 17 + data[16] if len(data) > 16 else 0
    size = int.from_bytes(data[at : at + 2], "big")
    return bool(at) and any(data[at + 2 + size :][:8])


# ----------------------------------------------------------------- from a recording


@dataclass(slots=True)
class _Stream:
    """One side of a connection, while it is cut into frames."""

    held: bytes = b""
    cuts: tuple[int, ...] = ()
    joined: bool = False
    """What is held began in the write in which the frame before it ended."""
    number: int = 0
    dead: bool = False


def scripted(items: Iterable[Item]) -> Script:
    """The script of a recording."""
    streams: defaultdict[tuple[int, Side], _Stream] = defaultdict(_Stream)
    steps: list[_Step] = []
    for item in items:
        if isinstance(item, Opened):
            steps.append(_Step("open", item.connection, item=item))
        elif isinstance(item, Bytes):
            stream = streams[item.connection, item.side]
            take = _asked if item.side is Side.CLIENT else _answered
            steps += take(stream, item)
        elif isinstance(item, Ended) and item.side is Side.CLIENT:
            steps += _rest(streams.pop((item.connection, Side.CLIENT), _Stream()), item.connection)
            steps.append(_Step("end", item.connection, item=item))
    for (connection, side), stream in streams.items():
        if side is Side.CLIENT:
            steps += _rest(stream, connection)
    return Script(steps)


def _rest(stream: _Stream, connection: int) -> list[_Step]:
    """A frame of which only the beginning was sent."""
    if not stream.held:
        return []
    return [_Step("send", connection, stream.held, 0, stream.cuts, stream.joined)]


def _asked(stream: _Stream, item: Bytes) -> Iterator[_Step]:
    """The frames that become whole by these bytes of a client."""
    before = len(stream.held)
    if not before:
        stream.joined = False
    data = stream.held + item.data
    cuts = (*stream.cuts, before) if before else ()
    while (size := _size(data, stream)) and size <= len(data):
        is_request = data[5:6] != bytes([PONG]) and not stream.dead
        stream.number += is_request
        number = stream.number if is_request else 0
        yield _Step("send", item.connection, data[:size], number, cuts, stream.joined)
        data, cuts, stream.joined = data[size:], (), True
    stream.held, stream.cuts = data, cuts


def _answered(stream: _Stream, item: Bytes) -> Iterator[_Step]:
    """The frames that become whole by these bytes of a server."""
    data = stream.held + item.data
    while (size := _size(data, stream)) and size <= len(data):
        frame = data[:size]
        if not stream.dead and frame[5] in REPLIES and any(frame[8:16]):
            stream.number += 1
            yield _Step("reply", item.connection, frame, stream.number)
        else:
            yield _Step("fact", item.connection, frame)
        data = data[size:]
    stream.held = data


def _size(data: bytes, stream: _Stream) -> int:
    """The size of the frame that begins here; behind what is none, of all that is there."""
    if not stream.dead and len(data) >= 4:
        length = int.from_bytes(data[:4], "big")
        stream.dead = length < LEAST
        if not stream.dead:
            return length + 4
    return len(data) if stream.dead else 0


# ----------------------------------------------------------------- smaller


def shrunk(script: Script, holds: Holds) -> Script:
    """A script for which `holds` is true, as it is for `script`, and that cannot lose a part."""
    while True:
        before = script
        script = _fewer(script, holds, _by_connection(script))
        script = _fewer(script, holds, [[step] for step in script.steps if step.kind == "send"])
        script = _fewer(script, holds, [[step] for step in script.steps if step.kind == "end"])
        script = _in_fewer_writes(script, holds)
        script = _with_less_to_say(script, holds)
        if script.steps == before.steps:
            return script


def _by_connection(script: Script) -> list[list[_Step]]:
    return [
        [step for step in script.steps if step.connection == number]
        for number in script.connections
    ]


def _fewer(script: Script, holds: Holds, parts: Sequence[list[_Step]]) -> Script:
    """Without as many of the parts as possible: halves first, then each alone, from the end."""
    left = list(parts)
    size = len(left)
    while size:
        at = len(left)
        while at > 0:
            start = max(0, at - size)
            tried = script.without(step for part in left[start:at] for step in part)
            if tried.connections and holds(tried):
                script = tried
                del left[start:at]
            at = start
        size //= 2
    return script


def _in_fewer_writes(script: Script, holds: Holds) -> Script:
    for step in script.steps:
        if step.kind != "send":
            continue
        now = step
        for new in (replace(now, cuts=(), joined=True), replace(now, cuts=())):
            if new != now and holds(tried := script.changed(now, new)):
                script, now = tried, new
                break
    return script


def _with_less_to_say(script: Script, holds: Holds) -> Script:
    """With shorter contents: nothing, or half as much again and again."""
    for step in script.steps:
        now, size = step, _said(step)
        while size > 0:
            new = _saying(now, _said(now) - size)
            if holds(tried := script.changed(now, new)):
                script, now = tried, new
                size = min(size, _said(now))
            else:
                size //= 2
    return script


def _said(step: _Step) -> int:
    """Bytes of a content that can be left out; 0 where it is no such frame."""
    if step.kind != "send" or not step.number or step.cuts or len(step.data) < 17:
        return 0
    if step.type != MESSAGE and step.type < APPLICATION:
        return 0
    return max(0, len(step.data) - 17 - step.data[16])


def _saying(step: _Step, size: int) -> _Step:
    """The same frame with so much of its content, cut where a character begins."""
    start = 17 + step.data[16]
    content = step.data[start : start + size]
    if step.type == MESSAGE:
        content = content.decode("utf-8", "ignore").encode()
    head = HEADER.unpack_from(step.data)
    body = step.data[16:start] + content
    return replace(step, data=HEADER.pack(12 + len(body), *head[1:]) + body)


def summary(script: Script) -> str:
    """Its size in words."""
    numbers = (
        (len(script.connections), "connection"),
        (script.frames, "frame"),
        (script.size, "byte"),
    )
    return ", ".join(counted(number, noun) for number, noun in numbers)
