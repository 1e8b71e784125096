"""The bytes for one client, in order.

Rule: each reply has its position in the log.

So a client is sent the log from its position on, with Acks in place of its own entries, and its
other replies where they were made. `next_chunk` does ordering, replay and drain; `fan_out` may move
`cursor` only while `follows` is true.

Layer: above `log`, below `session`. No socket, no clock.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from .log import SEGMENT, Log

__all__ = ["REPLY_CHARGE", "EntriesGone", "Outbox", "Reply"]

REPLY_CHARGE = 150
"""The memory of a reply in addition to its bytes, in bytes. A Pong has 16 bytes."""


class EntriesGone(Exception):
    """The log has dropped the next entry for the client. No byte can follow."""


class Reply(NamedTuple):
    """A reply for this client only: `data` replaces the entries `start` + 1 to `stop`."""

    start: int
    stop: int
    data: bytes


class Outbox:
    """The waiting replies of one client, and its position in the log.

    >>> log = Log(capacity=1_000)
    >>> outbox = Outbox(log)
    >>> outbox.add_preamble(b"welcome "); outbox.follow_log(0)
    >>> log.append(b"fact "); outbox.add(Reply(1, 1, b"pong"))
    1
    >>> outbox.next_chunk()
    b'welcome fact pong'
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self._rest: memoryview | None = None  # of a piece that was written in part
        self.preamble: list[bytes] = []  # replies from before the client had a position in the log
        self.replies: deque[Reply] = deque()
        self._start = 0  # its first position, and the number of entries that it was not sent
        self.cursor = 0  # its position in the log: the last entry that was sent
        self.in_log = False  # whether it has a position in the log
        self.follows = False  # only entries are due, no reply
        self.closed = False  # the last frame was added
        self.unread = 0  # bytes charged for the replies that wait

    # ------------------------------------------------------------- what is due

    def add_preamble(self, data: bytes) -> None:
        """Add a reply from before the client had a position in the log. It is sent before every
        entry."""
        self.preamble.append(data)
        self.follows = False
        self.unread += len(data)

    def add(self, reply: Reply) -> None:
        """Add a reply with its position in the log."""
        self.replies.append(reply)
        self.follows = False
        self.unread += len(reply.data) + REPLY_CHARGE

    def add_here(self, data: bytes) -> None:
        """Add a reply without an entry. It comes after all entries that are in the log now."""
        if self.in_log:
            self.add(Reply(self.log.end, self.log.end, data))
        else:
            self.add_preamble(data)

    def follow_log(self, cursor: int) -> None:
        """The client reads the log after `cursor` from now on."""
        self.in_log = True
        self.cursor = self._start = cursor

    def close(self) -> None:
        """The reply that was added last is the last frame."""
        self.closed = True
        self.follows = False

    def leave_log(self) -> None:
        """Drop all due bytes except the rest of a piece that was begun. No more entries are
        sent."""
        self.in_log = False
        self._start += self.log.end - self.cursor
        self.unread -= sum(len(reply.data) + REPLY_CHARGE for reply in self.replies)
        self.unread -= sum(map(len, self.preamble))
        self.replies.clear()
        self.preamble.clear()
        self.cursor = self.log.end

    def clear(self) -> None:
        """Drop everything: the client is gone."""
        self.replies.clear()
        self.preamble.clear()
        self._rest = None

    # ------------------------------------------------------------- what is sent

    def next_chunk(self) -> bytes | memoryview:
        """The next bytes to write, at most `SEGMENT`; empty if nothing is due.

        If `follows` is true, the caller may send the segment of the log after `cursor` instead, and
        set `cursor` to its end. This is the fast path of a fan-out. Raises EntriesGone.
        """
        if self.follows:
            return self._cut(self.read_log())
        pieces: list[bytes | memoryview] = []
        size = 0
        while size < SEGMENT:
            try:
                piece = self._next_piece()
            except EntriesGone:
                if not pieces:
                    raise
                break  # the bytes before the gap are sent first
            if not piece and not self.replies:
                break
            if pieces and len(piece) > SEGMENT:  # joining it would copy it for each member
                self._rest = memoryview(piece)
                break
            pieces.append(piece)
            size += len(piece)
            if self.cursor == self.log.end and not self.replies:
                break
        private = self.replies or self.preamble or self.closed or not self.in_log
        self.follows = not private and self._rest is None
        return self._cut(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _next_piece(self) -> bytes | memoryview:
        """The rest of the last piece, the preamble, the log, or a reply."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return rest
        if self.preamble:
            first = b"".join(self.preamble)
            self.preamble.clear()
            self.unread -= len(first)
            return first
        if not self.replies:
            return self.read_log()
        reply = self.replies[0]
        if self.cursor < reply.start:
            return self.read_log(reply.start)
        self.replies.popleft()
        self.cursor = reply.stop
        self.unread -= len(reply.data) + REPLY_CHARGE
        return reply.data

    def read_log(self, stop: int | None = None) -> bytes:
        """The next segment of the log, up to `stop`. Advances the cursor. Raises EntriesGone."""
        if not self.in_log or (self.closed and stop is None):
            return b""
        try:
            data, self.cursor = self.log.segment(self.cursor, stop)
        except LookupError:
            raise EntriesGone from None
        return data

    def _cut(self, data: bytes | memoryview) -> bytes | memoryview:
        """Cut a piece to a segment. The rest is kept and sent before everything else."""
        if len(data) <= SEGMENT:
            return data
        whole = memoryview(data)
        self._rest = whole[SEGMENT:]
        self.follows = False
        return whole[:SEGMENT]

    # ------------------------------------------------------------- how far it is

    @property
    def finished(self) -> bool:
        """Whether the last byte was handed out."""
        return self.closed and not self.replies and not self.preamble and self._rest is None

    @property
    def sent_entries(self) -> int:
        """Entries that were sent to this client, as facts or as Acks."""
        return self.cursor - self._start

    @property
    def backlog(self) -> int:
        """Entries that are still to be sent."""
        if not self.in_log:
            return 0
        last = self.replies[-1].stop if self.replies else self.cursor
        return (last if self.closed else self.log.end) - self.cursor

    @property
    def is_behind(self) -> bool:
        """Whether the log has dropped the next entry for this client."""
        return self.in_log and not self.closed and not self.log.holds(self.cursor)
