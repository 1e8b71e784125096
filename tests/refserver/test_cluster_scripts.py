"""The scripts in a real Redis do what the model of the engine does, call by call."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from random import Random

import pytest
from tests.refserver import engine
from tests.refserver.engine import Engine
from tests.support.redis import RedisServer, needs_redis, redis_server

from refserver.cluster.scripts import keys, script

redis = pytest.importorskip("redis")
pytestmark = needs_redis

LEASE = 3_600_000
"""Milliseconds: so long that a test's own time ends none."""
FRAME = (13).to_bytes(4, "big") + bytes(12) + b"x"
NAMES = [b"ann", b"bob", b"eve", b""]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


class Both:
    """The model and Redis; each call goes to both, and both have to say the same."""

    def __init__(self, server: RedisServer, room: str) -> None:
        self.model = Engine()
        self.redis = redis.Redis(port=server.port)
        self.keys = keys(room)
        self.scripts = {name: self.redis.register_script(script(name).text) for name in SCRIPTS}

    def call(self, name: str, words: list[bytes]) -> list[bytes]:
        expected: list[bytes] = getattr(self.model, name)(words)
        told = self.scripts[name](keys=self.keys, args=words)
        assert told == expected, (name, words)
        return expected

    def pass_lease(self) -> None:
        """All leases that are not renewed from now on are over."""
        state = self.model.state
        if state is not None:
            state.clock += 2 * LEASE
            self.redis.hincrby(self.keys[0], "clock", 2 * LEASE)

    def renew(self, node: bytes) -> None:
        """Give one node its lease back, as if its last call had just come."""
        state = self.model.state
        assert state is not None
        row = state.nodes[node]
        row.deadline = state.clock + LEASE
        place = engine.written(row.place).decode()
        line = f"{row.deadline} {place} {row.state} {int(row.vouched)}"
        self.redis.hset(self.keys[2], node, line)

    def copied(self) -> tuple[Engine, dict[str, bytes]]:
        """All that both have now: what a replica has."""
        found = {key: self.redis.dump(key) for key in self.keys}
        return deepcopy(self.model), {key: data for key, data in found.items() if data}

    def fail_over(self, replica: tuple[Engine, dict[str, bytes]]) -> None:
        """The replica is the engine from now on."""
        self.model, found = replica
        self.model.restart()
        for key in self.keys:
            self.redis.delete(key)
        for key, data in found.items():
            self.redis.restore(key, 0, data)

    def compare(self) -> None:
        """The stream, the names and the tickets are the same."""
        state = self.model.state
        assert state is not None
        with self.redis.pipeline(transaction=False) as asked:
            asked.xrange(self.keys[1])
            for key in self.keys[4:7]:
                asked.hgetall(key)
            for key in self.keys[7:9]:
                asked.zrange(key, 0, -1)
            asked.zcard(self.keys[9])
            stream, connections, names, tickets, members, released, count = asked.execute()
        assert {engine.read_id(id): fields for id, fields in stream} == state.stream
        assert connections == state.connections
        assert names == state.names
        assert set(tickets) == set(state.tickets)
        assert set(members) == set(state.connections)
        assert released == list(state.released)
        assert count == len(state.released)


SCRIPTS = ("open", "turn")


