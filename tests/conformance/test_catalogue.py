"""The catalogue is complete in itself: ids, statements, prerequisites, capabilities."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType

import pytest
from tests.together import together

from refserver.conformance import check
from refserver.conformance.cases import SECTIONS, SERVER_CASES
from refserver.conformance.catalogue import Section
from refserver.conformance.explain import explain
from refserver.conformance.model import Case, Level
from refserver.conformance.peer import run
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.cases import SECTIONS as CLIENT_SECTIONS
from refserver.conformance.statements import statements

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Catalogue:
    """All cases for one role."""

    cases: Sequence[Case]
    sections: Sequence[ModuleType]
    declared: Collection[str]
    least: int
    """How many cases there are at least."""
    proved: str
    """What stands in a statement that a MUST case proves."""


CATALOGUES = {
    "server": Catalogue(SERVER_CASES, SECTIONS, check.DECLARED_BY, 120, "MUST"),
    "client": Catalogue(CLIENT_CASES, CLIENT_SECTIONS, run.DECLARED_BY, 90, "MUST|MAY"),
}
WHOLE = pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES.keys())
PAIRS = [(catalogue, case) for catalogue in CATALOGUES.values() for case in catalogue.cases]
IDS = [case.id for _, case in PAIRS]
EACH = together("catalogue, case", PAIRS, IDS)
CAUSES = tuple({case.cause for _, case in PAIRS} - set(statements().values()))


@WHOLE
def test_there_are_many_cases_under_ids_of_their_own(catalogue: Catalogue) -> None:
    ids = [case.id for case in catalogue.cases]

    assert len(ids) == len(set(ids)) >= catalogue.least


@WHOLE
def test_no_section_is_left_out(catalogue: Catalogue) -> None:
    sections = [each.section for each in catalogue.sections]

    assert {case.section for case in catalogue.cases} == {each.name for each in sections}
    assert len(catalogue.cases) == sum(len(each.cases) for each in sections)


@EACH
def test_a_case_names_statements_that_exist_and_a_usual_cause(
    catalogue: Catalogue, case: Case
) -> None:
    assert case.proves
    assert all(number in statements() for number in case.proves)
    assert case.cause
    assert re.fullmatch(r"[a-zU2M].*[^.]", case.title)


@EACH
def test_a_case_stands_behind_what_it_needs(catalogue: Catalogue, case: Case) -> None:
    ids = [each.id for each in catalogue.cases]

    assert all(ids.index(need) < ids.index(case.id) for need in case.needs)


@EACH
def test_a_case_needs_only_what_can_be_declared(catalogue: Catalogue, case: Case) -> None:
    assert set(case.capabilities) <= set(catalogue.declared)


@EACH
def test_a_must_case_proves_a_must(catalogue: Catalogue, case: Case) -> None:
    proved = " ".join(statements()[number] for number in case.proves)

    assert case.level is Level.SHOULD or re.search(catalogue.proved, proved)


@together("case", [*SERVER_CASES, *CLIENT_CASES])
def test_what_explains_a_case_has_its_own_cause_and_no_other(case: Case) -> None:
    assert causes(explain(case.id)) == [f"  cause  usually: {case.cause}"]


@together("number", statements())
def test_what_explains_a_statement_names_its_cases_and_no_cause(number: str) -> None:
    """A statement once had the cause of one of its cases, which fits no other."""
    lines = list(explain(number))
    named = [line.split()[1].rstrip(":") for line in lines if line.startswith("  case ")]

    assert causes(lines) == []
    assert named == [each.id for each in (*SERVER_CASES, *CLIENT_CASES) if number in each.proves]


def causes(lines: Iterable[str]) -> list[str]:
    """The usual causes that are named: in their own line, or anywhere in another."""
    return [line for line in lines if line.endswith(CAUSES)]


def test_a_number_is_given_once() -> None:
    section = Section("framing", "FRAME")
    enter = section.case(1, "a title", "EP-2.1-1", cause="a cause")
    enter(lambda t: None)

    with pytest.raises(AssertionError):
        enter(lambda t: None)
