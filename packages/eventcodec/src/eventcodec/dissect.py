"""Shows bytes with the names of their fields, up to the first error.

Rule: `framing` and `codec` decide what is an error, and the declarations name the fields. This
module only shows them. The output is printable ASCII. It shows only the size of secrets, and of
bytes that cannot be read and so can be secret.

Layer: above `hints`, below `vectors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import hints
from .codec import LAST_ERROR, STANDARD, Buffer, Codec
from .errors import ErrorCode, RemoteProtocolError, counted
from .events import APPLICATION_TYPES, ApplicationEvent, Error, Event, Left, Unknown
from .framing import HEADER, LENGTH, validate_header, validate_length
from .jsonlines import secrets_of, size_of
from .limits import DEFAULT_MAX_FRAME, HEADER_SIZE, LENGTH_SIZE, MIN_LENGTH, frame_limit
from .reference import Part, Step, walk
from .wire import U8, U16, U32, U64, Octets

__all__ = ["HEADER_PARTS", "Dissection", "Frame", "FrameError", "Row", "dissect"]

HEADER_PARTS = (
    Part("length", U32),
    Part("version", U8),
    Part("type", U8),
    Part("reserved", U16),
    Part("seq", U64),
)
"""The fields in front of every body, in the words in which events declare theirs."""
TYPE_AT = 5

PER_LINE = 8
MOST_LINES = 8
MOST_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field of a frame. Bytes that are no field have an empty `name`.

    `value` and `meaning` are for people, in printable ASCII. `data` is None if the bytes are
    hidden.
    """

    offset: int
    size: int
    data: bytes | None
    name: str
    value: str
    meaning: str
    faulty: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame, or its beginning, in rows without a gap."""

    offset: int
    size: int
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FrameError:
    """Why the reading ends: a value, not an exception. `code` is None if the last frame is cut."""

    code: ErrorCode | None
    offset: int
    field: str | None
    reason: str

    def __str__(self) -> str:
        name = "INCOMPLETE" if self.code is None else self.code.name
        field = "" if self.field is None else f"{self.field} at "
        return f"{name}: {field}byte {self.offset}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Dissection:
    """The frames in some bytes up to the first error, and its likely cause."""

    frames: tuple[Frame, ...]
    error: FrameError | None
    hint: str | None

    def text(self) -> str:
        """Returns the whole dissection as text for a terminal."""
        return "".join(f"{line}\n" for line in _lines(self))


def dissect(
    data: Buffer,
    *,
    codec: Codec = STANDARD,
    max_frame: int | None = None,
    secrets: bool = False,
) -> Dissection:
    """Returns the fields of a frame, or of a stream of frames from its beginning.

    The error is the same as that of a `Decoder` with the same `codec` and limit.
    `max_frame` is the greatest accepted `length` in bytes, by default 65,791.
    With `secrets` the dissection shows everything, including credentials and tickets.

    >>> dissection = dissect(bytes.fromhex("0000000c 0102 0000 0000000000000007"))
    >>> print(dissection.error)
    MALFORMED: sender at byte 16: the frame ends inside it
    """
    data = bytes(data)
    limit = DEFAULT_MAX_FRAME if max_frame is None else frame_limit(max_frame)
    frames: list[Frame] = []
    at, before = 0, None
    hint: str | None = None
    while at < len(data):
        found = _read(data, at, codec, limit)
        frames.append(_Reader(data, at, codec, found, secrets).frame())
        if isinstance(found, FrameError):
            cause = _cause(data, at, before, found, codec, limit)
            return Dissection(tuple(frames), found, cause or hint)
        hint = hint or _odd_text(found)
        at, before = at + frames[-1].size, at
    return Dissection(tuple(frames), None, hint)


def _read(data: bytes, at: int, codec: Codec, limit: int) -> Event | FrameError:
    """Returns what a decoder finds at `at` if nothing follows `data`."""
    rest = len(data) - at
    missing = HEADER_SIZE - rest
    try:
        if rest >= LENGTH_SIZE:
            (length,) = LENGTH.unpack_from(data, at)
            validate_length(length, limit, at)
            missing = LENGTH_SIZE + length - rest
        if rest >= HEADER_SIZE:
            _, word, seq = HEADER.unpack_from(data, at)
            validate_header(word, seq, at, unnumbered=LAST_ERROR)
        if missing <= 0:
            return codec.decode_at(data, at, len(data) + missing)
    except RemoteProtocolError as error:
        return FrameError(error.code, error.offset, error.field, error.reason)
    least = "" if rest >= LENGTH_SIZE else "at least "
    lacking = f"{counted(missing, 'byte')} of the frame {'is' if missing == 1 else 'are'} missing"
    return FrameError(None, len(data), None, least + lacking)


def _kind(codec: Codec, type: int) -> type[Event]:
    general = ApplicationEvent if type in APPLICATION_TYPES else Unknown
    return codec.events.get(type, general)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes the rows of the frame at `at`, of which `found` is the event or the error."""

    data: bytes
    at: int
    codec: Codec
    found: Event | FrameError
    secrets: bool

    def frame(self) -> Frame:
        rows = list(self._header())
        stop = rows[-1].offset + rows[-1].size
        name = "no frame"
        if stop == self.at + HEADER_SIZE:
            name = self._title()
            if not any(row.faulty for row in rows):
                rows += self._body(stop)
                stop = rows[-1].offset + rows[-1].size
        if isinstance(self.found, FrameError) and stop < len(self.data):
            rows.append(self._unread(stop))
        return Frame(self.at, sum(row.size for row in rows), name, tuple(rows))

    def _header(self) -> Iterator[Row]:
        """After a wrong length, no other field is certain."""
        for step in walk(HEADER_PARTS, self.data[self.at : self.at + HEADER_SIZE]):
            name = "" if step.part is None else step.part.name
            row = self._row(step, self.at, self._meaning(None, name), frozenset())
            yield row
            if row.faulty and name == "length":
                return

    def _body(self, start: int) -> Iterator[Row]:
        (length,) = LENGTH.unpack_from(self.data, self.at)
        body = self.data[start : self.at + LENGTH_SIZE + length]
        declared, kind = self._kinds()
        hidden = frozenset[str]() if self.secrets else secrets_of(declared)
        if hidden and kind is not declared:
            hidden = frozenset({"data"})  # the secret is somewhere in there
        for step in walk(kind.parts, body):
            name = "" if step.part is None else step.part.name
            row = self._row(step, start, self._meaning(kind, name), hidden)
            if row.size or row.faulty or step.error is None:
                yield row

    def _meaning(self, kind: type[Event] | None, name: str) -> Callable[[Any], str] | None:
        if kind is None and name == "type":
            return lambda _: self._title()
        return _MEANINGS.get((kind, name))

    def _kinds(self) -> tuple[type[Event], type[Event]]:
        """The class that is declared for the type, and the class that describes the body."""
        declared = _kind(self.codec, self.data[self.at + TYPE_AT])
        return declared, declared if isinstance(self.found, FrameError) else type(self.found)

    def _title(self) -> str:
        declared, kind = self._kinds()
        if kind not in (ApplicationEvent, Unknown):
            return kind.__name__
        misfit = "" if kind is declared else f", not as {declared.__name__} is declared"
        return f"{kind.__name__} {self.data[self.at + TYPE_AT]:#04x}{misfit}"

    def _row(
        self,
        step: Step,
        base: int,
        meaning: Callable[[Any], str] | None,
        hidden: frozenset[str],
    ) -> Row:
        part, offset, size = step.part, base + step.start, step.stop - step.start
        error = self.found if isinstance(self.found, FrameError) else None
        faulty = error is not None and error.code is not None and error.offset == offset
        # Bytes that cannot be read can include the secret after them.
        conceal = bool(hidden) if part is None or step.error else part.name in hidden
        value, about = counted(size, "byte"), "cut"
        if part is not None and step.error is None:
            value = f"{size_of(part, step.value)}, hidden" if conceal else _shown(step.value)
            about = part.layout if meaning is None else meaning(step.value)
        return Row(
            offset=offset,
            size=size,
            data=None if conceal else self.data[offset : offset + size],
            name="" if part is None else part.name,
            value=value,
            meaning=error.reason if error is not None and faulty else about,
            faulty=faulty,
        )

    def _unread(self, offset: int) -> Row:
        size = len(self.data) - offset
        return Row(
            offset=offset,
            size=size,
            data=self.data[offset:] if self.secrets else None,
            name="",
            value=counted(size, "byte"),
            meaning="not read",
        )


