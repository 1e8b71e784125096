"""What coverage does not measure: tests that reach with many inputs what others reach with one.

Rule: nothing here imports the packages, so that the codec's tests run where the
server is absent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["UNMEASURED", "keep", "unmeasured"]

UNMEASURED = {"hypothesis", "unmeasured"}
"""The markers of these tests. Hypothesis gives the first one to each of its own: what only a random
input reaches does not count as covered."""

FOR_PROCESSES = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"}
"""What has a new process measured. It depends on the version of coverage which of them is set."""


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage, if it runs, measures neither this block nor the processes that it starts."""
    package = sys.modules.get("coverage")
    coverage = package.Coverage.current() if package else None
    if coverage is None:
        yield
        return
    of_processes = {name: value for name, value in os.environ.items() if name in FOR_PROCESSES}
    for name in of_processes:
        del os.environ[name]
    coverage.stop()
    try:
        yield
    finally:
        coverage.start()
        os.environ.update(of_processes)


def keep() -> None:
    """Write what was measured until now; pytest-xdist kills a process that takes 10 s to end."""
    package = sys.modules.get("coverage")
    coverage = package.Coverage.current() if package else None
    if coverage is not None:
        coverage.save()
