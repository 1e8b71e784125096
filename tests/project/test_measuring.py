"""What is not measured: coverage stops, for the processes too, and goes on afterwards."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
from tests.measuring import FOR_PROCESSES, unmeasured


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


def test_neither_a_block_nor_its_processes_are_measured(heard: list[str], variable: str) -> None:
    with unmeasured():
        assert heard == ["stop"]
        assert FOR_PROCESSES.isdisjoint(os.environ)

    assert heard == ["stop", "start"]
    assert os.environ[variable] == "settings"


def test_measuring_goes_on_after_a_failure(heard: list[str], variable: str) -> None:
    with pytest.raises(ZeroDivisionError), unmeasured():
        print(1 // 0)

    assert heard == ["stop", "start"]
    assert os.environ[variable] == "settings"


def test_where_nothing_is_measured_nothing_stops(heard: list[str], variable: str) -> None:
    sys.modules["coverage"].Coverage.current = lambda: None

    with unmeasured():
        assert os.environ[variable] == "settings"

    assert heard == []
