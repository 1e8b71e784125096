"""Recordings: items of conversations as lines of JSON, and back.

Rule: what is written can be read by anybody who has docs/watching.md. Secrets are masked unless
it is asked otherwise, and a file that has them is its owner's alone.

Layer: above `conversation` and `masking`, below the commands.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import IO, Any

from .conversation import Bytes, CutShort, Did, Ended, How, Item, Missing, Opened, Side
from .masking import Masker, Pseudonyms

__all__ = [
    "FORMAT",
    "Mask",
    "Recorder",
    "RecordingError",
    "created",
    "new_mask",
    "read_recording",
    "written",
]

FORMAT = "event-protocol-recording/1"
LONGEST_LINE = 64 << 20


class RecordingError(ValueError):
    """A file that is no recording; the message says which line, and why."""


class Mask:
    """Masks the items of a recording; with `contents` what is said is hidden too."""

    def __init__(self, key: bytes, *, contents: bool = False) -> None:
        self._pseudonyms = Pseudonyms(key)
        self._contents = contents
        self._maskers: dict[tuple[int, Side], Masker] = {}

    def __call__(self, item: Item) -> list[Item]:
        """The item without what is secret in it; hidden bytes are missing."""
        if isinstance(item, Opened):
            for side in Side:
                masker = Masker(self._pseudonyms, contents=self._contents)
                masker.blind = not item.whole
                self._maskers[item.connection, side] = masker
        elif isinstance(item, Missing):
            if (known := self._maskers.get((item.connection, item.side))) is not None:
                known.blind = True
        elif isinstance(item, Bytes):
            at, connection, side = item.at, item.connection, item.side
            # Bytes behind an end, or in front of a beginning: nobody knows what is secret in them.
            known = self._maskers.get((connection, side))
            shown = known.mask(item.data) if known else b""
            hidden = len(item.data) - len(shown)
            items: list[Item] = [Bytes(at, connection, side, shown)] if shown else []
            return [*items, Missing(at, connection, side, hidden)] if hidden else items
        elif isinstance(item, Ended):
            self._maskers.pop((item.connection, item.side), None)
        return [item]


class Recorder:
    """Writes a recording to `file` as it comes. `started` is the moment of its time 0.

    Whether what it is given is `masked` stands in the first line.
    """

    def __init__(self, file: IO[bytes], started: datetime, *, masked: bool) -> None:
        self._file = file
        moment = started.astimezone(UTC).isoformat(timespec="milliseconds")
        self._line({"format": FORMAT, "started": moment, "masked": masked})

    def take(self, item: Item) -> None:
        """Write an item."""
        self._line(written(item))

    def _line(self, said: dict[str, Any]) -> None:
        line = json.dumps(said, ensure_ascii=True, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")


def created(path: Path) -> IO[bytes]:
    """A new file that only its owner can read, in place of one that was there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    return open(descriptor, "wb")


def new_mask(*, contents: bool = False) -> Mask:
    """A mask whose pseudonyms nobody can undo."""
    return Mask(secrets.token_bytes(32), contents=contents)


def written(item: Item) -> dict[str, Any]:
    """An item as it stands in a line."""
    said: dict[str, Any] = {"at": round(item.at, 6), "connection": item.connection}
    if isinstance(item, Opened):
        said |= {"opened": {"client": item.client, "server": item.server, "whole": item.whole}}
        if item.secure is not None:
            said["opened"]["secure"] = item.secure
        if item.only is not None:
            said["opened"]["only"] = str(item.only)
        return said
    said["side"] = str(item.side)
    if isinstance(item, Bytes):
        said["data"] = item.data.hex()
    elif isinstance(item, Missing):
        said["missing"] = item.size
    elif isinstance(item, Ended):
        said["ended"] = str(item.how)
    else:
        said["did"] = item.what
    return said


def read_recording(file: IO[str]) -> Iterator[Item]:
    """The items of a recording. Raises RecordingError for what is none, CutShort at the end."""
    head = _parsed(file.readline(LONGEST_LINE), 1)
    if head.get("format") != FORMAT:
        raise RecordingError(f"line 1: not a recording: its format is not {FORMAT}")
    number = 1
    while line := file.readline(LONGEST_LINE):
        number += 1
        if line.isspace():
            continue
        said = _parsed(line, number)
        try:
            yield item_of(said)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise RecordingError(f"line {number}: {_reason(error)}") from None


def _parsed(line: str, number: int) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        if number > 1 and not line.endswith("\n"):
            raise CutShort from None
        wanted = "" if number > 1 else "neither a capture nor a recording: "
        raise RecordingError(f"line {number}: {wanted}not JSON") from None
    if not isinstance(said, dict):
        raise RecordingError(f"line {number}: not an object")
    return said


def _reason(error: Exception) -> str:
    return f"lacks {error}" if isinstance(error, KeyError) else "a value is wrong"


def item_of(said: dict[str, Any]) -> Item:
    """The item that a line says. What says none raises an error of Python's."""
    at, connection = float(said["at"]), int(said["connection"])
    if not isfinite(at):
        raise ValueError("no moment")
    if "opened" in said:
        opened = said["opened"]
        only = opened.get("only")
        return Opened(
            at,
            connection,
            str(opened.get("client", "")),
            str(opened.get("server", "")),
            bool(opened.get("whole", True)),
            opened.get("secure"),
            None if only is None else Side(only),
        )
    side = Side(said["side"])
    if "data" in said:
        return Bytes(at, connection, side, bytes.fromhex(said["data"]))
    if "missing" in said:
        size = said["missing"]
        return Missing(at, connection, side, None if size is None else int(size))
    if "ended" in said:
        return Ended(at, connection, side, How(said["ended"]))
    return Did(at, connection, side, str(said["did"]))
