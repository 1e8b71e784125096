"""One node of a room: its calls to the engine, and its copy of the stream.

Rule: one numbered call at a time, repeated until its outcome is known.

What it asked takes its place when the copy has come to that place. Bytes and times are passed in:
`engine_client` sends what `open_arguments` and `next_call` return, and passes the replies back.

Layer: above `calls` and `records`. No socket, no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from .calls import (
    Answer,
    Argument,
    Enter,
    Header,
    Leave,
    Operation,
    Reap,
    Resume,
    Retire,
    Say,
    Status,
    arguments,
    parse_turn,
)
from .records import Item, Joins, Parts, Place, Record, Said

__all__ = ["Call", "Copy", "Node", "Phase", "Placed", "Settings"]

MOST_LOGINS = 64
MOST_LEAVES = 256
MOST_BYTES = 1 << 20
"""Of one call: the engine serves nobody else meanwhile. A single longer run goes alone."""

BROKEN = "broken"
"""The digest that a node tells whose stream cannot be right: no engine has it."""

OPERATION_CHARGE = 150
"""What an operation costs beside its frames, in bytes."""

Placed = Callable[[Answer], None]
"""Told the answer, when the copy has come to its place."""


class Copy(Protocol):
    """What a node does to the copy of the log; each call stands for what the stream has next."""

    def start(self, end: int, presence: bool) -> None:
        """The copy begins empty behind this position."""
        ...

    def enter(self, facts: list[bytes]) -> None:
        """Enter facts that have their numbers."""
        ...

    def joins(self, connection: str, user: str) -> None:
        """A member comes, here or on another node: with presence, enter its `Joined`."""
        ...

    def parts(self, connection: str, reason: int, user: str, asked: bool) -> None:
        """A member leaves. `asked` says whether a `Leave` of this node is the cause. With presence,
        enter its `Left`.
        """
        ...

    def forget(self, first: int) -> None:
        """What is older than this position is not history any more."""
        ...

    def fenced(self) -> None:
        """The node's lease is over: all its members have left here. It is not used any more."""
        ...

    def over(self, explained: bool) -> None:
        """The room is over, or where not `explained`, the rest of it can never be read."""
        ...


class Phase(Enum):
    """How far a node is with its engine."""

    CLOSED = "a new connection to the engine has to open first"
    OPEN = "it may call"
    FENCED = "it reads up to its fence, and calls no more"
    OVER = "it does nothing any more"


@dataclass(frozen=True, slots=True)
class Settings:
    """What all nodes of a room must have alike: `config` is compared as a whole."""

    config: str
    presence: bool
    log_bytes: int
    lease: float
    """Seconds."""


@dataclass(slots=True)
class Call:
    """One numbered call. It is sent as it is until its outcome is known."""

    number: int
    operations: list[tuple[Operation, Placed]]
    arguments: list[Argument]
    repeats: int = 0

    @property
    def makes_room(self) -> bool:
        """Whether it has no login and no message. Then Redis may run it although `maxmemory` is
        reached.
        """
        return not any(isinstance(each, Say | Enter | Resume) for each, _ in self.operations)


