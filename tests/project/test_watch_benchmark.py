"""The benchmark of the proxy runs, and says what it measured."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.once


def test_the_benchmark_of_the_proxy_prints_a_row_for_each_figure() -> None:
    command = [sys.executable, "-m", "benchmarks.watch.run", "--quick"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    assert [line.count("|") for line in done.stdout.splitlines()] == [7] * 6
