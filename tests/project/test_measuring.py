"""What is not measured: coverage stops, or new processes do not learn of it, until the end."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
from tests.measuring import FOR_PROCESSES, MEASURED_PROCESSES, only_here, unmeasured

TOLD = os.environ.keys() & FOR_PROCESSES
"""What this process was told of measuring when it began."""


@pytest.fixture(params=sorted(FOR_PROCESSES))
def variable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The variable of the environment that has processes measured."""
    for name in FOR_PROCESSES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, "settings")
    return str(request.param)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What coverage is told."""
    told: list[str] = []
    running = SimpleNamespace(stop=lambda: told.append("stop"), start=lambda: told.append("start"))
    package = SimpleNamespace(Coverage=SimpleNamespace(current=lambda: running))
    monkeypatch.setitem(sys.modules, "coverage", package)
    return told


def test_a_block_is_not_measured(heard: list[str]) -> None:
    with unmeasured():
        assert heard == ["stop"]

    assert heard == ["stop", "start"]


def test_the_processes_of_a_block_are_not_measured(variable: str) -> None:
    with only_here():
        assert FOR_PROCESSES.isdisjoint(os.environ)

    assert os.environ.keys() & FOR_PROCESSES == {variable}
    assert os.environ[variable] == "settings"


def test_measuring_goes_on_after_a_failure(heard: list[str], variable: str) -> None:
    with pytest.raises(ZeroDivisionError), only_here(), unmeasured():
        print(1 // 0)

    assert heard == ["stop", "start"]
    assert os.environ[variable] == "settings"


def test_where_nothing_is_measured_nothing_stops(heard: list[str]) -> None:
    sys.modules["coverage"].Coverage.current = lambda: None

    with unmeasured():
        pass

    assert heard == []


def test_a_process_of_a_test_is_not_measured() -> None:
    assert FOR_PROCESSES.isdisjoint(os.environ)


@pytest.mark.measured_processes
def test_a_process_is_measured_where_the_test_says_so(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker(MEASURED_PROCESSES)
    assert os.environ.keys() & FOR_PROCESSES == TOLD
