"""The log: the last of the numbered entries.

Rule: the log is the only copy of the entries.

Layer: the bottom layer of `session`. No socket, no clock.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Collection
from itertools import accumulate

__all__ = ["ENTRY_CHARGE", "SEGMENT", "Log"]

SEGMENT = 98_304
"""The bytes for a member at a time: about as much as a socket takes at once. A batch of 64 KiB
(`server.batching`) fits with what came beyond it: a short rest would be a second write."""

ENTRY_CHARGE = 100
"""The memory of an entry in addition to its bytes, in bytes: its object and its items in two
lists."""

KEPT_SEGMENTS = 16
"""The most runs of entries that are kept joined for the next reader at the same position, of 96 KiB
each."""


class Log:
    """The last entries, numbered without a gap. Above `capacity`, the oldest are dropped.

    History, backlog and replay are ranges of it. Bytes for several members are joined once.

    >>> log = Log(capacity=1_000)
    >>> log.append(b"first"), log.append(b"second"), log.segment(1)
    (1, 2, (b'second', 2))
    """

    def __init__(self, capacity: int, end: int = 0) -> None:
        self.capacity = capacity
        self.end = end  # position of the last entry
        self.first = end + 1
        """The position of the oldest entry; `end` + 1 if there is none."""
        self.total = 0
        """Bytes ever entered."""
        self.size = 0
        """Bytes charged for the entries that are kept."""
        self._entries: list[bytes] = []
        self._ends: list[int] = []  # bytes ever entered, up to and with each entry
        self._base = end + 1  # position of _entries[0]
        self._head = 0  # index of the first entry that still counts
        self._retained = sys.maxsize  # entries after this position stay
        self._wanted = 0  # entries before this position go
        self._segments: dict[int, tuple[bytes, int]] = {}

    def append(self, frame: bytes) -> int:
        """Enter one frame; returns its position."""
        self.extend([frame])
        return self.end

    def extend(self, frames: Collection[bytes]) -> None:
        """Enter frames that are numbered from `end` + 1 on."""
        if not frames:
            return
        totals = accumulate(map(len, frames), initial=self.total)
        before = next(totals)
        self._entries += frames
        self._ends += totals
        self.total = self._ends[-1]
        self.size += self.total - before + ENTRY_CHARGE * len(frames)
        if self._segments:  # those at the old end of the log are not whole segments any more
            end, kept = self.end, self._segments.items()
            self._segments = {cursor: run for cursor, run in kept if run[1] != end}
        self.end += len(frames)
        self._trim()

    def holds(self, cursor: int) -> bool:
        """Whether all entries after `cursor` can still be read."""
        return self.first - 1 <= cursor <= self.end

    def bytes_after(self, cursor: int) -> int:
        """The bytes of the entries after `cursor` that the log holds."""
        start = max(cursor + 1 - self._base, self._head)
        if start >= len(self._entries):
            return 0
        return self._ends[-1] - self._ends[start] + len(self._entries[start])

    def keeps(self, cursor: int, frames: Collection[bytes]) -> bool:
        """Whether all entries after `cursor` can still be read after `frames` are entered."""
        if not self.holds(cursor):
            return False
        if cursor == self.end:
            return True
        count = self.end - cursor + len(frames)
        size = self.bytes_after(cursor) + sum(map(len, frames))
        return size + ENTRY_CHARGE * count <= self.capacity

    def segment(self, cursor: int, stop: int | None = None) -> tuple[bytes, int]:
        """The entries after `cursor` as one run of bytes, and the position of the last one.

        It has about `SEGMENT` bytes, or more if a single entry is longer, and no entry after
        `stop`. Two calls for the same position return the same object. Raises LookupError if the
        next entry is gone.
        """
        if cursor >= self.end:
            return b"", cursor
        if cursor + 1 < self.first:
            raise LookupError(cursor + 1)
        found = self._segments.get(cursor)
        if found is None:
            found = self._join(cursor, self.end)
            if len(self._segments) >= KEPT_SEGMENTS:
                self._segments.clear()
            self._segments[cursor] = found
        if stop is not None and found[1] > stop:
            return self._join(cursor, stop)
        return found

    def _join(self, cursor: int, stop: int) -> tuple[bytes, int]:
        start = cursor + 1 - self._base
        before = self._ends[start] - len(self._entries[start])
        fits = bisect_right(self._ends, before + SEGMENT, start, stop + 1 - self._base)
        behind = max(fits, start + 1)
        return b"".join(self._entries[start:behind]), self._base + behind - 1

    def retain_after(self, position: int) -> None:
        """Keep the entries after `position`, also above the capacity, until the next call. So no
        entry is dropped before every member was offered it, even if many arrive at once.
        """
        self._retained = position
        self._trim()

    def drop_before(self, position: int) -> None:
        """Drop what is older, whatever the capacity; what is to be retained goes later."""
        self._wanted = position
        self._trim()

    def _trim(self) -> None:
        excess = self.size - self.capacity
        head, ends = self._head, self._ends
        if excess <= 0 and self._wanted <= self.first:
            return
        last = min(len(self._entries) - 1, self._retained + 1 - self._base)
        keep = min(last, self._wanted - self._base)
        if excess > 0 and head < last:
            before = ends[head] - len(self._entries[head])
            behind = range(head + 1, min(last, head + 1 + excess // ENTRY_CHARGE))
            freed = bisect_left(
                behind, excess, key=lambda at: ends[at - 1] - before + ENTRY_CHARGE * (at - head)
            )
            keep = max(keep, head + freed + 1)
        if keep > head:
            # Their places go later, their bytes now.
            dropped = ends[keep - 1] - ends[head] + len(self._entries[head])
            self.size -= dropped + ENTRY_CHARGE * (keep - head)
            self._entries[head:keep] = [b""] * (keep - head)
            self.first += keep - head
            self._head = keep
        if self._head > 1024 and self._head * 2 > len(self._entries):
            del self._entries[: self._head]
            del self._ends[: self._head]
            self._base += self._head
            self._head = 0
