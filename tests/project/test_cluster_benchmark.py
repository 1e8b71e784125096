"""The benchmark of shared rooms runs, and says what it measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from tests.support.redis import needs_redis

pytest.importorskip("redis")
pytestmark = [
    pytest.mark.once,
    needs_redis,
    pytest.mark.skipif(
        shutil.which(os.environ.get("CC", "cc")) is None,
        reason="the load generator needs a C compiler",
    ),
]


def test_the_benchmark_of_shared_rooms_prints_a_row_for_each_room() -> None:
    command = [sys.executable, "-m", "benchmarks.cluster.run", "--quick"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows] == [6] * 12
