"""What coverage does not measure: what repeats, and most of the processes that tests start.

Rule: nothing here imports the packages, so that the codec's tests run where the
server is absent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

__all__ = ["MEASURED_PROCESSES", "UNMEASURED", "first_measured", "keep", "only_here", "unmeasured"]

UNMEASURED = {"hypothesis", "unmeasured"}
"""The markers of tests that reach with many inputs what others reach with one. Hypothesis gives the
first one to each of its own: what only a random input reaches does not count as covered."""

MEASURED_PROCESSES = "measured_processes"
"""The marker of tests whose processes are measured too, because they run what no test runs in the
process of pytest. No other process is measured: it would take twice as long to start."""

FOR_PROCESSES = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"}
"""What has a new process measured. It depends on the version of coverage which of them is set."""


def first_measured(values: Iterable[object]) -> list[object]:
    """These as the parameters of a test: the first is measured, and the others repeat it."""
    first, *others = values
    return [first, *(pytest.param(value, marks=pytest.mark.unmeasured) for value in others)]


@contextmanager
def only_here() -> Iterator[None]:
    """Coverage, if it runs, measures no process that this block starts."""
    of_processes = {name: os.environ.pop(name) for name in FOR_PROCESSES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(of_processes)


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage, if it runs, does not measure this block."""
    package = sys.modules.get("coverage")
    coverage = package.Coverage.current() if package else None
    if coverage is None:
        yield
        return
    coverage.stop()
    try:
        yield
    finally:
        coverage.start()


def keep() -> None:
    """Write what was measured until now; pytest-xdist kills a process that takes 10 s to end."""
    package = sys.modules.get("coverage")
    coverage = package.Coverage.current() if package else None
    if coverage is not None:
        coverage.save()
