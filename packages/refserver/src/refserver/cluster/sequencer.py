"""The order of a room that several nodes share, as the sessions of one node see it.

Rule: a session is told what the copy of the log has come to, at that place and never before. So
it passes through the same states as with a log in memory, only later.

Layer: above `node`, below `engine_client`. No socket, no clock.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

from eventcodec import ErrorCode, Joined, Left, LeftReason, Login, encode

from ..session import names
from ..session.log import Log
from ..session.outbox import REPLY_CHARGE, Reply
from ..session.room import LoginRefused, Membership, refuse_kept
from ..session.sequencer import Last, Submitter
from ..session.tickets import KEPT
from .calls import Answer, Enter, Leave, Mark, Resume, Retire, Say, ticket_digest
from .node import Node, Settings

__all__ = ["MOST_UNPLACED", "ClusterSequencer", "Host"]

MOST_UNPLACED = 8 << 20
"""Bytes that were submitted and have no place, at which the node validates nothing more."""

ACK_SIZE = 24
"""Bytes of an `Ack`; the last eight are its position."""


class Host(Protocol):
    """Who runs the sequencer."""

    def new_ticket(self) -> int:
        """A random number of 64 bits that is not 0."""
        ...

    def new_identity(self) -> str:
        """128 random bits, in hexadecimal."""
        ...

    def has_asked(self) -> None:
        """The node has something for the engine."""
        ...

    def began(self, log: Log) -> None:
        """From now on this is the log: the first one, or one of a new epoch or a new identity."""
        ...

    def ended(self, *, fenced: bool) -> None:
        """The node goes on under a new identity: its lease is over, or the engine lost data."""
        ...


class ClusterSequencer:
    """A node's copy of the log, and the sessions that wait for an answer.

    It has more than twenty methods: it is the `Sequencer` of the sessions, and the `Copy` of the
    node.
    """

    def __init__(self, settings: Settings, host: Host) -> None:
        self.presence = settings.presence
        self.log = Log(sys.maxsize)
        self.entries = 0
        self.total = 0
        self.away = False
        """The engine was not there for so long that nobody waits for it any more."""
        self.stopping = False
        self._settings = settings
        self._host = host
        self._names: dict[Submitter, str] = {}
        self._clients: dict[str, Submitter] = {}
        self._leaving: dict[Submitter, Last] = {}
        self._runs: Counter[Submitter] = Counter()  # without a place
        self._owners: OrderedDict[str, str] = OrderedDict()  # of tickets that were good here
        self.members: dict[str, Membership[Submitter]] = {}
        self.node = Node(host.new_identity(), settings, self)

    @property
    def room(self) -> ClusterSequencer:
        """What all may look at; `members` are those of this node."""
        return self

    @property
    def is_full(self) -> bool:
        """Whether so much waits for its place that nothing more may be submitted."""
        return self.node.unplaced >= MOST_UNPLACED

    # ------------------------------------------------------------- what sessions submit

    def say(self, client: Submitter, facts: list[bytes], acks: bytes) -> None:
        name, count = self._names.get(client), len(facts)
        if name is None:
            return
        self.entries += count
        self.total += sum(map(len, facts))
        charge = len(acks) + REPLY_CHARGE
        client.outbox.unread += charge
        self._runs[client] += 1

        def placed(answer: Answer) -> None:
            client.outbox.unread -= charge
            self._runs[client] -= 1
            if not self._runs[client]:
                del self._runs[client]
            if answer.code is None and client.outbox.in_log and not client.outbox.closed:
                start = answer.number - count
                client.outbox.add(Reply(start, answer.number, renumbered(acks, start + 1)))
                client.wake()

        self.node.submit(Say(name, facts), placed)
        self._host.has_asked()

    def mark(self, client: Submitter, reply: bytes) -> None:
        charge = len(reply) + REPLY_CHARGE
        client.outbox.unread += charge

        def placed(answer: Answer) -> None:
            client.outbox.unread -= charge
            if not client.outbox.closed:
                client.outbox.add_here(reply)
                client.wake()

        self.node.submit(Mark(), placed)
        self._host.has_asked()

    def join(self, client: Submitter, login: Login, user: str, *, bound: bool) -> None:
        refuse_kept(user, bound=bound)
        if self._turn_away(client):
            return
        ticket, name = self._host.new_ticket(), self._come(client)

        def placed(answer: Answer) -> None:
            if self._let_in(client, login, answer, ticket):
                client.welcome(login, self._member(client, ticket, answer), answer.number)
                client.wake()

        key = names.key_of(user) if user else ""
        self.node.submit(Enter(name, key, ticket_digest(ticket), user), placed)
        self._host.has_asked()

    def resume(self, client: Submitter, login: Login, user: str, now: float) -> None:
        if self._turn_away(client):
            return
        digest = ticket_digest(login.ticket)
        owner = self._owners.get(digest)
        if owner is not None and not client.may_replay(login, owner, now):
            return
        name = self._come(client)

        def placed(answer: Answer) -> None:
            if self._let_in(client, login, answer, login.ticket):
                self._remember(digest, answer.user)
                client.welcome(login, self._member(client, login.ticket, answer), login.position)
                client.wake()

        self.node.submit(Resume(name, digest, user, login.position), placed)
        self._host.has_asked()

    def leave(self, client: Submitter, reason: LeftReason, last: Last) -> None:
        name = self._names.get(client)
        if name is None:  # it was let go, and its `Left` comes next
            client.left(self.log.end, last(0))
            return
        self._leaving[client] = last
        if self.stopping:
            self.node.submit(Mark(), lambda answer: self._let_go(client, self.log.end, last, 0))
        else:
            self.node.submit(
                Leave(name, int(reason)), lambda answer: self._gone(client, answer, last)
            )
        self._host.has_asked()
        if self.away:
            client.left(self.log.end, last(0))

    def _gone(self, client: Submitter, answer: Answer, last: Last) -> None:
        if answer.code is None:
            before = answer.number - self.presence
            self._let_go(client, before, last, answer.number if self.presence else 0)

    def _let_go(self, client: Submitter, before: int, last: Last, position: int | None) -> None:
        """A leaving client gets its last frame, if it has not got it and is still there."""
        if not client.outbox.closed:
            client.left(before, last(position))
            client.wake()

    def _turn_away(self, client: Submitter) -> bool:
        """Whether no Login can be answered now: then the connection ends."""
        if self.away:
            client.goodbye(ErrorCode.UNAVAILABLE)
        return self.away

    # ------------------------------------------------------------- logins

    def _come(self, client: Submitter) -> str:
        name = self.node.new_connection()
        self._names[client] = name
        self._clients[name] = client
        return name

    def _let_in(self, client: Submitter, login: Login, answer: Answer, ticket: int) -> bool:
        """Whether a Login was accepted, by a client that is still there."""
        if answer.code is not None:
            del self._clients[self._names.pop(client)]
            if not client.outbox.closed:
                client.refuse(login, LoginRefused(ErrorCode[answer.code.name]))
                client.wake()
            return False
        if client.outbox.closed:  # it ended meanwhile: then it leaves at once
            self._member(client, ticket, answer)
            self.leave(client, LeftReason.LOST, lambda position: b"")
            return False
        return True

    def _remember(self, digest: str, user: str) -> None:
        """Whose share the next replay to this ticket is of: the first one here is nobody's."""
        self._owners[digest] = user
        if len(self._owners) > KEPT:
            self._owners.popitem(last=False)

    def _member(self, client: Submitter, ticket: int, answer: Answer) -> Membership[Submitter]:
        member = Membership(answer.user, ticket, answer.number, client)
        self.members[self._names[client]] = member
        return member

    # ------------------------------------------------------------- the copy

    def start(self, end: int, presence: bool) -> None:
        self.log = Log(sys.maxsize, end)
        self._host.began(self.log)

    def enter(self, facts: list[bytes]) -> None:
        self.log.extend(facts)

    def joins(self, connection: str, user: str) -> None:
        if self.presence:
            self.log.append(encode(Joined(user=user, seq=self.log.end + 1)))

    def parts(self, connection: str, reason: int, user: str, asked: bool) -> None:
        client = self._clients.pop(connection, None)
        if client is not None:
            del self._names[client]
            self.members.pop(connection, None)
            last = self._leaving.pop(client, None)
            if not asked and last is not None:
                self._let_go(client, self.log.end, last, None)
            elif not asked:
                client.superseded()
        if self.presence:
            left = Left(user=user, reason=LeftReason(reason), seq=self.log.end + 1)
            self.log.append(encode(left))

    def forget(self, first: int) -> None:
        self.log.drop_before(first)

    def fenced(self) -> None:
        self._end_all(lambda client: True, fenced=True)

    def over(self, explained: bool) -> None:
        self._end_all(lambda client: explained and not self._runs[client], fenced=not explained)

    def _end_all(self, is_told: Callable[[Submitter], bool], *, fenced: bool) -> None:
        """All members here have left. A client in doubt gets no Error."""
        clients = list(self._names)
        self._names.clear()
        self._clients.clear()
        self.members.clear()
        for client in clients:
            if client in self._leaving:
                client.left(self.log.end, b"")
            elif is_told(client):
                client.goodbye(ErrorCode.UNAVAILABLE)
            else:
                client.desert()
            client.wake()
        self._leaving.clear()
        self._runs.clear()
        if not self.stopping:  # go on under a new identity, and take what is asked from now on
            self._host.ended(fenced=fenced)
            self.node = Node(self._host.new_identity(), self._settings, self)

    # ------------------------------------------------------------- the engine

    def engine_is_away(self) -> None:
        """No client waits for the engine any longer: all end. A client in doubt gets no Error."""
        if self.away:
            return
        self.away = True
        for client in list(self._names):
            if client in self._leaving:
                client.left(self.log.end, b"")
            elif self._runs[client]:
                client.desert()
            else:
                client.goodbye(ErrorCode.UNAVAILABLE)
            client.wake()

    def engine_is_back(self) -> None:
        """Logins are taken again."""
        self.away = False

    def shut(self) -> None:
        """The node stops. It enters no `Left` now. EP-5.4-6.

        All nodes of a room may be stopped at once, so each first says that it stops. When its last
        connection is gone, it lets its members leave if another node stays.
        """
        self.stopping = True
        self.node.submit(Retire(), lambda answer: None)
        self._host.has_asked()

    def retire(self) -> None:
        """Let the members of this node leave, if another stays."""

        def retired(answer: Answer) -> None:
            if answer.code is None and answer.number:
                self.retire()

        self.node.submit(Retire(), retired)
        self._host.has_asked()


def renumbered(acks: bytes, first: int) -> bytes:
    """Acks with these positions: `first` and those behind it.

    >>> renumbered(bytes(48), 7)[16:24].hex(), renumbered(bytes(48), 7)[40:].hex()
    ('0000000000000007', '0000000000000008')
    """
    data = bytearray(acks)
    for position, at in enumerate(range(ACK_SIZE - 8, len(data), ACK_SIZE), first):
        data[at : at + 8] = position.to_bytes(8, "big")
    return bytes(data)
