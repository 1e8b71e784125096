"""What the live page shows: what passed lately, and what was found.

Rule: it holds a bounded part of what passed, and says how much it left out. Secrets are hidden
when a frame comes in, and nothing that comes out of it has them.

Layer: above `timeline` and `judgement`, below `live`. It does no I/O and has no clock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from eventcodec.dissect import dissect

from ..characters import escape
from ..conformance.statements import VISIBLE, statements, visibility
from .causes import usual_cause
from .conversation import Bytes, Did, Ended, Item, Missing, Opened, Side
from .coverage import coverage
from .cutting import Frame
from .findings import Finding, Notes
from .masking import Masker, Pseudonyms
from .reading import summary
from .timeline import unseen

__all__ = ["Board", "Wanted", "catalogue"]

KEPT_ROWS = 20_000
"""Rows that are kept; older ones are dropped."""
KEPT_BYTES = 32 << 20
KEPT_FRAME = 1 << 16
"""Bytes of one frame that are kept."""
KEPT_CONNECTIONS = 4_000
MOST_A_SECOND = 20_000
"""Frames in one second that are kept; of more, only their number."""
ANSWERED = 200
"""Rows in one answer."""
SHOWN_ROWS = 1_000
"""Rows of the last answers that can still be opened, however many have come since. The page shows
half as many."""
SHOWN_CONNECTIONS = 300
SHOWN_FINDINGS = 200
DISSECTED = 1_024
"""Bytes of a frame whose fields are shown."""
SECRET = (0x01, 0x08)
"""Types with a credential or a ticket: Login and Welcome."""
SAID = 0x02


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants to see."""

    after: int = 0
    """The rows behind this one."""
    connection: int = 0
    """Of this connection; 0: of all."""
    side: Side | None = None
    text: str = ""
    """With this in their line, in upper or lower case."""
    findings: bool = False
    """Only those that a finding is about."""


@dataclass(slots=True)
class _Row:
    """One line of the timeline."""

    id: int
    at: float
    connection: int
    side: Side | None
    kind: str
    """frame, begin, end, gap or did."""
    text: str = ""
    number: int = 0
    offset: int = 0
    size: int = 0
    data: bytes = b""
    item: Item | None = None

    def line(self) -> str:
        """Its text, made when somebody asks for it."""
        if not self.text:
            frame = Frame(self.number, self.offset, self.at, self.size - 4, self.data)
            self.text = escape(summary(frame))
        return self.text


@dataclass(slots=True)
class _Connection:
    opened: Opened
    frames: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    bytes: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    ended: dict[Side, str] = field(default_factory=dict)
    findings: int = 0


