"""C8: the codec does not rest on its own asserts, docstrings or warnings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
pytestmark = pytest.mark.once

QUICK = ("test_framing.py", "test_states.py", "test_limits_errors.py")
MODES: tuple[list[str], ...] = ([], ["-O"], ["-OO"], ["-X", "dev", "-W", "error"])


def passed(mode: list[str], tests: list[str]) -> int:
    """How many of the tests pass in a Python of this mode; all of them must."""
    options = [
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestConfigWarning",
    ]
    done = subprocess.run(
        [sys.executable, *mode, "-m", "pytest", *options, *tests],
        cwd=ROOT,
        env={**os.environ, "HYPOTHESIS_PROFILE": "fast"},  # a soak looks harder elsewhere
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-5_000:]
    count = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert count, done.stdout
    return int(count[1])


def test_a_part_of_the_tests_passes_in_every_mode() -> None:
    """C8, the short form. As it is, they pass in the ordinary run."""
    tests = [str(HERE / name) for name in QUICK]
    modes = [mode for mode in MODES if mode]

    with ThreadPoolExecutor(len(modes)) as pool:
        counts = list(pool.map(lambda mode: passed(mode, tests), modes))

    assert counts == [counts[0]] * len(modes)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_every_test_passes_in_every_mode() -> None:
    """C8."""
    tests = [str(HERE), "--ignore", str(HERE / "test_modes.py")]

    counts = [passed(mode, tests) for mode in MODES]

    print(f"{counts[0]} tests in each of {len(MODES)} modes")
    assert counts == [counts[0]] * len(MODES)
