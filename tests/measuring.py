"""What coverage does not measure: tests that reach with many inputs what others reach with one.

Rule: nothing here imports the packages, so that the codec's tests run where the
server is absent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["UNMEASURED", "unmeasured"]

UNMEASURED = {"hypothesis", "unmeasured"}
"""The markers of these tests. Hypothesis gives the first one to each of its own: what only a random
input reaches does not count as covered."""


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage, if it runs, measures neither this block nor the processes that it starts."""
    package = sys.modules.get("coverage")
    coverage = package.Coverage.current() if package else None
    if coverage is None:
        yield
        return
    of_processes = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    coverage.stop()
    try:
        yield
    finally:
        coverage.start()
        if of_processes is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = of_processes
