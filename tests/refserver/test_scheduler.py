"""Whose turn it is: who asks for little goes first, and those who have more go round."""

from __future__ import annotations

import pytest

from refserver.server.scheduler import (
    FEWEST_FIRST,
    FEWEST_FRAMES,
    FRAMES,
    IN_SECONDS,
    OUT_SECONDS,
    Scheduler,
)


class Turns:
    """A scheduler of names, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.scheduler: Scheduler[str] = Scheduler(lambda: self.now)

    def read(
        self, *, members: int = 1, costs: float = 0.0, frames: int = 1, size: int = 0
    ) -> list[str]:
        """One turn, in which each client uses so much."""
        scheduler, served = self.scheduler, []
        scheduler.begin_input(members)
        while (client := scheduler.next_reader()) is not None:
            served.append(client)
            self.now += costs
            scheduler.charge(client, frames, frames, size)
        return served

    def write(self, *, costs: float = 0.0) -> list[str]:
        """The part of one turn for output, in which each write costs so much time."""
        served = []
        self.scheduler.begin_output()
        while (client := self.scheduler.next_writer()) is not None:
            served.append(client)
            self.now += costs
        return served


@pytest.mark.proves("EP-7.2-3")
def test_who_begins_to_ask_goes_before_those_who_have_more() -> None:
    turns = Turns()
    for flooder in ("a", "b", "c"):
        turns.scheduler.has_more_input(flooder)
    turns.scheduler.has_input("bob")

    assert turns.read() == ["bob", "a", "b", "c"]


def test_who_uses_much_in_each_turn_goes_round_though_it_is_idle_in_between() -> None:
    turns = Turns()
    turns.scheduler.has_input("flooder")
    turns.read(frames=100)

    turns.scheduler.has_input("flooder")
    turns.scheduler.has_input("bob")

    assert turns.read() == ["bob", "flooder"]
    turns.read()
    turns.scheduler.has_input("flooder")
    turns.scheduler.has_input("bob")
    assert turns.read() == ["flooder", "bob"]


def test_a_turn_ends_when_its_time_is_over_and_the_next_goes_on_there() -> None:
    turns = Turns()
    clients = [f"client {number}" for number in range(10)]
    for client in clients:
        turns.scheduler.has_more_input(client)

    assert turns.read(costs=0.4 * IN_SECONDS) == clients[:3]
    assert turns.read(costs=0.4 * IN_SECONDS) == clients[3:6]


def test_those_who_go_round_have_a_part_of_each_turn() -> None:
    turns = Turns()
    turns.scheduler.has_more_input("round")
    for number in range(100):
        turns.scheduler.has_input(f"first {number}")

    served = turns.read(costs=0.1 * IN_SECONDS)

    assert "round" in served
    assert len(served) > 8


@pytest.mark.parametrize(("members", "most"), [(1, 16), (1_000, 1)])
def test_what_is_entered_in_a_turn_is_bounded_by_what_must_be_written(
    members: int, most: int
) -> None:
    turns = Turns()
    for number in range(100):
        turns.scheduler.has_input(f"author {number}")

    served = turns.read(members=members, size=65_536)

    assert most <= len(served) <= most + 1


@pytest.mark.parametrize(("waiting", "first"), [(1, 1_980), (2, FRAMES), (10_000, FEWEST_FIRST)])
def test_where_many_wait_each_has_a_share(waiting: int, first: int) -> None:
    """1,980 frames to 101 clients are as many deliveries as a turn may have."""
    turns = Turns()
    for number in range(waiting):
        turns.scheduler.has_input(f"client {number}")
    turns.scheduler.begin_input(members=100)

    turns.scheduler.next_reader()
    assert turns.scheduler.frames == first

    turns = Turns()
    for number in range(waiting):
        turns.scheduler.has_more_input(f"client {number}")
    turns.scheduler.begin_input(members=100)
    turns.scheduler.next_reader()
    assert turns.scheduler.frames == max(first, FEWEST_FRAMES)


@pytest.mark.proves("EP-7.2-3")
def test_a_reply_goes_before_those_who_replay() -> None:
    turns = Turns()
    for number in range(400):
        turns.scheduler.has_more_output(f"replay {number}")
    turns.scheduler.has_output("bob")

    served = turns.write(costs=0.4 * OUT_SECONDS)

    assert served == ["bob", "replay 0", "replay 1"]


def test_those_who_replay_go_round_however_often_they_ask() -> None:
    turns = Turns()
    for client in ("a", "b", "c"):
        turns.scheduler.has_more_output(client)
    turns.scheduler.has_output("c")

    assert turns.write(costs=2 * OUT_SECONDS) == ["a"]
    turns.scheduler.has_more_output("a")
    assert turns.write() == ["b", "c", "a"]


def test_a_mark_stands_until_all_before_it_were_written_to() -> None:
    turns = Turns()
    for client in ("a", "b"):
        turns.scheduler.has_more_output(client)
    turns.scheduler.mark()
    turns.scheduler.has_more_output("later")

    assert turns.write(costs=2 * OUT_SECONDS) == ["a"]
    assert turns.scheduler.is_marked
    assert turns.write(costs=0.6 * OUT_SECONDS) == ["b", "later"]
    assert not turns.scheduler.is_marked