class Node:
    """A node under one identity, in one epoch.

    `identity` is unique to this process, and new after each fence. It has more than twenty
    methods and fifteen attributes: all of them are one conversation with the engine.
    """

    def __init__(self, identity: str, settings: Settings, copy: Copy) -> None:
        self.identity = identity
        self.phase = Phase.CLOSED
        self.unplaced = 0
        """Bytes charged for what was asked and has no place yet."""
        self._settings = settings
        self._copy = copy
        self._epoch = ""
        self._connections = 0
        # what was asked
        self._number = 0  # the last call whose outcome is known
        self._queue: deque[tuple[Operation, Placed]] = deque()
        self._call: Call | None = None
        self._awaited: dict[int, Call] = {}  # their record is still to be read
        self._unplaced: deque[tuple[Place, Call, list[Answer]]] = deque()  # they made no record
        self._expired: deque[str] = deque()
        # what was read
        self.place = Place(0, 0)
        self.end = 0
        self.header: Header | None = None
        """The room as the engine told it last."""
        self._digest = ""
        self._doubts = False  # a record did not follow what was read
        self._doubted: Place | None = None  # where that was
        self._is_broken = False  # the stream has what no node has written

    # ------------------------------------------------------------- opening

    def open_arguments(self, run_id: str, durable: bool, fresh_epoch: str) -> list[Argument]:
        """The arguments of `open`, for a new connection to an engine of this run."""
        settings = self._settings
        lease = round(settings.lease * 1000)
        told, digest = format_place(self.place), self._digest
        if self.header is not None and Place.parse(self.header.last) > self.place:
            told, digest = self.header.last, self.header.digest
        if self._is_broken:
            digest = BROKEN
        return [
            self.identity,
            self._epoch,
            self._number,
            format_place(self.place),
            self._digest,
            told,
            digest,
            run_id,
            int(durable),
            fresh_epoch,
            settings.config,
            int(settings.presence),
            settings.log_bytes,
            lease,
        ]

    def opened(self, status: Status, told: bytes = b"") -> None:
        """What `open` has returned. CONFIG is the caller's business.

        A fenced node opens too, now and then: so it learns that its fence will never come.
        """
        if status in (Status.EPOCH, Status.LOST):
            self._be_over(explained=True)
        elif status is Status.FENCED:
            if Place.parse(told.decode()) <= self.place:
                self._be_over(explained=False)
            self._be_fenced()
        elif status is Status.OK and self.phase is Phase.CLOSED:
            epoch, end, first, place, digest = told.decode().split(" ")
            if not self._epoch:
                self._epoch, self._digest, self.place = epoch, digest, Place.parse(place)
                self.end = int(first) - 1
                self._copy.start(self.end, self._settings.presence)
                self.header = Header(int(end), int(first), place, digest, None, ())
            self._doubts = False
            self.phase = Phase.OPEN

    def disconnected(self) -> None:
        """The connection to the engine is gone, or is not trusted."""
        if self.phase is Phase.OPEN:
            self.phase = Phase.CLOSED

    # ------------------------------------------------------------- asking

    def new_connection(self) -> str:
        """A name for a connection of this node."""
        self._connections += 1
        return f"{self.identity}-{self._connections}"

    def submit(self, operation: Operation, placed: Placed) -> None:
        """Ask for this, behind all that was asked; `placed` is called once at most."""
        if self.phase is Phase.OVER:
            return
        self._queue.append((operation, placed))
        self.unplaced += charge(operation)

    @property
    def in_flight(self) -> int:
        """Calls that were made, and whose effect was not read back."""
        return (self._call is not None) + len(self._awaited) + len(self._unplaced)

    @property
    def lag(self) -> int:
        """Entries that the engine has told of, and that were not read."""
        return 0 if self.header is None else max(0, self.header.end - self.end)

    @property
    def has_asked(self) -> bool:
        """Whether there is a call to make now, also if no renewal of the lease is due."""
        return self._call is not None or bool(self._queue or self._expired)

    def next_call(self) -> Call:
        """The call to send now: the one whose outcome is not known, or the next.

        An empty one renews the lease, and tells how far the room is. The node must be open.
        """
        assert self.phase is Phase.OPEN
        if self._call is not None:
            self._call.repeats += 1
            return self._call
        operations = self._take()
        number = self._number + 1
        words: list[Argument] = [self._epoch, self.identity, number, format_place(self.place)]
        for operation, _ in operations:
            words += arguments(operation)
        self._call = Call(number, operations, words)
        return self._call

    def _take(self) -> list[tuple[Operation, Placed]]:
        """What goes into the next call, in the order in which it was asked."""
        taken: list[tuple[Operation, Placed]] = []
        logins = leaves = size = 0
        while self._queue:
            operation = self._queue[0][0]
            logins += isinstance(operation, Enter | Resume)
            leaves += isinstance(operation, Leave)
            size += charge(operation)
            if logins > MOST_LOGINS or leaves > MOST_LEAVES or (taken and size > MOST_BYTES):
                break
            taken.append(self._queue.popleft())
            if isinstance(operation, Retire):
                return taken
        if self._expired and not leaves:
            reap = Reap(self._expired.popleft())
            self.unplaced += charge(reap)
            taken.append((reap, lambda answer: None))
        return taken

    def answered(self, number: int, status: Status, blob: bytes = b"") -> None:
        """What the call of this number has returned; a late answer is none."""
        if self._call is None or self._call.number != number or self.phase is Phase.OVER:
            return
        if status is Status.OK:
            header, answers = parse_turn(blob)
            call = self._finish_call()
            self.header = header
            self._expired = deque(header.expired)
            if header.record is None:
                self._unplaced.append((Place.parse(header.last), call, answers))
                self._place_unplaced()
            else:
                self._awaited[number] = call
        elif status is Status.FENCED:
            self._be_fenced()
        elif status in (Status.EPOCH, Status.LOST):
            self._be_over(explained=True)
        elif status is Status.RECOVERING:
            self.disconnected()

    def _finish_call(self) -> Call:
        assert self._call is not None
        call, self._call = self._call, None
        self._number = call.number
        return call

    # ------------------------------------------------------------- reading

    @property
    def reads(self) -> bool:
        """Whether the next record is wanted."""
        return bool(self._epoch) and not self._doubts and self.phase is not Phase.OVER

    def read(self, record: Record) -> bool:
        """Take the next record of the stream into the copy; False where it does not follow.

        Then the node has to `open` again: the engine says who of the two is behind.
        """
        if record.place <= self.place:
            return True
        if record.digest != self._digest or not self.reads:
            self._doubts = True
            if self.phase is Phase.FENCED:
                self._be_over(explained=False)
            elif self._doubted == self.place:  # the engine has said that nothing is lost
                self.abandon()
            self._doubted = self.place
            self.disconnected()
            return False
        self._place_unplaced()
        if record.node == self.identity:
            self._apply_own(record)
        else:
            for _, item in record.items:
                self._apply(item)
        if self.phase is not Phase.OVER:
            assert self.end == record.place.position
            self.place, self._digest = record.place, record.digest_behind
            self._copy.forget(record.first)
            self._place_unplaced()
        return True

    def _apply_own(self, record: Record) -> None:
        """Every operation takes its place where the stream has what it made."""
        call = self._awaited.pop(record.number, None)
        if call is None:  # its answer is not here, and not needed any more
            assert self._call is not None and self._call.number == record.number
            call = self._finish_call()
        items = deque(record.items)
        for index, ((operation, placed), answer) in enumerate(
            zip(call.operations, record.answers, strict=True)
        ):
            while items and items[0][0] == index:
                self._apply(items.popleft()[1], isinstance(operation, Leave))
            self._place(operation, placed, answer)

    def _place(self, operation: Operation, placed: Placed, answer: Answer) -> None:
        self.unplaced -= charge(operation)
        placed(answer)

    def _place_unplaced(self) -> None:
        """What made no record takes its place when the copy has what was there before it."""
        while self._unplaced and self._unplaced[0][0] <= self.place:
            _, call, answers = self._unplaced.popleft()
            for (operation, placed), answer in zip(call.operations, answers, strict=True):
                self._place(operation, placed, answer)

    def _apply(self, item: Item, asked: bool = False) -> None:
        if self.phase is Phase.OVER:  # behind its fence
            return
        presence = self._settings.presence
        match item:
            case Said():
                facts = item.facts(self.end + 1)
                self.end += len(facts)
                self._copy.enter(facts)
            case Joins(connection, user):
                self.end += presence
                self._copy.joins(connection, user)
            case Parts(connection, reason, user):
                self.end += presence
                self._copy.parts(connection, reason, user, asked)
            case _:
                if item.node == self.identity:
                    self.phase = Phase.OVER
                    self._drop()
                    self._copy.fenced()

    # ------------------------------------------------------------- the end

    def abandon(self) -> None:
        """The stream has what no node has written: nobody can read on. `open` ends the epoch."""
        self._is_broken = self._doubts = True
        self.disconnected()

    def _be_fenced(self) -> None:
        if self._doubts or not self._epoch:
            self._be_over(explained=False)
        elif self.phase is not Phase.OVER:
            self.phase = Phase.FENCED

    def _be_over(self, *, explained: bool) -> None:
        if self.phase is not Phase.OVER:
            self.phase = Phase.OVER
            self._drop()
            self._copy.over(explained)

    def _drop(self) -> None:
        """Nothing of what has no place will ever have one."""
        self._queue.clear()
        self._unplaced.clear()
        self._awaited.clear()
        self._call = None


def charge(operation: Operation) -> int:
    """Bytes that an operation is charged."""
    return OPERATION_CHARGE + (operation.size if isinstance(operation, Say) else 0)


def format_place(place: Place) -> str:
    """As the engine writes it."""
    return f"{place.position}-{place.sub}"