class Caller:
    """A node that asks for anything, of which nothing need make sense."""

    def __init__(self, both: Both, random: Random, config: list[bytes]) -> None:
        self.both, self.random, self.config = both, random, config
        self.identity = b"%032x" % random.getrandbits(128)
        self.epoch, self.number, self.place, self.digest = b"", 0, b"0-0", b""
        self.connections: list[bytes] = []
        self.last: list[bytes] = []
        self.told = b"0-0", b""
        self.open()

    def open(self, durable: bytes = b"") -> bytes:
        run, durable = self.both.model.run_id, durable or b"%d" % self.random.randrange(2)
        fresh = b"%032x" % self.random.getrandbits(128)
        known = [
            self.identity,
            self.epoch,
            b"%d" % self.number,
            self.place,
            self.digest,
            *self.told,
        ]
        status, *told = self.both.call("open", [*known, run, durable, fresh, *self.config])
        if status == b"OK":
            self.epoch, _, _, place, digest = told[0].split()
            if not self.digest:
                self.place, self.digest = self.told = place, digest
        return status

    def enter(self, name: bytes) -> None:
        connection = self.identity + b"-%d" % self.random.getrandbits(30)
        self.say([b"enter", connection, name, b"ticket of " + name, name])

    def read(self) -> None:
        state = self.both.model.state
        if state is not None and state.epoch == self.epoch and self.random.random() < 0.7:
            self.told = engine.written(state.last), state.digest
            if self.random.random() < 0.7:
                self.place, self.digest = self.told

    def operation(self, tickets: list[bytes], nodes: list[Caller]) -> list[bytes]:
        random = self.random
        connection = random.choice([*self.connections, b"nobody-1"])
        kind = random.choices(
            ("say", "mark", "enter", "resume", "leave", "reap", "retire"), (8, 3, 4, 4, 3, 2, 0.1)
        )[0]
        if kind == "say":
            count = random.randrange(1, 5)
            return [b"say", connection, b"%d" % count, FRAME * count]
        if kind == "leave":
            return [b"leave", connection, b"%d" % random.randrange(3)]
        if kind == "reap":
            return [b"reap", random.choice(nodes).identity]
        if kind in ("mark", "retire"):
            return [kind.encode()]
        name = random.choice(NAMES)
        fresh = self.identity + b"-%d" % random.getrandbits(30)
        self.connections.append(fresh)
        if kind == "enter":
            tickets.append(b"%064x" % random.getrandbits(256))
            return [b"enter", fresh, name, tickets[-1], name]
        state = self.both.model.state
        end = 0 if state is None else state.end
        near = max(0, end - random.randrange(30)) if random.random() < 0.9 else end + 1
        return [b"resume", fresh, random.choice([*tickets, b"0"]), name, b"%d" % near]

    def say(self, words: list[bytes]) -> list[bytes]:
        """A call with these operations, the next one of this node."""
        self.number += 1
        return self.both.call(
            "turn", [self.epoch, self.identity, b"%d" % self.number, b"0-0", *words]
        )

    def turn(self, tickets: list[bytes], nodes: list[Caller]) -> bytes:
        chance = self.random.random()
        if self.last and chance < 0.1:
            return self.both.call("turn", self.last)[0]
        number = self.number + (self.random.choice((0, 2, 3)) if chance < 0.13 else 1)
        words = [self.epoch, self.identity, b"%d" % number, self.place]
        for _ in range(self.random.randrange(6)):
            words += self.operation(tickets, nodes)
        status = self.both.call("turn", words)[0]
        if status == b"OK" and number == self.number + 1:
            self.number, self.last = number, words
        return status


def live(server: RedisServer, seed: int, steps: int) -> set[bytes]:
    """One random life of a room; returns what was seen."""
    random = Random(seed)
    both = Both(server, f"room-{seed}")
    try:
        return live_in(both, random, steps)
    finally:
        both.redis.close()


def live_in(both: Both, random: Random, steps: int) -> set[bytes]:
    presence, log_bytes = b"%d" % random.randrange(2), b"%d" % random.choice((400, 3_000, 1 << 24))
    config = [b"alike", presence, log_bytes, b"%d" % LEASE]
    nodes = [Caller(both, random, config)]
    tickets: list[bytes] = []
    seen: set[bytes] = set()
    for _ in range(steps):
        node, chance = random.choice(nodes), random.random()
        if chance < 0.04 and len(nodes) < 4:
            nodes.append(Caller(both, random, config))
        elif chance < 0.06:
            both.pass_lease()
            if random.random() < 0.7 and both.model.state:
                for name in both.model.state.nodes:
                    if random.random() < 0.7:
                        both.renew(name)
        elif chance < 0.09:
            if random.random() < 0.5:
                both.model.restart()
            seen.add(node.open())
        elif chance < 0.1:
            seen.add(Caller(both, random, [b"other", *config[1:]]).epoch and b"OTHER")
        else:
            node.read()
            seen.add(node.turn(tickets, nodes))
        if both.model.state is not None:
            both.compare()
        for dead in [each for each in nodes if random.random() < 0.01]:
            nodes.remove(dead)
        if not nodes:
            nodes.append(Caller(both, random, config))
    return seen


