"""Nodes that are wrong in one way each: the random lives of `nodes_model` notice every one.

What only a fault of the engine shows is here. What clients of two servers can see is in
`refserver.mutants.sharing`, and the kit notices it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from tests.refserver import engine
from tests.refserver.nodes_model import live

from refserver.cluster.calls import Status, parse_turn
from refserver.cluster.node import Call, Node, Phase
from refserver.cluster.records import Fence, Record

ROOMS = 60
"""All of them are noticed in the first twelve."""
STEPS = 800

Wrong = Callable[[pytest.MonkeyPatch], None]
WRONG: dict[str, Wrong] = {}


def wrong(what: str) -> Callable[[Wrong], Wrong]:
    def enter(apply: Wrong) -> Wrong:
        WRONG[what] = apply
        return apply

    return enter


@wrong("a call without an answer is made again under a new number")
def _(patch: pytest.MonkeyPatch) -> None:
    original = Node.next_call

    def next_call(self: Node) -> Call:
        if self.phase is Phase.OPEN and self._call is not None:
            self._queue.extendleft(reversed(self._finish_call().operations))
        return original(self)

    patch.setattr(Node, "next_call", next_call)


@wrong("a node goes on behind its fence")
def _(patch: pytest.MonkeyPatch) -> None:
    original = Node._apply

    def apply(self: Node, item: Any, asked: bool = False) -> None:
        if not isinstance(item, Fence):
            original(self, item, asked)

    opened = Node.opened

    def open_anew(self: Node, status: Status, told: bytes = b"") -> None:
        if status is not Status.FENCED:
            opened(self, status, told)

    patch.setattr(Node, "opened", open_anew)
    patch.setattr(Node, "_be_fenced", lambda self: None)
    patch.setattr(Node, "_apply", apply)


@wrong("a record that does not follow is read")
def _(patch: pytest.MonkeyPatch) -> None:
    original = Node.read

    def read(self: Node, record: Record) -> bool:
        return original(self, replace(record, digest=self._digest))

    patch.setattr(Node, "read", read)


@wrong("an Ack goes out when the engine answers, before the copy has come there")
def _(patch: pytest.MonkeyPatch) -> None:
    original = Node.answered

    def answered(self: Node, number: int, status: Status, blob: bytes = b"") -> None:
        call = self._call
        original(self, number, status, blob)
        if status is Status.OK and (call := self._awaited.get(number)) is not None:
            for (_, placed), answer in zip(call.operations, parse_turn(blob)[1], strict=True):
                placed(answer)
            call.operations = [(each, lambda answer: None) for each, _ in call.operations]

    patch.setattr(Node, "answered", answered)


@wrong("a reply without an entry goes out when the engine answers")
def _(patch: pytest.MonkeyPatch) -> None:
    def place_unplaced(self: Node) -> None:
        while self._unplaced:
            _, call, answers = self._unplaced.popleft()
            for (operation, placed), answer in zip(call.operations, answers, strict=True):
                self._place(operation, placed, answer)

    patch.setattr(Node, "_place_unplaced", place_unplaced)


@wrong("what is said by a connection that another has superseded is entered")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine.Turn, "_is_own", lambda self, connection: True)


@wrong("the members of a dead node leave again at each reap")
def _(patch: pytest.MonkeyPatch) -> None:
    original = engine.Turn._part

    def part(self: Any, connection: bytes, reason: int) -> Any:
        user = self.state.tickets[self.state.connections[connection]].user
        original(self, connection, reason)
        self._item(b"L", engine.short(connection) + bytes([reason]) + engine.short(user))
        self._fact(18 + len(user))

    patch.setattr(engine.Turn, "_part", part)


@pytest.mark.parametrize("what", list(WRONG))
def test_a_life_of_a_room_shows_it(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WRONG[what](monkeypatch)

    with pytest.raises((AssertionError, KeyError)):
        for seed in range(ROOMS):
            live(Random(seed), STEPS, Counter())
