"""Clients of several servers of one room do whatever they like, and each reads what is right."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from tests.refserver.engine import Engine
from tests.refserver.shared_servers import Client, Server
from tests.support.raw import (
    ACK,
    APPLICATION,
    ERROR,
    JOINED,
    LEFT,
    MESSAGE,
    USER_TAKEN,
    WELCOME,
    Frame,
    acked,
    error_of,
    frame,
    login,
    logout,
    message,
    ping,
    short,
    welcomed,
)

FACTS = {MESSAGE, JOINED, LEFT, APPLICATION}
NAMES = ["ann", "bob", "cyd", ""]
HAPPENS = {
    "welcome",
    "taken over at its Logout",
    "lost at its Logout",
    "Logout acknowledged",
    "ended with an Error",
    "ended without a word",
    "fenced",
    "away",
}


class Reader:
    """One client: what it asked, and whether all that it reads is right."""

    def __init__(self, server: Server, log: dict[int, Frame], seen: Counter[str]) -> None:
        self.server = server
        self.client: Client = server.connect()
        self.last = 0  # the number of its last request
        self.unanswered: list[int] = []
        self.logout = 0
        self.position: int | None = None
        self.ticket = 0
        self.is_lost = False
        self.is_done = False  # it has closed its sending side
        self.is_over = False
        self._log = log
        self._seen = seen

    def ask(self, request: bytes) -> None:
        """Send a request with the next number."""
        self.unanswered.append(self.last)
        self.client.ask(request)

    def number(self) -> int:
        """The number of the next request."""
        self.last += 1
        return self.last

    def lose(self) -> None:
        """Its connection is gone."""
        self._seen["lost at its Logout"] += self.logout in self.unanswered
        self.client.session.lost()
        self.is_lost = True

    def read(self) -> None:
        """Read what has come, and check it."""
        for each in self.client.sync():
            assert not self.is_lost and not self.is_over
            if each.type in FACTS:
                self._fact(each)
            elif each.type == ERROR and not each.seq:
                self._over("ended with an Error")
                self._seen["taken over at its Logout"] += self.logout in self.unanswered and (
                    error_of(each).code == USER_TAKEN
                )
            else:
                self._reply(each)
        if self.client.session.outbox.finished and not self.is_lost and not self.is_over:
            self._over("ended without a word")

    def _over(self, how: str) -> None:
        self.is_over = True
        self._seen[how] += 1

    def _fact(self, fact: Frame) -> None:
        assert self.position is not None
        self.position += 1
        assert fact.seq == self.position
        assert self._log.setdefault(fact.seq, fact) == fact

    def _reply(self, reply: Frame) -> None:
        assert reply.seq == self.unanswered.pop(0)
        if reply.type == WELCOME:
            welcome = welcomed(reply)
            self.position, self.ticket = welcome.position, welcome.ticket
            self._seen["welcome"] += 1
        elif reply.type == ACK:
            assert self.position is not None
            self.position += 1
            assert acked(reply) == self.position  # its own entry, which is not sent to it
            if reply.seq == self.logout:
                self._over("Logout acknowledged")


def live(random: Random, steps: int, seen: Counter[str]) -> None:
    """A room of three servers, whose clients and engine do what they like."""
    engine = Engine()
    servers = [Server(engine) for _ in range(3)]
    log: dict[int, Frame] = {}
    readers: list[Reader] = []

    def come() -> None:
        reader = Reader(random.choice(servers), log, seen)
        readers.append(reader)
        known = [each for each in readers if each.ticket]
        if known and random.random() < 0.6:
            of = random.choice(known)
            assert of.position is not None
            reader.ask(login("", seq=reader.number(), ticket=of.ticket, position=of.position))
        else:
            reader.ask(login(random.choice(NAMES), seq=reader.number()))

    def act(reader: Reader) -> None:
        match 2 if reader.is_done else random.randrange(12):
            case 0 | 1:
                reader.ask(logout(reader.number()))
                reader.logout = reader.logout or reader.last
            case 2:
                reader.lose()
            case 3:
                reader.is_done = True
                reader.client.session.receive_eof()
                reader.client.ask()
            case 4:
                reader.client.ask(bytes.fromhex("0000000c") + bytes(12))
            case 5:
                reader.ask(frame(APPLICATION, reader.number(), short("") + b"data"))
            case 6 | 7:
                reader.ask(ping(reader.number()))
            case _:
                reader.ask(message(b"%d" % len(log), reader.number()))

    def stand_still(server: Server) -> None:
        for each in servers * 8:
            if each is not server:
                engine.time += 2_000
                each.sequencer.engine_is_back()
                each.pump()

    def engine_acts(server: Server) -> None:
        match random.randrange(40):
            case 0:
                stand_still(server)
            case 1:
                server.sequencer.node.disconnected()
            case 2:
                server.sequencer.engine_is_away()
                seen["away"] += 1
            case each if each < 22:
                server.sequencer.engine_is_back()
                server.call()
            case _:
                server.read()

    def settle() -> None:
        for _ in range(8):
            for server in servers:
                server.sequencer.engine_is_back()
                server.pump()
            for reader in readers:
                reader.client.ask()
                reader.read()

    for _ in range(steps):
        there = [each for each in readers if not each.is_lost and not each.is_over]
        if not there or random.random() < 0.1:
            come()
        elif random.random() < 0.5:
            act(random.choice(there))
        else:
            engine_acts(random.choice(servers))
        for reader in readers:
            reader.read()
    settle()
    for reader in readers:
        assert reader.is_lost or reader.is_over or not reader.unanswered
    seen["fenced"] += sum(server.ends.count("fenced") for server in servers)

    for server in servers[1:]:
        server.sequencer.shut()
        server.sequencer.retire()
    settle()


def run(rooms: int, steps: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(rooms):
        try:
            live(Random(seed), steps, seen)
        except Exception as failure:
            failure.add_note(f"room {seed}")
            raise
    assert HAPPENS - {what for what, count in seen.items() if count} == set()


@pytest.mark.unmeasured
def test_each_client_reads_one_order_and_its_replies_whatever_happens() -> None:
    run(60, 200)
