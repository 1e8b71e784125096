"""The room: one log of numbered entries, and the members with their positions in it.

Rule: only this module decides who is in the room.

That includes the name and the ticket of each member.

Layer: above `log`, `tickets` and `names`, below `session`. No socket, no clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from eventcodec import ErrorCode, Joined, Left, LeftReason, encode

from . import names
from .log import Log
from .tickets import KEPT_BY_GUESTS, KEPT_BY_USER, Tickets

__all__ = ["LoginRefused", "Membership", "Room", "refuse_kept"]

S = TypeVar("S")


class LoginRefused(Exception):
    """A Login that cannot be accepted. `code` is the code for the reply."""

    def __init__(self, code: ErrorCode, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason or code.meaning


def refuse_kept(user: str, *, bound: bool) -> None:
    """Raise LoginRefused, BAD_USER, for a name of the server's own that no credential proves."""
    if names.is_kept(user) and not bound:
        raise LoginRefused(ErrorCode.BAD_USER, "the server keeps this name for its own use")


@dataclass(slots=True, eq=False)
class Membership(Generic[S]):
    """One identity over one or several connections. It has one ticket.

    `since` is the position of its first Welcome; the ticket reads no entry up to it. `session` is
    its current connection, or None.
    """

    user: str
    ticket: int
    since: int
    session: S | None


class Room(Generic[S]):
    """The log and the members. S is the type of a connection: a session.

    With `presence`, arrivals and departures are entered into the log. `new_ticket` makes random
    numbers.
    """

    def __init__(
        self,
        *,
        capacity: int,
        presence: bool,
        new_ticket: Callable[[], int] = lambda: secrets.randbits(64),
    ) -> None:
        self.log = Log(capacity)
        self.presence = presence
        self.members: dict[str, Membership[S]] = {}
        self._new_ticket = new_ticket
        self._tickets: Tickets[Membership[S]] = Tickets()
        self._guests = count(1)

    def enter(self, session: S, user: str, *, bound: bool = False) -> tuple[Membership[S], int]:
        """Add a new member. Returns its membership and its position in the log.

        An empty `user` gets a free name. With `bound`, a credential proves the name, so reserved
        names are allowed too. Raises LoginRefused, BAD_USER or USER_TAKEN.
        """
        refuse_kept(user, bound=bound)
        user = user or names.assigned(self._guests, self.members)
        if names.key_of(user) in self.members:
            raise LoginRefused(ErrorCode.USER_TAKEN)
        member = Membership(user, self._new_ticket() or 1, self.log.end, session)
        self.admit(member, session)
        member.since = self.log.end
        return member, self.log.end

    def find(self, user: str, ticket: int, position: int) -> Membership[S]:
        """The membership of a ticket, if it can be resumed after `position`.

        Raises LoginRefused with HISTORY_GONE, the same for every reason, or with USER_TAKEN.
        """
        member = self._tickets.find(ticket)
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
        """Add a member again after its older connection has left."""
        self.admit(member, session)

    def leave(self, member: Membership[S], reason: LeftReason) -> int:
        """Remove a member and free its name. Returns the position of its `Left`, or 0."""
        del self.members[names.key_of(member.user)]
        member.session = None
        if names.is_kept(member.user):  # also if a credential proves it: there are few such names
            self._tickets.release(member.ticket, names.ASSIGNED_PREFIX, KEPT_BY_GUESTS)
        else:
            self._tickets.release(member.ticket, names.key_of(member.user), KEPT_BY_USER)
        if not self.presence:
            return 0
        return self.log.append(encode(Left(user=member.user, reason=reason, seq=self.log.end + 1)))

    def shut(self) -> None:
        """The server stops. From now on, no departure is entered into the log. EP-5.4-6."""
        self.presence = False

    def admit(self, member: Membership[S], session: S) -> None:
        """Give the member this connection, and enter its arrival."""
        member.session = session
        self.members[names.key_of(member.user)] = member
        self._tickets.use(member.ticket, member)
        if self.presence:
            self.log.append(encode(Joined(user=member.user, seq=self.log.end + 1)))
