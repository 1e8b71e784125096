"""C9: what the fuzzer reached and once found, replayed; the fuzzer itself; and a flood."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.eventcodec.fuzz.flood import flood
from tests.eventcodec.fuzz.harness import check
from tests.eventcodec.fuzz.inputs import CORPUS, REGRESSIONS, load
from tests.together import together

ROOT = Path(__file__).resolve().parents[2]


@together("data", load(CORPUS))
def test_what_the_fuzzer_reached_keeps_every_promise(data: bytes) -> None:
    """C9."""
    check(data)


@together("data", load(REGRESSIONS))
def test_what_once_failed_does_not_fail_again(data: bytes) -> None:
    """C9."""
    check(data)


@together("data", [bytes([n]) for n in range(256)] + [b""])
def test_no_bytes_at_all_keep_every_promise(data: bytes) -> None:
    check(data)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_the_fuzzer_finds_nothing() -> None:
    """C9: ten minutes, or FUZZ_SECONDS."""
    seconds = os.environ.get("FUZZ_SECONDS", "600")

    done = subprocess.run(
        [sys.executable, "-m", "tests.eventcodec.fuzz", seconds],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr[-5_000:]


@pytest.mark.unmeasured
def test_mutated_frames_bring_nothing_undocumented_out() -> None:
    """C9, blindly and the short form."""
    assert 0 < flood(20_000, seed=1) < 20_000


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_ten_million_mutated_frames_bring_nothing_undocumented_out() -> None:
    """C9, blindly: on all processors, for guided by coverage there are fewer."""
    batch, seeds = 50_000, range(2, 202)

    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        refused = sum(pool.map(flood, [batch] * len(seeds), seeds))

    tried = batch * len(seeds)
    print(f"{tried} mutated frames, {refused} of them refused")
    assert tried >= 10_000_000
    assert 0 < refused < tried
