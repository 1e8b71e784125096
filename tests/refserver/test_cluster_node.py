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


def run(rooms: int, steps: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in range(rooms):
        try:
            live(Random(seed), steps, seen)
        except AssertionError as failure:
            failure.add_note(f"room {seed}")
            raise
    assert HAPPENS - set(seen) == set()
    return seen


@pytest.mark.unmeasured
def test_all_nodes_have_one_order_and_nothing_twice_whatever_the_engine_does() -> None:
    run(100, 800)


@pytest.mark.slow
def test_two_thousand_rooms_on_several_nodes_have_one_order_and_nothing_twice() -> None:
    run(2_000, 1_500)
