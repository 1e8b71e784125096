"""The conformance vectors: frames with what a reader must make of them.

Rule: the files are read as they are; nothing here encodes, decodes or judges a
frame, so that a fault in this package cannot hide in its own vectors.

Layer: above `dissect`, below `selftest`. Imports nothing of this package.
README.md beside this file says what each field means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pkgutil import get_data
from typing import Any

__all__ = ["Change", "Hidden", "Invalid", "Prefixes", "Valid", "Vectors", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valid:
    """One frame that every reader takes, and the event in it."""

    id: str
    description: str
    proves: tuple[str, ...]
    origin: str
    """Who sends it: "client" or "server"."""
    way: str
    """request, reply, fact, final, heartbeat or unknown."""
    frame: bytes
    event: Mapping[str, Any]
    """The JSON form of the event, with nothing packed in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The same case with these things changed; None leaves one as it was."""

    data: bytes | None = None
    receiver: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """The second fault of a vector: what must change for it to show, and its error."""

    change: Change
    code: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """What a reader is given, and the error that it must find."""

    id: str
    group: str
    description: str
    proves: tuple[str, ...]
    receiver: str
    """Who must find it: "codec" (every reader), "server" or "client"."""
    state: str | None
    """What the receiver is in: "new" or "member"; None: any."""
    limit: int
    """The greatest `length` that the receiver takes, in bytes."""
    data: bytes
    known_after: int
    """After this many bytes of `data` the error is due."""
    code: int
    name: str
    fatal: bool
    reply_seq: int | None
    """seq of the Error that a server answers with; None where a client finds it."""
    repair: Change | None
    """The one change that makes it acceptable; None where there is none so small."""
    hidden: Hidden | None
    """In the group `precedence`: the fault that may not be reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """Where to cut a frame so that it is incomplete: no event and no error."""

    id: str
    proves: tuple[str, ...]
    of: str
    """The id of the valid vector that is cut."""
    frame: bytes
    cuts: tuple[range, ...]

    def __iter__(self) -> Iterator[bytes]:
        """Each prefix, in order of size."""
        return (self.frame[:size] for sizes in self.cuts for size in sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """All of them, in the order of the files."""

    valid: tuple[Valid, ...]
    invalid: tuple[Invalid, ...]
    prefixes: tuple[Prefixes, ...]


def load() -> Vectors:
    """All vectors, read from the files of this package.

    >>> load().valid[0].event["event"]
    'Login'
    """
    valid = tuple(map(_valid, _read("valid.json")["vectors"]))
    frames = {vector.id: vector.frame for vector in valid}
    invalid = tuple(map(_invalid, _read("invalid.json")["vectors"]))
    cut = _read("prefixes.json")
    prefixes = tuple(_prefixes(entry, cut["proves"], frames) for entry in cut["vectors"])
    return Vectors(valid=valid, invalid=invalid, prefixes=prefixes)


def _read(name: str) -> dict[str, Any]:
    data = get_data(__name__, name)
    assert data is not None, "the file is installed beside this one"
    document: dict[str, Any] = json.loads(data)
    return document


def _unpacked(value: Any) -> Any:
    """A string from the parts that stand for it; whatever else stays as it is."""
    if not isinstance(value, list):
        return value
    return "".join(
        part if isinstance(part, str) else part["repeat"] * part["times"] for part in value
    )


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(_unpacked(value))


def _valid(entry: dict[str, Any]) -> Valid:
    return Valid(
        id=entry["id"],
        description=entry["description"],
        proves=tuple(entry["proves"]),
        origin=entry["origin"],
        way=entry["way"],
        frame=_bytes(entry["bytes"]),
        event={name: _unpacked(value) for name, value in entry["event"].items()},
    )


def _change(entry: dict[str, Any]) -> Change:
    return Change(
        data=_bytes(entry["bytes"]) if "bytes" in entry else None,
        receiver=entry.get("receiver"),
        state=entry.get("state"),
    )


def _invalid(entry: dict[str, Any]) -> Invalid:
    hidden = entry.get("hidden")
    return Invalid(
        id=entry["id"],
        group=entry["group"],
        description=entry["description"],
        proves=tuple(entry["proves"]),
        receiver=entry["receiver"],
        state=entry["state"],
        limit=entry["limit"],
        data=_bytes(entry["bytes"]),
        known_after=entry["known_after"],
        code=entry["error"]["code"],
        name=entry["error"]["name"],
        fatal=entry["fatal"],
        reply_seq=None if entry["reply_seq"] is None else int(entry["reply_seq"]),
        repair=None if entry["repair"] is None else _change(entry["repair"]),
        hidden=hidden and Hidden(change=_change(hidden), **hidden["error"]),
    )


def _prefixes(entry: dict[str, Any], proves: list[str], frames: Mapping[str, bytes]) -> Prefixes:
    return Prefixes(
        id=entry["id"],
        proves=tuple(proves),
        of=entry["of"],
        frame=frames[entry["of"]],
        cuts=tuple(range(first, last + 1) for first, last in entry["cuts"]),
    )