def test_an_owner_forgets_its_own_oldest_ticket_first(server: RedisServer) -> None:
    both = Both(server, "forgetting")
    node = Caller(both, Random(0), [b"alike", b"1", b"1000000", b"%d" % LEASE])
    connections = [node.identity + b"-%d" % each for each in range(70)]

    for each, connection in enumerate(connections):
        words = [b"enter", connection, b"ann", b"ticket %d" % each, b"ann"]
        node.say([*words, b"leave", connection, b"0"])
    both.compare()
    state = both.model.state
    both.redis.close()

    assert state is not None
    assert list(state.tickets) == [b"ticket %d" % each for each in range(6, 70)]


def test_the_members_of_a_dead_node_leave_in_parts(server: RedisServer) -> None:
    both = Both(server, "reaping")
    config = [b"alike", b"1", b"1000000", b"%d" % LEASE]
    dead, node = Caller(both, Random(1), config), Caller(both, Random(2), config)
    for each in range(300):
        name = b"user %d" % each
        dead.say([b"enter", dead.identity + b"-%d" % each, name, b"ticket of " + name, name])
    both.pass_lease()
    both.renew(node.identity)

    left = [node.say([b"reap", dead.identity])[1].partition(b"\n")[2] for _ in range(3)]
    both.compare()
    both.redis.close()

    assert left == [b"45", b"0", b"0"]
    assert dead.say([])[0] == b"FENCED"


@pytest.mark.parametrize("has_read", [True, False], ids=["read", "told"])
def test_only_the_digest_tells_a_history_from_another_that_is_as_long(
    server: RedisServer, has_read: bool
) -> None:
    """An engine that lost a record goes on, until its stream is as long as it had been.

    The node that knows of the lost record made no call that was lost, so its number is right.
    """
    both = Both(server, f"as-long-{has_read}")
    config = [b"alike", b"1", b"1000000", b"%d" % LEASE]
    reader, writer, other = (Caller(both, Random(seed), config) for seed in range(3))
    replica = both.copied()
    writer.enter(b"ann")
    assert both.model.state is not None
    reader.told = known = engine.written(both.model.state.last), both.model.state.digest
    if has_read:
        reader.place, reader.digest = known

    both.fail_over(replica)
    both.pass_lease()
    assert other.open(durable=b"1") == b"OK", "the others are fenced"
    other.enter(b"bob")
    both.compare()
    assert (engine.written(both.model.state.last), both.model.state.digest) != known
    assert engine.written(both.model.state.last) == known[0]
    status = reader.open(durable=b"1")
    both.redis.close()

    assert status == b"LOST"


def run(server: RedisServer, rooms: range, steps: int) -> None:
    seen: set[bytes] = set()
    for seed in rooms:
        try:
            seen |= live(server, seed, steps)
        except AssertionError as failure:
            failure.add_note(f"room {seed}")
            raise
    every = {b"OK", b"EPOCH", b"FENCED", b"LOST", b"RECOVERING", b"OTHER"}
    assert every <= seen or 0 not in rooms, "the first rooms have every answer, also a rare one"


@pytest.mark.parametrize(
    "rooms", [range(10), pytest.param(range(10, 30), marks=pytest.mark.once)], ids=str
)
@pytest.mark.unmeasured
def test_the_scripts_answer_as_the_model_of_the_engine_does(
    server: RedisServer, rooms: range
) -> None:
    run(server, rooms, 80)


@pytest.mark.slow
def test_the_scripts_answer_as_the_model_does_in_a_thousand_rooms(server: RedisServer) -> None:
    run(server, range(1_000), 120)
