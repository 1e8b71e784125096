"""The catalogue of cases for clients is complete in itself: ids, statements, prerequisites."""

from __future__ import annotations

import re

import pytest

from refserver.conformance.model import Case, Level
from refserver.conformance.peer.cases import CLIENT_CASES, SECTIONS
from refserver.conformance.peer.run import DECLARED_BY
from refserver.conformance.statements import statements

pytestmark = pytest.mark.once

EACH = pytest.mark.parametrize("case", CLIENT_CASES, ids=lambda case: case.id)


def test_there_are_many_cases_under_ids_of_their_own() -> None:
    ids = [case.id for case in CLIENT_CASES]

    assert len(ids) == len(set(ids)) >= 90


def test_no_section_is_left_out() -> None:
    assert {case.section for case in CLIENT_CASES} == {each.section.name for each in SECTIONS}
    assert len(CLIENT_CASES) == sum(len(each.section.cases) for each in SECTIONS)


@EACH
def test_a_case_names_statements_that_exist_and_a_usual_cause(case: Case) -> None:
    assert case.proves
    assert all(number in statements() for number in case.proves)
    assert case.cause
    assert re.fullmatch(r"[a-z].*[^.]", case.title)


@EACH
def test_a_case_stands_behind_what_it_needs(case: Case) -> None:
    ids = [each.id for each in CLIENT_CASES]

    assert all(ids.index(need) < ids.index(case.id) for need in case.needs)


@EACH
def test_a_case_needs_only_what_can_be_declared(case: Case) -> None:
    assert set(case.capabilities) <= set(DECLARED_BY)


@EACH
def test_a_must_case_proves_a_must(case: Case) -> None:
    proved = " ".join(statements()[number] for number in case.proves)

    assert case.level is Level.SHOULD or "MUST" in proved or "MAY" in proved