def _shown(value: object) -> str:
    return counted(len(value), "byte") if isinstance(value, bytes) else ascii(value)


def _code(number: int) -> str:
    code = ErrorCode.known(number)
    return "unknown" if code is None else f"{code.name}: {code.meaning}"


def _reason(number: int) -> str:
    why = Left(user="", reason=number).why
    return why.name if why == number else f"unknown, so {why.name}"


_MEANINGS: dict[tuple[type[Event] | None, str], Callable[[Any], str]] = {
    (None, "length"): lambda n: f"{MIN_LENGTH} of header, {n - MIN_LENGTH} of body",
    (Error, "code"): _code,
    (Left, "reason"): _reason,
}
"""The meaning of a number, if it has one beyond its layout; None stands for the header."""


def _cause(
    data: bytes, at: int, before: int | None, error: FrameError, codec: Codec, limit: int
) -> str | None:
    """Returns the likely cause of the error of the frame at `at`; the more certain first."""
    if error.reason == Octets.complaint:
        return hints.of_text(*_text_at(data, at, error.offset, codec))
    return hints.guess(data, at, before, codec, limit) or _remark(data, at, before, error)


def _remark(data: bytes, at: int, before: int | None, error: FrameError) -> str | None:
    if error.code is ErrorCode.FRAME_TOO_LARGE and hints.looks_good(data[at + LENGTH_SIZE :]):
        return "the header is good, the frame is only longer than this reader accepts"
    if error.code is not None and error.offset < at + HEADER_SIZE:
        if error.field == "seq":
            return "requests are numbered from 1; only the Error that ends a connection has seq 0"
        if before is not None:
            return f"perhaps the length of the frame before, at byte {before}, is wrong"
    return None


