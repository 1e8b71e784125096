"""Many mutated frames through every reader: none may differ, none may break.

A fixed seed makes them; a difference comes with the bytes that show it.
"""

from __future__ import annotations

import pytest
from tests.eventcodec.differential import check
from tests.eventcodec.mutations import SHORT_FRAMES, mutated_frames

SEED = 20_260_117


def check_all(count: int, seed: int) -> None:
    for number, frame in enumerate(mutated_frames(count, seed=seed)):
        try:
            check(frame)
        except BaseException as error:
            error.add_note(f"frame {number} of seed {seed}: {frame.hex()}")
            raise


def test_a_seed_always_makes_the_same_frames() -> None:
    assert list(mutated_frames(200, seed=1)) == list(mutated_frames(200, seed=1))
    assert list(mutated_frames(200, seed=1)) != list(mutated_frames(200, seed=2))


def test_most_mutated_frames_are_wrong_and_some_are_good() -> None:
    frames = list(mutated_frames(2_000, seed=SEED))

    unchanged = sum(frame in SHORT_FRAMES for frame in frames)

    assert unchanged < len(frames) / 10


@pytest.mark.proves("EP-2.4-1", "EP-2.4-2", "EP-2.4-3", "EP-2.4-4", "EP-2.3-3", "EP-8.3-4")
@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("count", "seed"), [(5_000, SEED), pytest.param(10_000, SEED + 21, marks=pytest.mark.once)]
)
def test_all_readers_agree_on_mutated_frames(count: int, seed: int) -> None:
    """C4, the short form: a third of it on each Python."""
    check_all(count, seed)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("part", range(20))
def test_all_readers_agree_on_two_million_mutated_frames(part: int) -> None:
    """C4."""
    check_all(100_000, SEED + 1 + part)
