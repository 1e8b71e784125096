"""What is not measured: coverage stops, for the processes too, and goes on afterwards."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
from tests.measuring import unmeasured


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What coverage is told; the environment has settings for the processes."""
    told: list[str] = []
    running = SimpleNamespace(stop=lambda: told.append("stop"), start=lambda: told.append("start"))
    package = SimpleNamespace(Coverage=SimpleNamespace(current=lambda: running))
    monkeypatch.setitem(sys.modules, "coverage", package)
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "settings")
    return told


def test_neither_a_block_nor_its_processes_are_measured(heard: list[str]) -> None:
    with unmeasured():
        assert heard == ["stop"]
        assert "COVERAGE_PROCESS_CONFIG" not in os.environ

    assert heard == ["stop", "start"]
    assert os.environ["COVERAGE_PROCESS_CONFIG"] == "settings"


def test_measuring_goes_on_after_a_failure(heard: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), unmeasured():
        print(1 // 0)

    assert heard == ["stop", "start"]
    assert os.environ["COVERAGE_PROCESS_CONFIG"] == "settings"


def test_where_nothing_is_measured_nothing_stops(heard: list[str]) -> None:
    sys.modules["coverage"].Coverage.current = lambda: None

    with unmeasured():
        assert os.environ["COVERAGE_PROCESS_CONFIG"] == "settings"

    assert heard == []
