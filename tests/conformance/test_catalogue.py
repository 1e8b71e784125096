"""The catalogue is complete in itself: ids, statements, prerequisites, capabilities."""

from __future__ import annotations

import re

import pytest

from refserver.conformance.cases import SECTIONS, SERVER_CASES
from refserver.conformance.catalogue import Section
from refserver.conformance.check import DECLARED_BY
from refserver.conformance.explain import explain
from refserver.conformance.model import Case, Level
from refserver.conformance.peer.cases import CLIENT_CASES
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


@pytest.mark.parametrize("case", [*SERVER_CASES, *CLIENT_CASES], ids=lambda case: case.id)
def test_what_explains_a_case_has_its_own_cause_and_no_other(case: Case) -> None:
    assert causes(case.id) == [f"  cause  usually: {case.cause}"]


@pytest.mark.parametrize("number", statements())
def test_what_explains_a_statement_names_its_cases_and_no_cause(number: str) -> None:
    """A statement once had the cause of one of its cases, which fits no other."""
    named = [line.split()[1].rstrip(":") for line in explain(number) if line.startswith("  case ")]

    assert causes(number) == []
    assert named == [each.id for each in (*SERVER_CASES, *CLIENT_CASES) if number in each.proves]


def causes(what: str) -> list[str]:
    """The usual causes that `explain` names: in their own line, or anywhere in another."""
    known = {each.cause for each in (*SERVER_CASES, *CLIENT_CASES)} - set(statements().values())
    lines = list(explain(what))
    return [line for line in lines if any(line.endswith(cause) for cause in known)]


def test_a_number_is_given_once() -> None:
    section = Section("framing", "FRAME")
    enter = section.case(1, "a title", "EP-2.1-1", cause="a cause")
    enter(lambda t: None)

    with pytest.raises(AssertionError):
        enter(lambda t: None)
