"""The engine of a room on several nodes, as a model: what the scripts of `cluster/lua` do.

Rule: it takes the arguments that Redis takes, and returns what Redis returns, byte for byte. It
is written from the promises, not from the scripts: dictionaries for keys, one copy of the whole
state for "all or nothing". `time` is set by who uses it, in milliseconds.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

ENTRY_CHARGE = 100
MOST_BEHIND = 64 << 20
MOST_LEAVES = 256
KEPT, KEPT_BY_USER, KEPT_BY_GUESTS = 16_384, 64, 8_192
GUEST = b"guest-"

Id = tuple[int, int]
Fields = dict[bytes, bytes]
Reply = list[bytes]


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).hexdigest().encode()


def written(id: Id) -> bytes:
    return b"%d-%d" % (id[0], id[1])


def read_id(text: bytes) -> Id:
    position, sub = text.split(b"-")
    return int(position), int(sub)


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


@dataclass
class NodeRow:
    place: Id
    deadline: int = 0
    state: str = "live"
    vouched: bool = True
    number: int = 0
    stored: bytes = b""

    @property
    def fenced(self) -> bool:
        return self.state == "fenced"


@dataclass
class Ticket:
    since: int
    connection: bytes
    key: bytes
    user: bytes


@dataclass
class State:
    """One epoch of a room."""

    epoch: bytes
    run_id: bytes
    config: bytes
    presence: bool
    log_bytes: int
    lease: int
    at: int
    clock: int = 0
    end: int = 0
    first: int = 1
    last: Id = (0, 0)
    guests: int = 0
    digest: bytes = b""
    stream: dict[Id, Fields] = field(default_factory=dict)
    nodes: dict[bytes, NodeRow] = field(default_factory=dict)
    connections: dict[bytes, bytes] = field(default_factory=dict)
    names: dict[bytes, bytes] = field(default_factory=dict)
    tickets: dict[bytes, Ticket] = field(default_factory=dict)
    released: dict[bytes, None] = field(default_factory=dict)
    held: deque[tuple[Id, int]] = field(default_factory=deque)
    passed: deque[tuple[Id, int]] = field(default_factory=deque)

    def tick(self, time: int) -> None:
        self.clock += min(max(0, time - self.at), self.lease // 3)
        self.at = time


class Engine:
    """One engine. `restart` gives it another run; `state` can be copied and put back."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.time = 1_000_000
        self.run_id = b"run-1"
        self._runs = 1

    def restart(self) -> None:
        self._runs += 1
        self.run_id = b"run-%d" % self._runs

    # ------------------------------------------------------------- what nodes call

    def read(self, behind: Id, count: int) -> list[tuple[Id, Fields]]:
        """The next records of the stream."""
        if self.state is None:
            return []
        return [(id, each) for id, each in self.state.stream.items() if id > behind][:count]

    def open(self, words: Sequence[bytes]) -> Reply:
        node, epoch, number, place, digest, told, digest_there = words[:7]
        run_id, durable, fresh, config = words[7:11]
        comes = not epoch
        state = self.state

        def begin() -> State:
            presence, log_bytes, lease = words[11:14]
            self.state = State(
                *(fresh, run_id, config, presence == b"1", int(log_bytes), int(lease), self.time),
                digest=sha1(fresh),
            )
            return self.state

        if state is None:
            if not comes:
                return [b"EPOCH"]
            state = begin()
        elif not comes and epoch != state.epoch:
            return [b"EPOCH"]
        else:
            state.tick(self.time)

        row = state.nodes.get(node)
        if not comes:
            verdict = self._verify(state, read_id(place), digest)
            if "diverged" in (verdict, self._verify(state, read_id(told), digest_there)):
                begin()
                return [b"LOST"]
            if row is None or row.fenced:
                return [b"FENCED", written(state.last)]
            if verdict == "trimmed":
                row.state, row.deadline = "fenced", 0
                return [b"FENCED", written(state.last)]
            if row.number not in (int(number), int(number) + 1):
                begin()
                return [b"LOST"]

        if run_id != state.run_id and not any(not each.fenced for each in state.nodes.values()):
            lost = durable != b"1"
        else:
            lost = False
        before = {name: each for name, each in state.nodes.items() if not each.fenced}
        vouched = {
            name: name == node or (each.vouched and run_id == state.run_id)
            for name, each in before.items()
        }
        others = [name for name in before if name != node]
        expired = {name for name in others if before[name].deadline < state.clock}
        dead = {name for name in expired if not vouched[name]}
        waits = any(not vouched[name] and name not in expired for name in others)
        alive = [name for name in others if name not in expired]
        lost = lost or (bool(dead) and durable != b"1")
        differs = config != state.config
        if lost or (differs and not alive and comes):
            state = begin()
            waits = differs = False
            if not comes:
                return [b"LOST"]
        else:
            if differs:
                return [b"CONFIG", state.config]
            for name, each in before.items():
                each.vouched = vouched[name]
                if name in dead:
                    each.state, each.deadline = "fenced", 0
        state.run_id = run_id
        if comes and not waits:
            row = state.nodes[node] = NodeRow((state.first - 1, 0))
        if row is not None:
            row.deadline = state.clock + state.lease
        if waits:
            return [b"RECOVERING"]
        assert row is not None
        known = self._digest_at(state, row.place) or state.digest
        line = [state.epoch, b"%d" % state.end, b"%d" % state.first, written(row.place), known]
        return [b"OK", b" ".join(line)]

    def _digest_at(self, state: State, place: Id) -> bytes | None:
        if place == state.last:
            return state.digest
        behind = next((each for id, each in state.stream.items() if id > place), None)
        return None if behind is None else behind[b"digest"]

    def _verify(self, state: State, place: Id, digest: bytes) -> str:
        if place > state.last:
            return "diverged"
        if self._digest_at(state, place) == digest:
            return "same"
        return "trimmed" if place < min(state.stream, default=place) else "diverged"

    def turn(self, words: Sequence[bytes]) -> Reply:
        epoch, node, number, place = words[:4]
        state = self.state
        if state is None or state.epoch != epoch:
            return [b"EPOCH"]
        if any(not each.vouched and not each.fenced for each in state.nodes.values()):
            return [b"RECOVERING"]
        row = state.nodes.get(node)
        if row is None or row.fenced:
            return [b"FENCED"]
        if int(number) == row.number:
            return [b"OK", row.stored]
        if int(number) != row.number + 1:
            return [b"LOST"]
        row.place = read_id(place)
        state.tick(self.time)
        row.deadline = state.clock + state.lease
        row.number = int(number)
        blob = Turn(state, node, deque(words[4:])).run()
        row.stored = blob
        return [b"OK", blob]


