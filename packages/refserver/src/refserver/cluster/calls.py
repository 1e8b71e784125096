"""What a node asks the engine, and what it is answered.

Rule: an operation is written as arguments, and its answer read, here and nowhere else. What the
operations do is in `lua/turn.lua`.

Layer: the bottom layer of `cluster`. No socket, no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Answer",
    "Code",
    "EngineError",
    "Enter",
    "Header",
    "Leave",
    "Mark",
    "Operation",
    "Reap",
    "Resume",
    "Retire",
    "Say",
    "Status",
    "arguments",
    "node_of",
    "parse_answers",
    "parse_turn",
    "ticket_digest",
]


class EngineError(Exception):
    """The engine cannot be used; the text says why, in one line."""


class Status(Enum):
    """The first word of every answer of the engine."""

    OK = "OK"
    RECOVERING = "RECOVERING"
    """The engine was restarted, and not every node has vouched for its place: repeat."""
    FENCED = "FENCED"
    """The node's lease is over: what it asked had no effect, unless the stream shows it."""
    EPOCH = "EPOCH"
    """The engine has another room than the node knew: everything is over."""
    LOST = "LOST"
    """The engine has lost something that it had: everything is over."""
    CONFIG = "CONFIG"
    """The other nodes of the room have other settings."""


class Code(Enum):
    """Why an operation had no effect."""

    GONE = "GONE"
    """The connection was not the member's at that moment."""
    USER_TAKEN = "USER_TAKEN"
    HISTORY_GONE = "HISTORY_GONE"


@dataclass(frozen=True, slots=True)
class Say:
    """Enter the facts of one connection, in order. Answer: the last one's position, or GONE."""

    connection: str
    frames: Sequence[bytes]

    @property
    def size(self) -> int:
        """Bytes of its frames."""
        return sum(map(len, self.frames))


@dataclass(frozen=True, slots=True)
class Mark:
    """Ask for the place of a reply. Answer: the end of the log at this moment."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Begin a session; an empty `user` gets a name. Answer: its place and name, or USER_TAKEN."""

    connection: str
    key: str
    digest: str
    user: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a session behind `position`. Answer: the end and its name, or HISTORY_GONE,
    or USER_TAKEN."""

    connection: str
    digest: str
    user: str
    position: int


@dataclass(frozen=True, slots=True)
class Leave:
    """A member leaves, for a reason of `LeftReason`. Answer: the end behind its `Left`, or GONE."""

    connection: str
    reason: int


@dataclass(frozen=True, slots=True)
class Reap:
    """Let the members of a node leave whose lease is over. Answer: how many are left."""

    victim: str


@dataclass(frozen=True, slots=True)
class Retire:
    """The node stops. The first call only says so. Each later one lets the node's members leave, if
    another node stays. Answer: how many of these members still have to leave.
    """


Operation = Say | Mark | Enter | Resume | Leave | Reap | Retire
Argument = str | bytes | int


def arguments(operation: Operation) -> list[Argument]:
    """The words of an operation, as `turn` takes them.

    >>> arguments(Leave("b7-1", 1))
    ['leave', 'b7-1', 1]
    """
    match operation:
        case Say(connection, frames):
            return ["say", connection, len(frames), b"".join(frames)]
        case Mark():
            return ["mark"]
        case Enter(connection, key, digest, user):
            return ["enter", connection, key, digest, user]
        case Resume(connection, digest, user, position):
            return ["resume", connection, digest, user, position]
        case Leave(connection, reason):
            return ["leave", connection, reason]
        case Reap(victim):
            return ["reap", victim]
        case Retire():
            return ["retire"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one operation: a number, often a name, or why it had no effect."""

    number: int = 0
    user: str = ""
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """How the room is after a call, and what the call has entered."""

    end: int
    first: int
    last: str
    """The id of the stream's last record,"""
    digest: str
    """and the digest of everything up to it."""
    record: str | None
    """The id of the record that the call has made; None where it has made none."""
    expired: tuple[str, ...]
    """Nodes whose lease is over, and whose members are to be reaped."""


def parse_turn(blob: bytes) -> tuple[Header, list[Answer]]:
    """Read what `turn` returns beside its status.

    >>> header, answers = parse_turn(b"8 1 8-0 da39 8-0 b7\\n7\\n8 ann")
    >>> header.end, header.record, header.expired, answers[1]
    (8, '8-0', ('b7',), Answer(number=8, user='ann', code=None))
    """
    head, _, rest = blob.partition(b"\n")
    end, first, last, digest, record, expired = head.decode().split(" ")
    header = Header(
        int(end),
        int(first),
        last,
        digest,
        None if record == "-" else record,
        tuple(expired.split(",")) if expired else (),
    )
    return header, parse_answers(rest)


def parse_answers(lines: bytes) -> list[Answer]:
    """Read the answer lines of a call: the stream's records have them too."""
    return [parse_answer(line) for line in lines.decode().split("\n")] if lines else []


def parse_answer(line: str) -> Answer:
    number, _, user = line.partition(" ")
    if number.isdecimal():
        return Answer(int(number), user)
    return Answer(code=Code(number))


def node_of(connection: str) -> str:
    """The node on which a connection lives; it is a part of the connection's name."""
    return connection.rpartition("-")[0]


def ticket_digest(ticket: int) -> str:
    """What the engine knows of a ticket: no ticket is in it. EP-12-1."""
    return hashlib.sha256(ticket.to_bytes(8, "big")).hexdigest()
