"""One client, one server that knows the truth, and every way in which it can go wrong.

Rule: all that is not the client's own doing is asked of `choose`, so that a table of choices is
a world: walked through one by one, or drawn by Hypothesis. The client is any `Client`; what it
says of a request is compared with what the server knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol, TypeVar

from eventcodec import (
    Ack,
    Error,
    ErrorCode,
    Event,
    Joined,
    Left,
    LeftReason,
    Login,
    Message,
    Ping,
    Pong,
    Welcome,
)
from eventcodec.ledger import Fate, Outcome

T = TypeVar("T")
E = TypeVar("E", bound=Event)
Choose = Callable[[int], int]
"""Gives a number from 0 to below its argument."""

NAME = "ann"
NEW_WORDS = "z"
"""What a stranger says that the client never does."""


@cache
def made(kind: Callable[..., E], **values: Any) -> E:
    """An event. It cannot change, so all worlds share it: there are few, in a million places."""
    return kind(**values)


class Client(Protocol):
    """The client under test. It is given events, and says what it hands out."""

    outcomes: list[Outcome]

    def say(self, number: int, content: str) -> None:
        """Take a request, to be sent when it may."""

    def connect(self) -> None:
        """A new connection is there."""

    @property
    def is_done(self) -> bool:
        """Every request that was said has its outcome."""

    def frames(self) -> list[tuple[Event, int]]:
        """What goes to the transport now, each with the number of its request or 0."""

    def take(self, event: Event) -> None:
        """An event comes from the server; an Error with seq 0 ends the connection."""

    def lose(self) -> None:
        """The connection is lost."""

    def give_up(self) -> None:
        """The session is over: an outcome for every request."""


class Wire:
    """The server's end of a connection, and what waits on it for the client."""

    def __init__(self) -> None:
        self.out: list[Event] = []
        self.has_ended = False


STRANGER = Wire()
"""Somebody else under the client's name."""


class Room:
    """The server: a log, one name, and which request made which entry."""

    def __init__(self, *, presence: bool) -> None:
        self.presence = presence
        self.log: list[Event] = []
        self.member: Wire | None = None
        self.accepted: dict[int, list[int]] = defaultdict(list)
        self.ticket = 0
        self._tickets = 0

    def enter(self, make: Callable[..., Event], reply: Event | None = None) -> int:
        """One more entry; its member reads it as the fact, or as `reply` made complete."""
        position = len(self.log) + 1
        self.log.append(make(seq=position))
        if self.member is not None:
            ack = None if reply is None else made(Ack, seq=reply.seq, position=position)
            self.member.out.append(ack or self.log[-1])
        return position

    def handle(self, wire: Wire, request: Event, number: int) -> None:
        """Carry out one request, as section 4.3 says."""
        if wire.has_ended:
            return
        if isinstance(request, Login):
            self._login(wire, request)
        elif isinstance(request, Ping):
            wire.out.append(made(Pong, seq=request.seq))
        else:
            assert isinstance(request, Message)
            assert self.member is wire, "the client says nothing that it may not"
            content = request.content
            position = self.enter(partial(made, Message, sender=NAME, content=content), request)
            self.accepted[number].append(position)

    def _login(self, wire: Wire, login: Login) -> None:
        code = None
        if login.ticket:
            if login.ticket != self.ticket:
                code = ErrorCode.HISTORY_GONE
            elif self.member is STRANGER:
                code = ErrorCode.USER_TAKEN
        elif self.member is not None:
            code = ErrorCode.USER_TAKEN
        if code is not None:
            wire.out.append(made(Error, seq=login.seq, code=code))
            return
        position = login.position
        if login.ticket:
            if self.member is not None:
                self.end(self.member, ErrorCode.USER_TAKEN)
        else:
            self._tickets += 1
            self.ticket = self._tickets
            self._join()
            position = len(self.log)
        wire.out.append(
            made(
                Welcome,
                seq=login.seq,
                user=NAME,
                ticket=self.ticket,
                position=position,
                max_frame=4_096,
                heartbeat=0,
            )
        )
        wire.out += self.log[position:]
        self.member = wire
        if login.ticket:
            self._join()

    def _join(self) -> None:
        if self.presence:
            self.enter(partial(made, Joined, user=NAME))

    def leave(self) -> None:
        """The member leaves; it reads no entry any more, its own `Left` neither."""
        self.member = None
        if self.presence:
            self.enter(partial(made, Left, user=NAME, reason=LeftReason.LOST))

    def end(self, wire: Wire, code: ErrorCode) -> None:
        """The server ends a connection."""
        if self.member is wire:
            self.leave()
        wire.out.append(made(Error, code=code))
        wire.has_ended = True

    def visit(self, content: str, *, stays: bool) -> None:
        """Somebody else comes under the free name, speaks, and leaves or stays."""
        self._join()
        self.enter(partial(made, Message, sender=NAME, content=content))
        if stays:
            self.member = STRANGER
        else:
            self.leave()

    def restart(self) -> None:
        """Log and tickets are gone."""
        self.log.clear()
        self.member = None
        self.ticket = 0


