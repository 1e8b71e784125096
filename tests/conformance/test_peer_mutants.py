"""Faults of a client, one by one: each is found by exactly the cases that guard it.

The other way round too: no case is there that no fault has ever made fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from tests.conformance import faulty_client
from tests.conformance.threaded import InThread
from tools import matrix

from refserver.conformance.attempt import Setting
from refserver.conformance.model import Case, Result, Verdict
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.run import CAPABILITIES, LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import Plan, run_suite

pytestmark = pytest.mark.once

DECLARED = frozenset(CAPABILITIES)
TIMEOUT = 0.05
"""Seconds until what must come is missed. They pass only while the client waits for input."""

KILLS = matrix.recorded(matrix.CLIENT_RECORD)
"""What builds upon a case that fails is inconclusive, and so stands not here."""


def results(
    fault: str, cases: Iterable[Case], segmentation: Segmentation = Segmentation.WHOLE
) -> list[Result]:
    """What these cases say of the client with this fault."""
    driver = ClientDriver(
        command=["{host}", "{port}", fault],
        setting=Setting(address=LOOPBACK, timeout=TIMEOUT, capabilities=DECLARED),
        seed=7,
        start=partial(InThread, faulty_client.play),
    )
    plan = Plan(cases=list(cases), segmentations=[segmentation], capabilities=DECLARED)
    return run_suite(plan, driver)


def failing(fault: str, cases: Iterable[Case]) -> set[str]:
    """Which of these cases fail with this fault."""
    return {each.case for each in results(fault, cases) if each.verdict is Verdict.FAILED}


@pytest.mark.parametrize("segmentation", Segmentation)
def test_without_a_fault_every_case_passes(segmentation: Segmentation) -> None:
    run = results("", CLIENT_CASES, segmentation)

    told = {each.case: each.actual for each in run if each.verdict.bad}

    assert told == {}


@pytest.mark.parametrize("fault", KILLS)
def test_a_fault_is_found_by_each_of_its_cases(fault: str) -> None:
    guarding = [case for case in CLIENT_CASES if case.id in KILLS[fault]]

    assert failing(fault, guarding) == set(KILLS[fault])


@pytest.mark.slow
@pytest.mark.parametrize("fault", KILLS)
def test_a_fault_is_found_by_exactly_its_cases(fault: str) -> None:
    assert failing(fault, CLIENT_CASES) == set(KILLS[fault])


def test_every_case_has_been_seen_to_fail() -> None:
    killing = {case for cases in KILLS.values() for case in cases}

    assert {case.id for case in CLIENT_CASES} == killing


def test_every_fault_of_the_client_is_tried() -> None:
    source = faulty_client.__spec__.loader.get_source(faulty_client.__name__)  # type: ignore

    assert all(f'"{fault}"' in source for fault in KILLS)
