"""Mutants that compare tickets and positions in part, or keep them too short a time.

Rule: each is one careless look-up.

Layer: above `points`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventcodec import ErrorCode, Left, LeftReason, Login, encode

from ..session import names
from . import points
from .registry import Patch, mutant


def known(patch: Patch) -> None:
    """Let a room know all memberships that it ever had, as `known`."""

    def enter(original: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        member, cursor = original(self, *arguments, **named)
        self.known = [*getattr(self, "known", []), member]
        return member, cursor

    points.on_enter(patch, enter)


def of(self: Any, ticket: int) -> Any:
    """The membership of this ticket, if there ever was one."""
    return next((m for m in getattr(self, "known", []) if m.ticket == ticket), None)


def compared(name: str, wrong: str, key: Callable[[int], object]) -> None:
    """A mutant to which tickets are equal whose keys are."""

    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        alike = [m.ticket for m in getattr(self, "known", []) if key(m.ticket) == key(ticket)]
        return original(self, user, alike[-1] if alike else ticket, position)

    def apply(patch: Patch) -> None:
        known(patch)
        points.on_find(patch, find)

    mutant(name, wrong)(apply)


compared("ticket-of-low-bits", "the low 32 bits of a ticket are compared", lambda t: t % 2**32)
compared("ticket-of-high-bits", "the high 32 bits of a ticket are compared", lambda t: t >> 32)
compared("ticket-without-sign", "63 bits of a ticket are compared", lambda t: t % 2**63)
compared("ticket-as-double", "tickets are compared as floating-point numbers", float)


def finds(name: str, wrong: str, find: Callable[[Any, Any, str, int, int], Any]) -> None:
    """A mutant that finds sessions otherwise, and knows all that there were."""

    def apply(patch: Patch) -> None:
        known(patch)
        points.on_find(patch, find)

    mutant(name, wrong)(apply)


def unknown_told(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    if ticket and of(self, ticket) is None:
        raise points.refuse(ErrorCode.HISTORY_GONE, "no such ticket")
    return original(self, user, ticket, position)


finds("unknown-ticket-told", "HISTORY_GONE reveals that a ticket is unknown", unknown_told)


def anothers_told(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    member = of(self, ticket)
    if member is not None and user != member.user:
        raise points.refuse(ErrorCode.HISTORY_GONE, "not your ticket")
    return original(self, user, ticket, position)


finds(
    "anothers-ticket-told",
    "HISTORY_GONE reveals that a ticket belongs to another user",
    anothers_told,
)


def taken_first(self: Any, member: Any) -> None:
    holder = self.members.get(names.key_of(member.user)) if member is not None else None
    if holder is not None and holder is not member:
        raise points.refuse(ErrorCode.USER_TAKEN)


def taken_before_whose(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    member = of(self, ticket)
    if member is not None and user != member.user:
        taken_first(self, member)
    return original(self, user, ticket, position)


finds(
    "taken-before-whose-ticket",
    "a name in use is checked before whose the ticket is",
    taken_before_whose,
)


def taken_before_where(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    member = of(self, ticket)
    if member is not None and user == member.user:
        taken_first(self, member)
    return original(self, user, ticket, position)


finds(
    "taken-before-position",
    "a name in use is checked before the position",
    taken_before_where,
)


def last_refused(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    if position == self.log.end:
        raise points.refuse(ErrorCode.HISTORY_GONE)
    return original(self, user, ticket, position)


finds("last-position-refused", "the last position is treated as a future one", last_refused)


def next_accepted(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    return original(self, user, ticket, position - (position == self.log.end + 1))


finds("next-position-accepted", "the position after the last one is accepted", next_accepted)


def spoilt(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    self.spoilt = getattr(self, "spoilt", set())
    if ticket in self.spoilt:
        raise points.refuse(ErrorCode.HISTORY_GONE)
    try:
        return original(self, user, ticket, position)
    except Exception:
        self.spoilt.add(ticket)
        raise


finds("refused-resume-spoils", "a refused resume makes its ticket worthless", spoilt)


def newer_only(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
    member = of(self, ticket)
    same = [m for m in getattr(self, "known", []) if member and m.user == member.user]
    gone = names.key_of(member.user) not in self.members if member else False
    if gone and same[-1] is not member:
        raise points.refuse(ErrorCode.HISTORY_GONE)
    return original(self, user, ticket, position)


finds("new-session-replaces", "a name keeps its newest session only", newer_only)


@mutant("name-has-one-ticket", "a name has one ticket forever")
def _(patch: Patch) -> None:
    asked: list[str] = []
    found: dict[str, int] = {}

    def enter(original: Any, self: Any, session: Any, user: str, **named: Any) -> Any:
        asked[:] = [user]
        member, cursor = original(self, session, user, **named)
        found[user] = member.ticket
        return member, cursor

    points.on_enter(patch, enter)
    points.on_tickets(patch, lambda: found.get(asked[0]) if asked and asked[0] else None)


def resumes(name: str, wrong: str, change: Callable[[Any, Login], Login]) -> None:
    """A mutant that resumes with another Login."""

    def apply(patch: Patch) -> None:
        points.on_resume(
            patch,
            lambda original, self, login, user: original(self, change(self, login), user),
        )

    mutant(name, wrong)(apply)


def resumed_as(login: Login, **other: int) -> Login:
    """The same request, with other numbers; who answers it still knows it."""
    for field, value in other.items():
        object.__setattr__(login, field, value)
    return login


resumes(
    "position-of-32-bits",
    "a position is cut to 32 bits",
    lambda self, login: resumed_as(login, position=login.position % 2**32),
)
resumes(
    "position-without-sign",
    "a position is cut to 63 bits",
    lambda self, login: resumed_as(login, position=login.position % 2**63),
)


def or_fresh(name: str, wrong: str, is_fresh: Callable[[Login], bool]) -> None:
    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        self.join(login, user, bound=False) if is_fresh(login) else original(self, login, user)

    mutant(name, wrong)(lambda patch: points.on_resume(patch, resume))


or_fresh(
    "wide-position-alone-is-fresh",
    "a position without a ticket is checked in 32 bits",
    lambda login: login.ticket == 0 and login.position % 2**32 == 0,
)
or_fresh(
    "ticket-with-zeros-is-fresh",
    "whether there is a ticket is checked in 32 bits",
    lambda login: login.ticket % 2**32 == 0 and login.ticket != 0,
)


def moves(name: str, wrong: str, since: Callable[[Login], int]) -> None:
    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        original(self, login, user)
        if self.member is not None:
            self.member.since = since(login)

    mutant(name, wrong)(lambda patch: points.on_resume(patch, resume))


moves("resume-moves-the-beginning", "a session begins where it was resumed", lambda it: it.position)
moves("resume-forgets-the-beginning", "a resumed session opens everything", lambda it: 0)


@mutant("left-of-refused-login", "at the end of a connection the name of a refused resume has left")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        self.asked_as = user
        original(self, login, user)
        self.asked_as = ""

    def gone(session: Any) -> None:
        user: str = getattr(session, "asked_as", "")
        if session.member is None and user:
            log = session.room.log
            log.append(encode(Left(user=user, reason=LeftReason.LOST, seq=log.end + 1)))

    points.on_resume(patch, resume)
    points.on_gone(patch, gone)
