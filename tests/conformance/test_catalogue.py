"""The catalogue is complete in itself: ids, statements, prerequisites, capabilities."""

from __future__ import annotations

import re

import pytest

from refserver.conformance.cases import SECTIONS, SERVER_CASES
from refserver.conformance.catalogue import Section
from refserver.conformance.check import DECLARED_BY
from refserver.conformance.model import Case, Level
from refserver.conformance.statements import statements

pytestmark = pytest.mark.once

EACH = pytest.mark.parametrize("case", SERVER_CASES, ids=lambda case: case.id)


def test_there_are_more_than_a_hundred_and_twenty_cases_under_ids_of_their_own() -> None:
    ids = [case.id for case in SERVER_CASES]

    assert len(ids) == len(set(ids)) >= 120


def test_no_section_is_left_out() -> None:
    assert {case.section for case in SERVER_CASES} == {each.section.name for each in SECTIONS}
    assert len(SERVER_CASES) == sum(len(each.section.cases) for each in SECTIONS)


@EACH
def test_a_case_names_statements_that_exist_and_a_usual_cause(case: Case) -> None:
    assert case.proves
    assert all(number in statements() for number in case.proves)
    assert case.cause
    assert re.fullmatch(r"[a-zU2M].*[^.]", case.title)


@EACH
def test_a_case_stands_behind_what_it_needs(case: Case) -> None:
    ids = [each.id for each in SERVER_CASES]

    assert all(ids.index(need) < ids.index(case.id) for need in case.needs)


@EACH
def test_a_case_needs_only_what_can_be_declared(case: Case) -> None:
    assert set(case.capabilities) <= set(DECLARED_BY)


@EACH
def test_a_must_case_proves_a_must(case: Case) -> None:
    proved = " ".join(statements()[number] for number in case.proves)

    assert case.level is Level.SHOULD or "MUST" in proved


def test_a_number_is_given_once() -> None:
    section = Section("framing", "FRAME")
    enter = section.case(1, "a title", "EP-2.1-1", cause="a cause")
    enter(lambda t: None)

    with pytest.raises(AssertionError):
        enter(lambda t: None)