class Turn:
    """One call, carried out."""

    def __init__(self, state: State, node: bytes, words: deque[bytes]) -> None:
        self.state = state
        self.node = node
        self.words = words
        self.end = state.end
        self.guests = state.guests
        self.items: list[bytes] = []
        self.answers: list[bytes] = []
        self.size = 0
        self.finished: set[bytes] = set()
        self.moved: list[tuple[bytes, bool]] = []  # tickets, and whether they came into use

    def run(self) -> bytes:
        state, before = self.state, self.state.end
        while self.words:
            operation = getattr(self, self.words.popleft().decode())
            self.answers.append(operation())
        answers = b"\n".join(self.answers)
        record = b"-"
        if self.items:
            record = self._enter(before, answers)
        self._trim()
        for ticket, used in self.moved:
            self._move(ticket, used)
        expired = sorted(
            name
            for name, each in state.nodes.items()
            if name != self.node
            and state.nodes[self.node].state == "live"
            and name not in self.finished
            and (each.fenced or each.deadline < state.clock)
        )
        head = [b"%d" % state.end, b"%d" % state.first, written(state.last), state.digest, record]
        for name in self.finished:
            del state.nodes[name]
        return b" ".join([*head, b",".join(expired)]) + b"\n" + answers

    def _enter(self, before: int, answers: bytes) -> bytes:
        state = self.state
        if self.end == before:
            self.size = ENTRY_CHARGE
            id = (self.end, state.last[1] + 1)
        else:
            id = (self.end, 0)
        first, gone = self._first_with(self.size)
        for _ in range(gone):
            state.passed.append(state.held.popleft())
        state.held.append((id, self.size))
        state.first, state.end, state.last, state.guests = first, self.end, id, self.guests
        number = b"%d" % state.nodes[self.node].number
        fields = {
            b"digest": state.digest,
            b"first": b"%d" % first,
            b"node": self.node,
            b"number": number,
            b"answers": answers,
            b"items": b"".join(self.items),
        }
        state.stream[id] = fields
        digest, *others = fields.values()
        state.digest = sha1(b"\n".join([digest, written(id), *others]))
        return written(id)

    def _first_with(self, more: int) -> tuple[int, int]:
        """The first position that is kept when so much more was entered, and records gone."""
        held = sum(size for _, size in self.state.held) + more
        first, gone = self.state.first, 0
        for id, size in self.state.held:
            if held - size < self.state.log_bytes:
                break
            held -= size
            first, gone = id[0] + 1, gone + 1
        return first, gone

    def _trim(self) -> None:
        state = self.state
        slowest = min(
            (each.place for each in state.nodes.values() if not each.fenced), default=None
        )
        while state.passed:
            id, _ = state.passed[0]
            too_much = sum(size for _, size in state.passed) > MOST_BEHIND
            if not too_much and slowest is not None and id > slowest:
                break
            state.passed.popleft()
            del state.stream[id]

    def _move(self, digest: bytes, used: bool) -> None:
        state = self.state
        if used:
            state.released.pop(digest, None)
            return
        if digest not in state.tickets:
            return
        state.released.pop(digest, None)
        state.released[digest] = None
        owner, most = owner_of(state.tickets[digest].key)
        own = [each for each in state.released if owner_of(state.tickets[each].key)[0] == owner]
        oldest = None
        if len(own) > most:
            oldest = own[0]
        elif len(state.released) > KEPT:
            oldest = next(iter(state.released))
        if oldest is not None:
            del state.released[oldest]
            if not state.tickets[oldest].connection:
                del state.tickets[oldest]

    # ------------------------------------------------------------- parts of operations

    def _item(self, kind: bytes, text: bytes) -> None:
        self.items.append(kind + len(self.answers).to_bytes(2, "big") + text)

    def _fact(self, size: int) -> None:
        if self.state.presence:
            self.end += 1
            self.size += size + ENTRY_CHARGE

    def _is_own(self, connection: bytes) -> bool:
        return connection.startswith(self.node + b"-") and connection in self.state.connections

    def _join(self, connection: bytes, digest: bytes, ticket: Ticket) -> None:
        self._item(b"J", short(connection) + short(ticket.user))
        self._fact(17 + len(ticket.user))
        ticket.connection = connection
        self.state.tickets[digest] = ticket
        self.state.connections[connection] = digest
        self.state.names[ticket.key] = connection
        self.moved.append((digest, True))

    def _part(self, connection: bytes, reason: int) -> None:
        digest = self.state.connections.pop(connection)
        ticket = self.state.tickets[digest]
        self._item(b"L", short(connection) + bytes([reason]) + short(ticket.user))
        self._fact(18 + len(ticket.user))
        del self.state.names[ticket.key]
        ticket.connection = b""
        self.moved.append((digest, False))

    def _part_all(self, node: bytes) -> int:
        here = sorted(each for each in self.state.connections if each.startswith(node + b"-"))
        room = max(0, MOST_LEAVES - len(self.items))
        for connection in here[:room]:
            self._part(connection, 1)
        left = len(here[room:])
        if not left:
            self.finished.add(node)
        return left

    # ------------------------------------------------------------- operations

    def say(self) -> bytes:
        connection, count, frames = (self.words.popleft() for _ in range(3))
        if not self._is_own(connection):
            return b"GONE"
        sizes = int(count).to_bytes(4, "big") + len(frames).to_bytes(4, "big")
        self._item(b"S", short(connection) + sizes + frames)
        self.end += int(count)
        self.size += len(frames) + ENTRY_CHARGE * int(count)
        return b"%d" % self.end

    def mark(self) -> bytes:
        return b"%d" % self.end

    def enter(self) -> bytes:
        connection, key, digest, user = (self.words.popleft() for _ in range(4))
        if not user:
            while True:
                self.guests += 1
                user = key = GUEST + b"%d" % self.guests
                if key not in self.state.names:
                    break
        if key in self.state.names or digest in self.state.tickets:
            return b"USER_TAKEN"
        ticket = Ticket(0, connection, key, user)
        self._join(connection, digest, ticket)
        ticket.since = self.end
        return b"%d %s" % (self.end, user)

    def resume(self) -> bytes:
        connection, digest, user, text = (self.words.popleft() for _ in range(4))
        position, ticket = int(text), self.state.tickets.get(digest)
        if ticket is None or user not in (b"", ticket.user):
            return b"HISTORY_GONE"
        if not ticket.since <= position <= self.end:
            return b"HISTORY_GONE"
        made = 0
        if self.state.presence:
            made = 17 + len(ticket.user) + ENTRY_CHARGE
            if ticket.connection:
                made = 2 * made + 1
        if position < self._first_with(self.size + made)[0] - 1:
            return b"HISTORY_GONE"
        if self.state.names.get(ticket.key, ticket.connection) != ticket.connection:
            return b"USER_TAKEN"
        if ticket.connection:
            self._part(ticket.connection, 1)
        self._join(connection, digest, ticket)
        return b"%d %s" % (self.end, ticket.user)

    def leave(self) -> bytes:
        connection, reason = self.words.popleft(), int(self.words.popleft())
        if not self._is_own(connection):
            return b"GONE"
        self._part(connection, reason)
        return b"%d" % self.end

    def reap(self) -> bytes:
        victim = self.words.popleft()
        other = self.state.nodes.get(victim)
        stops = self.state.nodes[self.node].state != "live"
        if victim == self.node or other is None or stops:
            return b"0"
        if not other.fenced and other.deadline >= self.state.clock:
            return b"0"
        if other.deadline >= 0:
            self._item(b"F", short(victim))
        other.state, other.deadline = "fenced", -1
        return b"%d" % self._part_all(victim)

    def retire(self) -> bytes:
        row = self.state.nodes[self.node]
        if row.state == "live":
            row.state = "stopping"
            return b"0"
        stays = any(
            each.state == "live" and each.deadline >= self.state.clock
            for name, each in self.state.nodes.items()
            if name != self.node
        )
        if not stays:
            row.state, row.deadline = "fenced", 0
            return b"0"
        return b"%d" % self._part_all(self.node)


def owner_of(key: bytes) -> tuple[bytes, int]:
    return (GUEST, KEPT_BY_GUESTS) if key.startswith(GUEST) else (key, KEPT_BY_USER)


def copied(state: State | None) -> State | None:
    """A dump: what it was, whatever comes."""
    return deepcopy(state)
