"""Who gives everything its place: what a session submits is answered in the order of it.

Rule: a session submits and is told; it never asks for a place that it has not been given. The
log in memory answers on the spot, before the call returns. An order that is made elsewhere
answers later, and the session is the same.

Layer: above `room` and `outbox`, below `session`. No socket, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Protocol

from eventcodec import LeftReason, Login

from .log import Log
from .outbox import Outbox, Reply
from .room import Membership, Room

__all__ = ["LocalSequencer", "Sequencer", "Shared", "Submitter"]


class Submitter(Protocol):
    """What a session is told."""

    member: Membership[Submitter] | None
    outbox: Outbox

    def may_replay(self, login: Login, user: str, now: float) -> bool:
        """Whether `user` may be replayed the log now; else the Login waits, and comes again."""
        ...

    def welcome(self, login: Login, member: Membership[Submitter], cursor: int) -> None:
        """Its Login is accepted: it reads the log behind `cursor`."""
        ...

    def superseded(self) -> None:
        """Its session goes on elsewhere: its own `Left` is the next entry."""
        ...

    def left(self, before: int, last: bytes) -> None:
        """It has left, and is owed the log up to `before`, then its last frame."""
        ...


class Shared(Protocol):
    """What all may look at: the log, and the members by the keys of their names."""

    @property
    def log(self) -> Log: ...
    @property
    def members(self) -> Sized: ...


class Sequencer(Protocol):
    """The order of a room. A session that is told nothing yet waits, and what it sends with it."""

    @property
    def room(self) -> Shared: ...
    @property
    def log(self) -> Log:
        """The log that is read, and that places stand in."""
        ...

    @property
    def entries(self) -> int:
        """Entries ever submitted."""
        ...

    @property
    def total(self) -> int:
        """Bytes of entries ever submitted."""
        ...

    def say(self, client: Submitter, facts: list[bytes], acks: bytes) -> None:
        """Enter a run of facts. In its place stand `acks`, 24 bytes each, with these numbers:
        facts and Acks are numbered from `log.end` + 1 on, and anew where that is not their place.
        """
        ...

    def mark(self, client: Submitter, reply: bytes) -> None:
        """Let a reply stand behind all that is in the log by now."""
        ...

    def join(self, client: Submitter, login: Login, user: str, *, bound: bool) -> None:
        """Begin a session: `welcome`, or LoginRefused is raised or told."""
        ...

    def resume(self, client: Submitter, login: Login, user: str, now: float) -> None:
        """Go on with a session: `welcome`, or LoginRefused is raised or told."""
        ...

    def leave(self, client: Submitter, reason: LeftReason, last: Callable[[int], bytes]) -> None:
        """The member leaves: `left`, with the last frame that `last` makes of the position of
        its `Left`, or of 0."""
        ...


class LocalSequencer:
    """The order of a room in this process's memory: everything is answered on the spot."""

    def __init__(self, room: Room[Submitter]) -> None:
        self.room = room
        self.log = room.log

    @property
    def entries(self) -> int:
        return self.log.end

    @property
    def total(self) -> int:
        return self.log.total

    def say(self, client: Submitter, facts: list[bytes], acks: bytes) -> None:
        log = self.log
        start = log.end
        log.extend(facts)
        client.outbox.add(Reply(start, log.end, acks))

    def mark(self, client: Submitter, reply: bytes) -> None:
        client.outbox.add_here(reply)

    def join(self, client: Submitter, login: Login, user: str, *, bound: bool) -> None:
        member, cursor = self.room.enter(client, user, bound=bound)
        client.welcome(login, member, cursor)

    def resume(self, client: Submitter, login: Login, user: str, now: float) -> None:
        member = self.room.find(user, login.ticket, login.position)
        if not client.may_replay(login, member.user, now):
            return
        if member.session is not None:
            member.session.superseded()
            self.room.leave(member, LeftReason.LOST)
        client.welcome(login, member, login.position)
        self.room.resume(member, client)

    def leave(self, client: Submitter, reason: LeftReason, last: Callable[[int], bytes]) -> None:
        assert client.member is not None
        before = self.log.end
        position = self.room.leave(client.member, reason)
        client.left(before, last(position))
