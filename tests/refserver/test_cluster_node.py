"""Several nodes, and an engine that loses, delays, repeats and rolls back: one order for all."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from tests.refserver.nodes_model import live

HAPPENS = {
    "enter",
    "resume",
    "resent",
    "logout",
    "fenced",
    "over",
    "killed",
    "restart",
    "roll-back",
    "empty",
    "USER_TAKEN",
    "HISTORY_GONE",
    "turn OK",
    "turn EPOCH",
    "turn FENCED",
    "open RECOVERING",
    "open LOST",
    "open EPOCH",
}


def run(rooms: range, steps: int) -> None:
    seen: Counter[str] = Counter()
    for seed in rooms:
        try:
            live(Random(seed), steps, seen)
        except AssertionError as failure:
            failure.add_note(f"room {seed}")
            raise
    assert HAPPENS - set(seen) == set()


@pytest.mark.parametrize(
    "rooms", [range(20), pytest.param(range(20, 100), marks=pytest.mark.once)], ids=str
)
@pytest.mark.unmeasured
def test_all_nodes_have_one_order_and_nothing_twice_whatever_the_engine_does(rooms: range) -> None:
    run(rooms, 800)


@pytest.mark.slow
def test_two_thousand_rooms_on_several_nodes_have_one_order_and_nothing_twice() -> None:
    run(range(2_000), 1_500)
