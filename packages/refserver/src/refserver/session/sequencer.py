"""The order of a room: it takes each submitted operation into the log, and answers in this order.

Rule: each submitted operation enters the log through here.

A session submits operations and gets answers. It submits an entry with the position behind the end
of the log. In a shared room this is a guess: its `say` numbers anew what gets another position. The
log in memory answers before the call returns. A log that several servers share answers later, and
the session is the same.

Layer: above `room` and `outbox`, below `session`. No socket, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from eventcodec import ErrorCode, LeftReason, Login

from .log import Log
from .outbox import Outbox, Reply
from .room import LoginRefused, Membership, Room

__all__ = ["Last", "LocalSequencer", "Sequencer", "Shared", "Submitter"]

Last = Callable[[int | None], bytes]
"""Makes the last frame of a client that leaves, from the position of its `Left`, or from 0 if there
is none. Its argument is None if the session was continued elsewhere first: then the client's
Logout has no effect."""


class Submitter(Protocol):
    """The answers that a session gets."""

    member: Membership[Submitter] | None
    outbox: Outbox

    def may_replay(self, login: Login, user: str, now: float) -> bool:
        """Whether `user` may get a replay now. If not, the Login waits and is submitted again."""
        ...

    def welcome(self, login: Login, member: Membership[Submitter], cursor: int) -> None:
        """Its Login is accepted. It reads the log after `cursor`."""
        ...

    def refuse(self, login: Login, refused: LoginRefused) -> None:
        """Its Login is not accepted; another may follow."""
        ...

    def superseded(self) -> None:
        """Another connection continues its session. Its own `Left` is the next entry."""
        ...

    def goodbye(self, code: ErrorCode) -> None:
        """Its connection ends with this Error."""
        ...

    def desert(self) -> None:
        """Its connection ends without a word: nobody knows what became of what it asked."""
        ...

    def wake(self) -> None:
        """It was told something, and may have something to send."""
        ...

    def left(self, before: int, last: bytes) -> None:
        """It has left. It still gets the log up to `before`, then its last frame."""
        ...


class Shared(Protocol):
    """The shared state for reading: the log, and the members that have a connection here."""

    @property
    def log(self) -> Log: ...
    @property
    def members(self) -> Mapping[str, Membership[Submitter]]: ...


class Sequencer(Protocol):
    """The order of a room. A session without an answer waits, and so do its next requests."""

    @property
    def room(self) -> Shared: ...
    @property
    def log(self) -> Log:
        """The log with the positions."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be submitted for the moment."""
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
        """Place a reply after all entries that are in the log now."""
        ...

    def join(self, client: Submitter, login: Login, user: str, *, bound: bool) -> None:
        """Start a session. The answer is `welcome`, or LoginRefused is raised or reported."""
        ...

    def resume(self, client: Submitter, login: Login, user: str, now: float) -> None:
        """Continue a session. The answer is `welcome`, or LoginRefused is raised or reported."""
        ...

    def leave(self, client: Submitter, reason: LeftReason, last: Last) -> None:
        """The member leaves. The answer is `left`, with the frame that `last` makes."""
        ...

    def shut(self) -> None:
        """The server stops: from now on no departure is entered because of that. EP-5.4-6."""
        ...


class LocalSequencer:
    """The order of a room in the memory of this process. It answers before the call returns."""

    is_full = False

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

    def leave(self, client: Submitter, reason: LeftReason, last: Last) -> None:
        assert client.member is not None
        before = self.log.end
        position = self.room.leave(client.member, reason)
        client.left(before, last(position))

    def shut(self) -> None:
        self.room.shut()
