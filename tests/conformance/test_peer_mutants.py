"""Faults of a client, one by one: each is found by exactly the cases that guard it.

The other way round too: no case is there that no fault has ever made fail.
"""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.conformance import faulty_client
from tests.conformance.threaded import InThread
from tests.measuring import first_measured
from tools import matrix

from refserver.conformance.attempt import CONNECTING, Setting
from refserver.conformance.model import Case, Result, Verdict
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.run import CAPABILITIES, LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.streams import Stream, Wrap
from refserver.conformance.suite import Plan, run_suite

DECLARED = frozenset(CAPABILITIES)
TIMEOUT = 0.05
"""Seconds until what must come is missed. They pass only while the client waits for input."""

KILLS = matrix.recorded(matrix.CLIENT_RECORD)
"""What builds upon a case that fails is inconclusive, and so stands not here."""


HAS_WEBSOCKETS = find_spec("websockets") is not None


def faults() -> list[pytest.ParameterSet]:
    """The recorded faults; those over WebSocket are skipped where nothing speaks it."""
    skip = [pytest.mark.skip(reason="the extra ws is not installed")] * (not HAS_WEBSOCKETS)
    is_web = {fault: fault.startswith(faulty_client.OVER_WEBSOCKET) for fault in KILLS}
    return [pytest.param(fault, marks=skip if is_web[fault] else ()) for fault in KILLS]


def results(
    fault: str,
    cases: Iterable[Case],
    segmentation: Segmentation = Segmentation.WHOLE,
    wrap: Wrap | None = None,
) -> list[Result]:
    """What these cases say of the client with this fault; `wrap` makes its streams over TCP."""
    is_web = fault.startswith(faulty_client.OVER_WEBSOCKET)
    declared = DECLARED | {"websocket"} if is_web else DECLARED
    wrap = import_module("refserver.conformance.websocket").accepted if is_web else wrap
    driver = ClientDriver(
        command=["{host}", "{port}", fault],
        setting=Setting(address=LOOPBACK, timeout=TIMEOUT, capabilities=declared, wrap=wrap),
        seed=7,
        start=partial(InThread, faulty_client.play),
    )
    plan = Plan(cases=list(cases), segmentations=[segmentation], capabilities=declared)
    return run_suite(plan, driver)


def failing(fault: str, cases: Iterable[Case]) -> set[str]:
    """Which of these cases fail with this fault.

    With a fault of WebSocket only those that need it are run: what stands before them fails too.
    """
    if fault.startswith(faulty_client.OVER_WEBSOCKET):
        cases = [case for case in cases if "websocket" in case.capabilities]
    return {each.case for each in results(fault, cases) if each.verdict is Verdict.FAILED}


@pytest.mark.parametrize("segmentation", first_measured(Segmentation))
def test_without_a_fault_every_case_passes(segmentation: Segmentation) -> None:
    run = results("", CLIENT_CASES, segmentation)

    others = {each.case: each.actual for each in run if each.verdict is not Verdict.PASSED}

    assert set(others) == {case.id for case in CLIENT_CASES if "websocket" in case.capabilities}


@pytest.mark.skipif(not HAS_WEBSOCKETS, reason="the extra ws is not installed")
def test_over_websocket_every_case_passes_that_it_can_carry() -> None:
    run = results(faulty_client.OVER_WEBSOCKET, CLIENT_CASES)

    others = {each.case: each.actual for each in run if each.verdict is not Verdict.PASSED}
    assert others == {}


def test_a_handshake_may_take_longer_than_what_must_come() -> None:
    waits: list[float | None] = []

    def noted(sock: socket.socket) -> Stream:
        waits.append(sock.gettimeout())
        return Stream(sock)

    run = results("", [case for case in CLIENT_CASES if case.id == "PEER-SAY-01"], wrap=noted)

    assert [each.verdict for each in run] == [Verdict.PASSED]
    assert waits == [CONNECTING]


@pytest.mark.once
@pytest.mark.parametrize("fault", faults())
def test_a_fault_is_found_by_each_of_its_cases(fault: str) -> None:
    guarding = [case for case in CLIENT_CASES if case.id in KILLS[fault]]

    assert failing(fault, guarding) == set(KILLS[fault])


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults())
def test_a_fault_is_found_by_exactly_its_cases(fault: str) -> None:
    assert failing(fault, CLIENT_CASES) == set(KILLS[fault])


def test_every_case_has_been_seen_to_fail() -> None:
    killing = {case for cases in KILLS.values() for case in cases}

    assert {case.id for case in CLIENT_CASES} == killing


ENCODINGS = {"latin-1", "utf-8", "utf-8-sig"}
"""Names in the client's source that look like those of faults."""


def test_every_fault_of_the_client_is_tried() -> None:
    source = ast.parse(Path(faulty_client.__file__).read_text(encoding="utf-8"))
    constants = (node.value for node in ast.walk(source) if isinstance(node, ast.Constant))
    texts = {value for value in constants if isinstance(value, str)}
    asked = {
        argument.value
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.has"
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }
    hyphened = {each for each in texts if re.fullmatch(r"[a-z\d]+(-[a-z\d]+)+", each)}

    assert (hyphened | asked) - ENCODINGS == set(KILLS)
