"""The records of the stream: what each of them enters into the log, and who made it.

Rule: a record is read, and its digest computed, here and nowhere else. It is written by
`lua/turn.lua`. Frames stand in it without positions; the reader adds them.

Layer: the bottom layer of `cluster`. No socket, no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE

from ..wording import counted
from .calls import Answer, parse_answers

__all__ = [
    "SEQ",
    "BrokenRecord",
    "Fence",
    "Item",
    "Joins",
    "Parts",
    "Place",
    "Record",
    "Said",
]

SEQ = slice(HEADER_SIZE - 8, HEADER_SIZE)
"""Where a frame has its seq, which is a fact's position."""


class BrokenRecord(ValueError):
    """The stream has something that no node has written."""


class Place(NamedTuple):
    """An id of the stream: the last position up to there, and a number among those without one.

    >>> Place.parse("10-2") > Place.parse("9-14")
    True
    """

    position: int
    sub: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises BrokenRecord."""
        position, _, sub = text.partition("-")
        try:
            return cls(int(position), int(sub))
        except ValueError:
            raise BrokenRecord(f"no id: {text!r}") from None


@dataclass(frozen=True, slots=True)
class Said:
    """The messages of one run."""

    connection: str
    frames: tuple[bytes, ...]

    def facts(self, position: int) -> list[bytes]:
        """The frames, numbered from `position`."""
        return [
            frame[: SEQ.start] + at.to_bytes(8, "big") + frame[SEQ.stop :]
            for at, frame in enumerate(self.frames, position)
        ]


@dataclass(frozen=True, slots=True)
class Joins:
    """A connection becomes a member's."""

    connection: str
    user: str


@dataclass(frozen=True, slots=True)
class Parts:
    """A connection is a member's no more."""

    connection: str
    reason: int
    user: str


@dataclass(frozen=True, slots=True)
class Fence:
    """A node's lease is over: what it has asked and is not in the stream by now had no effect."""

    node: str


Item = Said | Joins | Parts | Fence


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `digest` is that of everything before it; an item has its operation's index."""

    place: Place
    digest: str
    digest_behind: str
    first: int
    node: str
    number: int
    answers: list[Answer]
    items: list[tuple[int, Item]]

    @classmethod
    def parse(cls, id: str, fields: Mapping[bytes, bytes]) -> Record:
        """Read the record with this id. Raises BrokenRecord."""
        try:
            digest, first, node = fields[b"digest"], fields[b"first"], fields[b"node"]
            number, answers, items = fields[b"number"], fields[b"answers"], fields[b"items"]
            behind = hashlib.sha1(
                b"\n".join([digest, id.encode(), first, node, number, answers, items])
            )
            return cls(
                place=Place.parse(id),
                digest=digest.decode(),
                digest_behind=behind.hexdigest(),
                first=int(first),
                node=node.decode(),
                number=int(number),
                answers=parse_answers(answers),
                items=list(Reader(items)),
            )
        except (KeyError, ValueError, IndexError) as error:
            raise BrokenRecord(f"record {id}: {error!r}") from error


class Reader:
    """Iterates over the items of a record."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        while self._at < len(self._data):
            kind = self._take(1)
            index = self._number(2)
            yield index, self._item(kind)

    def _item(self, kind: bytes) -> Item:
        if kind == b"S":
            connection, count = self._short(), self._number(4)
            frames = tuple(split(self._take(self._number(4))))
            if len(frames) != count:
                raise BrokenRecord(f"{counted(len(frames), 'frame')} in a run of {count}")
            return Said(connection, frames)
        if kind == b"J":
            return Joins(self._short(), self._short())
        if kind == b"L":
            return Parts(self._short(), self._number(1), self._short())
        if kind == b"F":
            return Fence(self._short())
        raise BrokenRecord(f"an item {kind!r}")

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise BrokenRecord("an item is cut")
        self._at += size
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _short(self) -> str:
        return self._take(self._number(1)).decode()


def split(frames: bytes) -> Iterator[bytes]:
    """The frames of a run; each begins with its length."""
    at = 0
    while at < len(frames):
        size = LENGTH_SIZE + int.from_bytes(frames[at : at + LENGTH_SIZE], "big")
        if size < HEADER_SIZE or at + size > len(frames):
            raise BrokenRecord("a frame is cut")
        yield frames[at : at + size]
        at += size