class Board:
    """Takes what passes in one thread, and answers in others.

    `lock` is to be held while something is taken, by the judge too. With `contents` what is said
    is shown, with `secrets` everything is.

    It has more than fifteen attributes: what the page shows is kept here, with its limits.
    """

    def __init__(
        self, notes: Notes, key: bytes, *, contents: bool = True, secrets: bool = False
    ) -> None:
        self.lock = threading.Lock()
        self._notes = notes
        self._contents = contents
        self._secrets = secrets
        self._pseudonyms = Pseudonyms(key)
        self._rows: deque[_Row] = deque()
        self._shown: deque[_Row] = deque(maxlen=SHOWN_ROWS)
        self._bytes = 0
        self._last = 0
        self._connections: dict[int, _Connection] = {}
        self._opened = 0
        self._open = 0
        self._frames = self._passed = self._missing = 0
        self._unseen = 0
        self._second, self._in_second = -1, 0
        self._bad: set[tuple[int, Side, int]] = set()
        self._findings: list[Finding] = []

    # ------------------------------------------------------------- what comes in

    def take(self, item: Item) -> None:
        """Something has passed; frames are told by `frame`."""
        if isinstance(item, Opened):
            self._open_one(item)
            return
        connection = self._connections.get(item.connection)
        if isinstance(item, Bytes):
            self._passed += len(item.data)
            if connection is not None:
                connection.bytes[item.side] += len(item.data)
            return
        if isinstance(item, Missing):
            self._missing += item.size or 0
            self._add(item, "gap", unseen(item))
        elif isinstance(item, Did):
            self._add(item, "did", f"the proxy {item.what}")
        else:
            self._end(item, connection)

    def _open_one(self, item: Opened) -> None:
        self._opened += 1
        self._open += 1
        self._connections[item.connection] = _Connection(item)
        if len(self._connections) > KEPT_CONNECTIONS:
            ended = (n for n, each in self._connections.items() if len(each.ended) == 2)
            del self._connections[next(ended, next(iter(self._connections)))]
        begins = "opened" if item.whole else "seen from its middle on"
        only = "" if item.only is None else f", its leg with the {item.only}"
        self._add(item, "begin", f"{begins}: {item.client or '?'} to {item.server or '?'}{only}")

    def _end(self, item: Ended, connection: _Connection | None) -> None:
        self._add(item, "end", f"end of the {item.side}'s stream: {item.how}")
        if connection is not None and item.side not in connection.ended:
            connection.ended[item.side] = str(item.how)
            self._open -= len(connection.ended) == 2

    def _add(self, item: Item, kind: str, text: str) -> None:
        side = None if isinstance(item, Opened) else item.side
        self._last += 1
        row = _Row(self._last, item.at, item.connection, side, kind, escape(text), item=item)
        self._keep(row)

    def frame(self, connection: int, side: Side, frame: Frame) -> None:
        """A frame has become whole, or can be none."""
        self._frames += 1
        about = self._connections.get(connection)
        if about is not None:
            about.frames[side] += 1
        second = int(frame.at)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > MOST_A_SECOND:
            self._unseen += 1
            return
        self._last += 1
        data = frame.data[:KEPT_FRAME]
        said = frame.type == SAID or frame.type >= 0x80
        if not self._secrets and (frame.type in SECRET or (said and not self._contents)):
            data = Masker(self._pseudonyms, contents=not self._contents).mask(data)
        size = frame.length + 4 if frame.length >= 0 else len(frame.data)
        row = _Row(
            self._last, frame.at, connection, side, "frame", "", frame.number, frame.offset, size
        )
        row.data = data
        self._keep(row)

    def _keep(self, row: _Row) -> None:
        self._rows.append(row)
        self._bytes += len(row.data)
        while len(self._rows) > KEPT_ROWS or self._bytes > KEPT_BYTES:
            self._bytes -= len(self._rows.popleft().data)

    def found(self, finding: Finding) -> None:
        """The judge has found something."""
        self._findings.append(finding)
        self._bad.add((finding.connection, finding.side, finding.frame))
        about = self._connections.get(finding.connection)
        if about is not None:
            about.findings += 1

    # ------------------------------------------------------------- what is asked

    def changes(self, wanted: Wanted, found: int = 0) -> dict[str, Any]:
        """What is new for a reader who has the rows up to `wanted.after`, and `found` findings."""
        with self.lock:
            rows = self._behind(wanted.after)
            last, unseen = self._last, self._unseen
            findings = self._findings[found:][:SHOWN_FINDINGS]
            connections = list(self._connections.values())
            told = {
                "frames": self._frames,
                "bytes": self._passed,
                "missing": self._missing,
                "opened": self._opened,
                "open": self._open,
                "findings": len(self._findings),
                "more": sum(self._notes.more.values()),
            }
            exercised = {number: count for number, count in coverage(self._notes).items() if count}
            shown = [self._about(each) for each in self._chosen(connections, wanted)]
        matching = [row for row in rows if self._matches(row, wanted)]
        with self.lock:
            self._shown.extend(matching[-ANSWERED:])
        return {
            "last": last,
            "unseen": unseen,
            "rows": [self._row(row) for row in matching[-ANSWERED:]],
            "left_out": max(0, len(matching) - ANSWERED),
            "findings": [self._finding(each, found + n) for n, each in enumerate(findings)],
            "connections": shown,
            "coverage": exercised,
            "totals": told,
        }

    def _behind(self, after: int) -> list[_Row]:
        """The rows with a greater id, in their order."""
        rows: list[_Row] = []
        for row in reversed(self._rows):
            if row.id <= after:
                break
            rows.append(row)
        rows.reverse()
        return rows

    def _chosen(self, connections: list[_Connection], wanted: Wanted) -> list[_Connection]:
        if wanted.connection:
            some = [each for each in connections if each.opened.connection == wanted.connection]
        else:
            # What is open or wrong first, and the latest of each.
            some = sorted(
                connections,
                key=lambda each: (
                    each.findings > 0,
                    len(each.ended) < 2,
                    each.opened.connection,
                ),
                reverse=True,
            )
        return some[:SHOWN_CONNECTIONS]

    def _about(self, each: _Connection) -> dict[str, Any]:
        opened = each.opened
        return {
            "number": opened.connection,
            "client": escape(opened.client),
            "at": opened.at,
            "leg": None if opened.only is None else str(opened.only),
            "frames": sum(each.frames.values()),
            "bytes": sum(each.bytes.values()),
            "ended": len(each.ended) == 2,
            "findings": each.findings,
        }

    def _matches(self, row: _Row, wanted: Wanted) -> bool:
        if wanted.connection not in (0, row.connection):
            return False
        if wanted.side is not None and row.side is not wanted.side:
            return False
        if wanted.findings and not self._is_bad(row):
            return False
        return not wanted.text or wanted.text.lower() in row.line().lower()

    def _is_bad(self, row: _Row) -> bool:
        return (
            row.side is not None
            and row.number > 0
            and (row.connection, row.side, row.number) in self._bad
        )

    def _row(self, row: _Row) -> dict[str, Any]:
        return {
            "id": row.id,
            "at": round(row.at, 3),
            "connection": row.connection,
            "side": None if row.side is None else str(row.side),
            "kind": row.kind,
            "frame": row.number,
            "text": row.line(),
            "bad": self._is_bad(row),
        }

    def _finding(self, finding: Finding, number: int) -> dict[str, Any]:
        return {
            "number": number,
            "statement": finding.statement,
            "requirement": statements()[finding.statement],
            "side": str(finding.side),
            "connection": finding.connection,
            "frame": finding.frame,
            "offset": finding.offset,
            "at": round(finding.at, 3),
            "required": escape(finding.required),
            "came": escape(finding.came),
            "cause": usual_cause(finding.statement, finding.side),
        }

    def _known(self) -> Iterator[_Row]:
        """What can be opened: what is kept, the latest first, and what was shown."""
        yield from reversed(self._rows)
        yield from self._shown

    def dissected(self, id: int) -> dict[str, Any] | None:
        """A frame field by field; None where it is no frame, or was dropped."""
        with self.lock:
            row = next((row for row in self._known() if row.id == id), None)
            findings = list(self._findings)
        if row is None or row.kind != "frame":
            return None
        shown = row.data[:DISSECTED]
        seen = dissect(shown, max_frame=max(4096, min(row.size, 2**32 - 1)), secrets=self._secrets)
        frame = seen.frames[0]
        whole = len(row.data) == row.size <= DISSECTED
        about = (row.connection, row.side, row.number)
        return {
            "id": row.id,
            "name": frame.name,
            "connection": row.connection,
            "side": str(row.side),
            "number": row.number,
            "offset": row.offset,
            "size": row.size,
            "at": round(row.at, 6),
            "fields": [
                {
                    "offset": each.offset,
                    "size": each.size,
                    "bytes": None if each.data is None else each.data.hex(),
                    "name": each.name,
                    "value": escape(each.value),
                    "meaning": escape(each.meaning),
                    "faulty": each.faulty and whole,
                }
                for each in frame.rows
            ],
            "error": None if seen.error is None or not whole else escape(str(seen.error)),
            "hint": escape(seen.hint) if seen.hint and whole else None,
            "not_shown": max(0, row.size - len(shown)),
            "findings": [
                self._finding(each, n)
                for n, each in enumerate(findings)
                if (each.connection, each.side, each.frame) == about
            ],
        }

    def row_of(self, connection: int, side: Side, frame: int) -> int | None:
        """The id of a frame's row; None where it is not kept."""
        with self.lock:
            return next(
                (
                    row.id
                    for row in self._known()
                    if (row.connection, row.side, row.number) == (connection, side, frame)
                    and row.kind == "frame"
                ),
                None,
            )

    def items(self) -> Iterator[Item]:
        """What is kept, as a recording has it: what is not kept is missing."""
        with self.lock:
            rows = list(self._rows)
            known = {number: each.opened for number, each in self._connections.items()}
        begun: set[int] = set()
        at: dict[tuple[int, Side], int] = {}  # where what was given of a stream ends
        for row in rows:
            number = row.connection
            if number not in begun:
                begun.add(number)
                opened = known.get(number, Opened(row.at, number))
                if row.item is not opened:
                    opened = replace(opened, at=row.at, whole=False)
                if opened.whole:
                    at |= {(number, side): 0 for side in Side}
                yield opened
            if row.item is None:
                assert row.side is not None, "it is a frame"
                key = number, row.side
                if (lacking := row.offset - at.get(key, row.offset)) > 0:
                    yield Missing(row.at, number, row.side, lacking)
                yield Bytes(row.at, number, row.side, row.data)
                if row.size > len(row.data):
                    yield Missing(row.at, number, row.side, row.size - len(row.data))
                at[key] = row.offset + row.size
            elif not isinstance(row.item, Opened | Missing):
                yield row.item


def catalogue() -> dict[str, dict[str, str]]:
    """Every statement: its text, and where a breach of it can be seen."""
    where = visibility()
    return {
        number: {"text": text, "visible": where[number], "where": VISIBLE[where[number]]}
        for number, text in statements().items()
    }
