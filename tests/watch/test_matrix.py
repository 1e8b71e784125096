"""The judge finds of each mutant and fault what is recorded; of the others it is said why not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from tests.support.redis import needs_redis
from tests.watch.kit import broken_by, traffic_of_a_fault, traffic_of_a_mutant
from tools import judged, matrix
from tools.judged import UNSEEN, looked_for
from tools.matrix import WAITING

from refserver.conformance.statements import visibility
from refserver.mutants import MUTANTS
from refserver.watch.conversation import Opened, Side

pytestmark = pytest.mark.once

RECORD = judged.recorded()
FAULTS = matrix.recorded(matrix.CLIENT_RECORD)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What a broken server logs is not the test's."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def each(kind: str) -> Iterator[pytest.ParameterSet]:
    """Each name with its case and what is found; those that must wait are slow."""
    for name, seen in RECORD[kind].items():
        marks = [pytest.mark.slow] if seen["case"].startswith(WAITING) else []
        if name in MUTANTS and MUTANTS[name].servers > 1:
            marks.append(needs_redis)
        yield pytest.param(name, seen["case"], seen["statements"], id=name, marks=marks)


@pytest.mark.parametrize(("name", "case", "statements"), list(each("mutants")))
def test_a_mutant_is_found_where_the_record_says_so(
    name: str, case: str, statements: list[str]
) -> None:
    assert broken_by(Side.SERVER, traffic_of_a_mutant(name, [case])), statements


@pytest.mark.parametrize(("name", "case", "statements"), list(each("faults")))
def test_a_fault_is_found_where_the_record_says_so(
    name: str, case: str, statements: list[str]
) -> None:
    assert broken_by(Side.CLIENT, traffic_of_a_fault(name, [case])), statements


@pytest.mark.parametrize("kind", ["mutants", "faults"])
def test_each_is_recorded_as_found_or_said_to_be_unseen_and_not_both(kind: str) -> None:
    known = set(MUTANTS) if kind == "mutants" else set(FAULTS)

    assert sorted([*RECORD[kind], *UNSEEN[kind]]) == sorted(known)


def test_without_a_fault_the_kits_client_is_not_accused() -> None:
    """The faults' cases with a right client: what the kit's server does wrong is not its fault."""
    cases = sorted({case for name in RECORD["faults"] for case in FAULTS[name]})

    traffic = traffic_of_a_fault("", cases)

    assert broken_by(Side.CLIENT, traffic) == []
    assert sum(isinstance(item, Opened) for item in traffic) >= len(cases)


def test_the_judge_looks_for_no_statement_of_which_nothing_passes() -> None:
    where = visibility()
    findable = ("connection", "session", "room", "times")

    assert [each for each in sorted(looked_for()) if where[each] not in findable] == []
