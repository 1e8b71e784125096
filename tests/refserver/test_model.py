"""Whatever happens in a room, every connection reads the log from its place on."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.refserver.model import live

STEPS = 200
HAPPENS = {
    "login",
    "resume",
    "logout",
    "lost",
    "end of input",
    "BAD_USER",
    "USER_TAKEN",
    "HISTORY_GONE",
    "SLOW_CONSUMER",
    "SHUTTING_DOWN",
    "TIMEOUT",
    "MALFORMED",
}


def run(rooms: range) -> None:
    seen: Counter[str] = Counter()
    for seed in rooms:
        try:
            live(Random(seed), STEPS, seen)
        except AssertionError as failure:
            failure.add_note(f"room {seed}")
            raise
    assert not HAPPENS - set(seen)


@pytest.mark.parametrize(
    "rooms", [range(100), pytest.param(range(100, 500), marks=pytest.mark.once)], ids=str
)
@pytest.mark.unmeasured
def test_every_connection_reads_the_log_from_its_place_on(rooms: range) -> None:
    run(rooms)


@given(random=st.randoms(use_true_random=False), steps=st.integers(0, 60))
def test_no_short_life_is_found_in_which_one_does_not(random: Random, steps: int) -> None:
    """Hypothesis decides what happens, and shortens the life that goes wrong."""
    live(random, steps, Counter())


@pytest.mark.slow
def test_every_connection_of_five_thousand_rooms_reads_the_log_from_its_place_on() -> None:
    run(range(5_000))