@dataclass(frozen=True)
class Size:
    """How large the worlds are.

    With `is_open` a connection can end before the first Welcome, and the last one anywhere.
    Without, both are left out: until the first Welcome nothing is in doubt, and what a loss on
    the last one would hide is what an earlier one has hidden.
    """

    requests: int
    connections: int
    visits: int = 1
    restarts: int = 1
    is_open: bool = False
    presence: bool | None = None
    """On or off, or None: both."""
    contents: str | None = None
    """What the requests say, a letter each, or None: every pattern."""


@dataclass
class World:
    """One course of events, and what the client said of it."""

    presence: bool
    contents: Sequence[str]
    visited: list[str] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)
    decisions: list[tuple[int, Outcome]] = field(default_factory=list)
    """Each outcome, with how much of `seen` the client had seen by then."""
    accepted: dict[int, list[int]] = field(default_factory=dict)
    has_restarted: bool = False
    was_early: bool = False


def patterns(requests: int) -> list[str]:
    """Which of the requests say the same: "aa", "ab" for two of them."""
    found = [""]
    for _ in range(requests):
        found = [said + c for said in found for c in sorted({*said, chr(97 + len(set(said)))})]
    return found


class Play:
    """One world, played from its choices."""

    def __init__(self, choose: Choose, client: Client, size: Size) -> None:
        self._choose = choose
        self._client = client
        self._size = size
        self._restarts = size.restarts
        self._is_last = False
        self._open: list[type[Event]] = []  # Login and marker, until their replies
        presence = self._of((True, False)) if size.presence is None else size.presence
        self.room = Room(presence=presence)
        self.world = World(presence, size.contents or self._of(patterns(size.requests)))
        self._words = (*sorted({*self.world.contents}), NEW_WORDS)

    def run(self) -> World:
        """Play to the end of the last connection."""
        said = self._size.requests
        if said > 1:
            said -= self._choose(2)
        self._say(0, said)
        for attempt in range(self._size.connections):
            if attempt:
                self._say(said, self._size.requests)
                said = self._size.requests
                self._meanwhile()
            self._is_last = attempt == self._size.connections - 1 and not self._size.is_open
            self._connection()
            if self._client.is_done and said == self._size.requests:
                break
        self._client.give_up()
        self._note()
        self.world.accepted = dict(self.room.accepted)
        return self.world

    def _of(self, options: Sequence[T]) -> T:
        return options[self._choose(len(options))]

    def _say(self, first: int, behind: int) -> None:
        for number in range(first, behind):
            self._client.say(number + 1, self.world.contents[number])

    def _meanwhile(self) -> None:
        """What happens between two connections."""
        room = self.room
        if room.member is STRANGER:
            room.leave()
        if self._restarts and self._choose(2):
            self._restarts -= 1
            room.restart()
            self.world.has_restarted = True
            return
        if room.member is not None and self._choose(2):
            room.leave()  # the server has noticed the loss
        while room.member is None and len(self.world.visited) < self._size.visits:
            visit = self._choose(len(self._words) + 2)
            if not visit:
                break
            self._visit(self._words[visit - 2], stays=visit == 1)

    def _visit(self, word: str, *, stays: bool = False) -> None:
        self.room.visit(word, stays=stays)
        self.world.visited.append(word)

    def _connection(self) -> None:
        """One connection, until it ends or nothing more is said on it."""
        wire = Wire()
        self._open.clear()
        self._client.connect()
        self.world.seen.append("connected")
        is_first = self.world.seen == ["connected"]
        while frames := self._frames():
            is_sure = is_first and isinstance(frames[0][0], Login) and not self._size.is_open
            arrived = len(frames) if is_sure else self._choose(len(frames) + 1)
            for request, number in frames[:arrived]:
                self.room.handle(wire, request, number)
            if isinstance(frames[0][0], Message) and self._is_last:
                return
            if not is_sure and self._ends(wire, is_cut=arrived < len(frames)):
                return
            self._give(wire.out)
            wire.out.clear()
        self._lose()

    def _frames(self) -> list[tuple[Event, int]]:
        """What the client hands out now, and whether it may."""
        frames = self._client.frames()
        asked = [type(request) for request, _ in frames]
        self._open += [kind for kind in asked if kind in (Login, Ping)]
        self.world.was_early |= Message in asked and bool(self._open)
        return frames

    def _ends(self, wire: Wire, *, is_cut: bool) -> bool:
        """Whether and how the connection ends here; what still comes is given to the client."""
        ways = ["goes on"] * (not is_cut) + ["internal"] + ["lost"] * (not self._is_last)
        if self.room.member is wire:
            ways += ["slow"] + ["taken over"] * (not is_cut)
        way = ways[self._choose(len(ways))]
        if way == "goes on":
            return False
        if way == "lost":
            self._give(wire.out[: self._choose(len(wire.out) + 1)])
            frames = self._frames()  # what it says before it knows
            for request, number in frames[: self._choose(len(frames) + 1)]:
                self.room.handle(wire, request, number)
            self._lose()
            return True
        if way == "slow":
            del wire.out[self._choose(len(wire.out) + 1) :]  # the server has the rest no more
        codes = {
            "internal": ErrorCode.INTERNAL,
            "slow": ErrorCode.SLOW_CONSUMER,
            "taken over": ErrorCode.USER_TAKEN,
        }
        self.room.end(wire, codes[way])
        if way == "taken over" and len(self.world.visited) < self._size.visits:
            self._visit(self._words[self._choose(len(self._words))])
        self._give(wire.out)
        return True

    def _lose(self) -> None:
        self.world.seen.append("lost")
        self._client.lose()
        self._note()

    def _give(self, events: Iterable[Event]) -> None:
        for event in events:
            self.world.seen.append(event)
            if isinstance(event, Welcome | Pong) or (isinstance(event, Error) and event.seq):
                self._open.pop(0)
            self._client.take(event)
            self._note()

    def _note(self) -> None:
        for outcome in self._client.outcomes:
            self.world.decisions.append((len(self.world.seen), outcome))
        self._client.outcomes.clear()


