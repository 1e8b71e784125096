"""The tickets of sessions, for clients that resume.

Rule: each owner has its own limit.

Above it, the oldest ticket of this owner is forgotten. So a user that logs in often does not make
the resume of another user fail.

Layer: the bottom layer of `session`. No socket, no clock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["KEPT", "KEPT_BY_GUESTS", "KEPT_BY_USER", "Tickets"]

KEPT = 16_384
"""The most sessions without a connection that can be resumed. Above it, the oldest is forgotten."""
KEPT_BY_USER = 64
"""The most of them for one user."""
KEPT_BY_GUESTS = 8_192
"""The most of them for all names that the server chose; these are one owner."""

M = TypeVar("M")


class Tickets(Generic[M]):
    """Memberships by ticket. Memberships with a connection are always kept, others within the
    limits.

    >>> tickets = Tickets[str](kept=3)
    >>> for ticket in range(1, 5):
    ...     tickets.use(ticket, f"session {ticket}")
    ...     tickets.release(ticket, "ann" if ticket < 4 else "bob", most=2)
    >>> [tickets.find(ticket) for ticket in range(1, 5)]
    [None, 'session 2', 'session 3', 'session 4']
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._in_use: dict[bytes, M] = {}
        self._released: OrderedDict[bytes, tuple[M, str]] = OrderedDict()  # with its owner
        self._by_owner: dict[str, OrderedDict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._in_use) + len(self._released)

    def find(self, ticket: int) -> M | None:
        """The membership of this ticket, or None.

        Tickets are looked up by digest, so that the time of the search reveals nothing about them.
        """
        key = digest(ticket)
        if key in self._in_use:
            return self._in_use[key]
        found = self._released.get(key)
        return None if found is None else found[0]

    def use(self, ticket: int, member: M) -> None:
        """The session of this ticket has a connection from now on."""
        key = digest(ticket)
        if key in self._released:
            self._forget(key)
        self._in_use[key] = member

    def release(self, ticket: int, owner: str, most: int) -> None:
        """The session has no connection from now on. `owner` keeps at most `most` such tickets."""
        key = digest(ticket)
        self._released[key] = self._in_use.pop(key), owner
        own = self._by_owner.setdefault(owner, OrderedDict())
        own[key] = None
        if len(own) > most:
            self._forget(next(iter(own)))
        if len(self._released) > self._kept:
            self._forget(next(iter(self._released)))

    def _forget(self, key: bytes) -> None:
        _, owner = self._released.pop(key)
        own = self._by_owner[owner]
        del own[key]
        if not own:
            del self._by_owner[owner]


def digest(ticket: int) -> bytes:
    """The key for the search."""
    return hashlib.sha256(ticket.to_bytes(8, "big")).digest()
