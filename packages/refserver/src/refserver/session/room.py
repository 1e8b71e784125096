"""The room: one log of numbered entries, and the members, each a place in it.

Rule: the log is the only copy of what was said. History, backlog and replay are
ranges of it; bytes that several members read are made once.

Layer: above `names`, below `session`. No socket, no clock.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Generic, TypeVar

from eventcodec import ErrorCode, Joined, Left, LeftReason, encode

from . import names

__all__ = ["ENTRY_CHARGE", "SEGMENT", "Log", "LoginRefused", "Membership", "Room"]

SEGMENT = 65_536
"""Bytes that a member is given at a time: about what a socket takes at once."""

ENTRY_CHARGE = 100
"""What an entry costs beside its bytes, in bytes: its object and its places in two lists."""

KEPT_SEGMENTS = 16
"""Runs of entries that are kept joined for the next reader at the same place: 1 MiB of them."""

KEPT_TICKETS = 16_384
"""Sessions without a connection that can be resumed; the oldest is forgotten first."""

S = TypeVar("S")


class LoginRefused(Exception):
    """A Login that cannot be accepted; `code` is what to answer."""

    def __init__(self, code: ErrorCode, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason or code.meaning


class Log:
    """The last entries, numbered without a gap; the oldest go when `capacity` is passed.

    >>> log = Log(capacity=1_000)
    >>> log.append(b"first"), log.append(b"second"), log.segment(1)
    (1, 2, (b'second', 2))
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.end = 0  # position of the last entry
        self._entries: list[bytes] = []
        self._ends: list[int] = []  # bytes ever entered, up to and with each entry
        self._base = 1  # position of _entries[0]
        self._head = 0  # index of the first entry that still counts
        self._spared = sys.maxsize  # entries behind this position stay
        self._segments: dict[int, tuple[bytes, int]] = {}

    @property
    def first(self) -> int:
        """The position of the oldest entry, `end` + 1 where there is none."""
        return self._base + self._head

    @property
    def size(self) -> int:
        """Bytes charged for the entries that are kept."""
        kept = len(self._entries) - self._head
        if not kept:
            return 0
        before = self._ends[self._head] - len(self._entries[self._head])
        return self._ends[-1] - before + ENTRY_CHARGE * kept

    @property
    def total(self) -> int:
        """Bytes ever entered."""
        return self._ends[-1] if self._ends else 0

    def append(self, frame: bytes) -> int:
        """Enter one frame; gives its position."""
        self.extend([frame])
        return self.end

    def extend(self, frames: Collection[bytes]) -> None:
        """Enter frames that are numbered from `end` + 1 on."""
        totals = accumulate(map(len, frames), initial=self.total)
        next(totals)
        self._entries += frames
        self._ends += totals
        self.end += len(frames)
        self._segments.clear()
        self._trim()

    def holds(self, cursor: int) -> bool:
        """Whether everything behind `cursor` can still be read."""
        return self.first - 1 <= cursor <= self.end

    def keeps(self, cursor: int, frames: Collection[bytes]) -> bool:
        """Whether everything behind `cursor` can still be read when `frames` have been entered."""
        if not self.holds(cursor):
            return False
        if cursor == self.end:
            return True
        start = cursor + 1 - self._base
        unread = self._ends[-1] - self._ends[start] + len(self._entries[start])
        count = self.end - cursor + len(frames)
        return unread + sum(map(len, frames)) + ENTRY_CHARGE * count <= self.capacity

    def segment(self, cursor: int, stop: int | None = None) -> tuple[bytes, int]:
        """The entries behind `cursor`, as one run of bytes, and the place behind them.

        About `SEGMENT` bytes, more only where a single entry is longer, and no entry behind
        `stop`. Whoever asks from the same place gets the same object. Raises LookupError
        where the next entry is gone.
        """
        if cursor >= self.end:
            return b"", cursor
        found = self._segments.get(cursor)
        if found is None:
            if cursor + 1 < self.first:
                raise LookupError(cursor + 1)
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

    def spare(self, position: int) -> None:
        """Keep what is behind `position` whatever the capacity, until this is said anew.

        So nothing is dropped that nobody was offered, however much comes at once.
        """
        self._spared = position
        self._trim()

    def _trim(self) -> None:
        excess = self.size - self.capacity
        head, ends = self._head, self._ends
        last = min(len(self._entries) - 1, self._spared + 1 - self._base)
        if excess > 0 and head < last:
            before = ends[head] - len(self._entries[head])
            behind = range(head + 1, min(last, head + 1 + excess // ENTRY_CHARGE))
            freed = bisect_left(
                behind, excess, key=lambda at: ends[at - 1] - before + ENTRY_CHARGE * (at - head)
            )
            self._head += freed + 1
            # Their places go later, their bytes now.
            self._entries[head : self._head] = [b""] * (freed + 1)
        if self._head > 1024 and self._head * 2 > len(self._entries):
            del self._entries[: self._head]
            del self._ends[: self._head]
            self._base += self._head
            self._head = 0


@dataclass(slots=True, eq=False)
class Membership(Generic[S]):
    """One identity over one or several connections, named by a ticket.

    `since` is the place of its first Welcome: the ticket reads nothing before. `session`
    is the connection that it has now, if it has one.
    """

    user: str
    ticket: int
    since: int
    session: S | None


class Room(Generic[S]):
    """The log and who is in it. S is the kind of thing that a member is: a session.

    With `presence` who comes and goes is entered into the log. `tickets` makes the random
    numbers that name sessions.
    """

    def __init__(
        self,
        *,
        capacity: int,
        presence: bool,
        tickets: Callable[[], int] = lambda: secrets.randbits(64),
    ) -> None:
        self.log = Log(capacity)
        self.presence = presence
        self.members: dict[str, Membership[S]] = {}
        self._tickets = tickets
        self._by_digest: OrderedDict[bytes, Membership[S]] = OrderedDict()
        self._guests = count(1)

    def enter(self, session: S, user: str, *, bound: bool = False) -> tuple[Membership[S], int]:
        """Let a fresh member in; gives its membership and its place in the log.

        An empty `user` gets a free name. `bound` says that a credential proves the name, which
        then may be any. Raises LoginRefused, BAD_USER or USER_TAKEN.
        """
        if names.is_kept(user) and not bound:
            raise LoginRefused(ErrorCode.BAD_USER, "the server keeps this name for its own use")
        user = user or names.assigned(self._guests, self.members)
        if names.key_of(user) in self.members:
            raise LoginRefused(ErrorCode.USER_TAKEN)
        ticket = self._tickets() or 1
        member = Membership(user, ticket, self.log.end, session)
        self._admit(member, session)
        member.since = self.log.end
        return member, self.log.end

    def find(self, user: str, ticket: int, position: int) -> Membership[S]:
        """The membership that a ticket names, if it may be resumed behind `position`.

        Raises LoginRefused, HISTORY_GONE, for every reason alike, or USER_TAKEN.
        """
        member = self._by_digest.get(_digest(ticket))
        if member is None or (user and user != member.user):
            raise LoginRefused(ErrorCode.HISTORY_GONE)
        if position < member.since or not self.log.keeps(position, self._made_by(member)):
            raise LoginRefused(ErrorCode.HISTORY_GONE)
        holder = self.members.get(names.key_of(member.user))
        if holder is not None and holder is not member:
            raise LoginRefused(ErrorCode.USER_TAKEN)
        return member

    def _made_by(self, member: Membership[S]) -> list[bytes]:
        """The entries that a resume of this membership makes. EP-6.4-19."""
        if not self.presence:
            return []
        joined = encode(Joined(user=member.user, seq=1))
        left = encode(Left(user=member.user, reason=LeftReason.LOST, seq=1))
        return [joined] if member.session is None else [left, joined]

    def resume(self, member: Membership[S], session: S) -> None:
        """Let a member in again, whose older connection has left."""
        self._admit(member, session)

    def leave(self, member: Membership[S], reason: LeftReason) -> int:
        """The member leaves, its name is free; gives the position of its `Left`, or 0."""
        del self.members[names.key_of(member.user)]
        member.session = None
        self._by_digest.move_to_end(_digest(member.ticket))
        self._forget()
        if not self.presence:
            return 0
        return self.log.append(encode(Left(user=member.user, reason=reason, seq=self.log.end + 1)))

    def shut(self) -> None:
        """The server stops: whoever leaves from now on leaves no trace in the log. EP-5.4-6."""
        self.presence = False

    def _admit(self, member: Membership[S], session: S) -> None:
        member.session = session
        self.members[names.key_of(member.user)] = member
        self._by_digest[_digest(member.ticket)] = member
        if self.presence:
            self.log.append(encode(Joined(user=member.user, seq=self.log.end + 1)))

    def _forget(self) -> None:
        """Keep the tickets of members, and of those who left the last ones."""
        while len(self._by_digest) > len(self.members) + KEPT_TICKETS:
            digest = next(d for d, m in self._by_digest.items() if m.session is None)
            del self._by_digest[digest]


def _digest(ticket: int) -> bytes:
    """Tickets are looked up by digest, so that the time of it says nothing about them."""
    return hashlib.sha256(ticket.to_bytes(8, "big")).digest()