def _text_at(data: bytes, at: int, offset: int, codec: Codec) -> tuple[bytes, bytes]:
    """The bytes of the text with the error, and the bytes after them."""
    (length,) = LENGTH.unpack_from(data, at)
    body = data[at + HEADER_SIZE : at + LENGTH_SIZE + length]
    start = offset - at - HEADER_SIZE
    parts = _kind(codec, data[at + TYPE_AT]).parts
    part = next(step.part for step in walk(parts, body) if step.start == start and step.part)
    count = part.subcon.count
    if count is None:
        return body[start:], b""
    begin = start + count.size
    stop = begin + int.from_bytes(body[start:begin], "big")
    return body[begin:stop], body[stop:]


def _odd_text(event: Event) -> str | None:
    """A hint at text that decodes, but is hardly meant so."""
    values = (getattr(event, part.name) for part in event.parts)
    found = (hints.of_text(value.encode(), b"") for value in values if isinstance(value, str))
    return next(filter(None, found), None)


def _lines(dissection: Dissection) -> Iterator[str]:
    for number, frame in enumerate(dissection.frames, 1):
        yield f"frame {number} at byte {frame.offset}: {frame.name}, {counted(frame.size, 'byte')}"
        for row in frame.rows:
            yield from _row_lines(row)
    if dissection.error is not None:
        yield f"error: {dissection.error}"
    if dissection.hint is not None:
        yield f"hint: {dissection.hint}"


def _row_lines(row: Row) -> Iterator[str]:
    pieces = [] if row.data is None else _pieces(row.data)
    value = row.value if len(row.value) <= MOST_CHARACTERS else row.value[:MOST_CHARACTERS] + "..."
    first = pieces[0] if pieces else "--" if row.data is None else ""
    mark = "!" if row.faulty else " "
    meaning = "" if row.faulty else f"  ({row.meaning})"  # the last lines show the error
    yield f"{mark}{row.offset:>7}  {first:<23}  {row.name:<10}  {value}{meaning}"
    for index, piece in enumerate(pieces[1:], 1):
        yield f" {row.offset + index * PER_LINE:>7}  {piece}"


def _pieces(data: bytes) -> list[str]:
    """The bytes in hex, a line each; of many the first lines only."""
    most = PER_LINE * MOST_LINES
    lines = [data[at : at + PER_LINE].hex(" ") for at in range(0, min(len(data), most), PER_LINE)]
    if len(data) > most:
        lines.append(f"... {counted(len(data) - most, 'byte')} more")
    return lines