class _Path:
    """The choices of one world, and those of the next."""

    def __init__(self) -> None:
        self._given: list[int] = []
        self._taken: list[tuple[int, int]] = []

    def choose(self, count: int) -> int:
        """The next choice: as it was given, then the first of all."""
        place = len(self._taken)
        choice = self._given[place] if place < len(self._given) else 0
        self._taken.append((choice, count))
        return choice

    def has_next(self) -> bool:
        """Go on to the next world, if there is one."""
        while self._taken and self._taken[-1][0] + 1 == self._taken[-1][1]:
            self._taken.pop()
        self._given = [choice for choice, _ in self._taken]
        self._taken.clear()
        if self._given:
            self._given[-1] += 1
        return bool(self._given)


def every(make: Callable[[], Client], size: Size) -> Iterator[World]:
    """Every world of this size, one after the other."""
    path = _Path()
    yield Play(path.choose, make(), size).run()
    while path.has_next():
        yield Play(path.choose, make(), size).run()


@dataclass
class Judgement:
    """What a client's words are worth, over many worlds."""

    worlds: int = 0
    doubled: int = 0
    """Requests of which the log has more than one entry."""
    early: int = 0
    """Worlds in which a request went out before the Welcome, or before the marker's Pong."""
    disordered: int = 0
    """Worlds whose log has the requests in another order."""
    lost: int = 0
    """Said to be acknowledged, and not in the log at that position."""
    unknown: int = 0
    avoidable: int = 0
    """Wrong or unknown, where all worlds that look alike agree."""
    unexplained: int = 0
    """Lost although presence was on, or nobody had said the same."""
    told: int = 0
    """Outcomes, right or wrong."""


def judge(worlds: Iterable[World]) -> Judgement:
    """Compare what the client said with the truth, world by world and group by group.

    Worlds look alike to the client at a decision where it has seen the same until then.
    """
    judgement = Judgement()
    groups: dict[tuple[object, ...], set[bool]] = {}
    verdicts: list[tuple[tuple[object, ...], bool | None, bool]] = []
    for world in worlds:
        judgement.worlds += 1
        judgement.doubled += sum(len(places) > 1 for places in world.accepted.values())
        places = [place for _, found in sorted(world.accepted.items()) for place in found]
        judgement.early += world.was_early
        judgement.disordered += places != sorted(places) and not world.has_restarted
        for seen, outcome in world.decisions:
            judgement.told += 1
            truth = _truth(world, outcome)
            key = (hash(tuple(world.seen[:seen])), tuple(world.contents), outcome.number)
            groups.setdefault(key, set()).add(truth)
            said = None if outcome.fate is Fate.UNKNOWN else outcome.fate is Fate.ACKNOWLEDGED
            if said is None:
                judgement.unknown += 1
            elif said and not truth:
                judgement.lost += 1
                same = world.contents[outcome.number - 1] in world.visited
                judgement.unexplained += world.presence or not same
            elif truth and not said:
                judgement.doubled += 1
            verdicts.append((key, said, truth))
    judgement.avoidable = sum(
        len(groups[key]) == 1 and said is not truth for key, said, truth in verdicts
    )
    return judgement


def fair(judgement: Judgement) -> dict[str, int]:
    """What must not be: the client's own faults, and errors that were avoidable."""
    names = ("early", "doubled", "disordered", "avoidable", "unexplained")
    return {name: n for name in names if (n := getattr(judgement, name))}


def _truth(world: World, outcome: Outcome) -> bool:
    places = world.accepted.get(outcome.number, [])
    return outcome.position in places if outcome.fate is Fate.ACKNOWLEDGED else bool(places)
