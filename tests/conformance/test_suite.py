"""Verdicts and exit codes cannot lie."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.conformance.samples import Scripted, a_case, a_result

from refserver.conformance.model import Case, Level, Result, Verdict
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import (
    CaseFailed,
    NotReached,
    Plan,
    UsageError,
    exit_code,
    listed_cases,
    run_suite,
    select,
    worst,
)
from refserver.exit_codes import Exit

FAULT = CaseFailed(("this", "that"), "something else")
ONE, TWO, THREE = (a_case(f"FRAME-0{n}") for n in (1, 2, 3))


def run(
    driver: Scripted,
    *cases: Case,
    expected: Iterable[str] = (),
    flaky: Iterable[str] = (),
    can: Iterable[str] = (),
) -> list[Result]:
    plan = Plan(
        cases=cases,
        segmentations=[Segmentation.WHOLE],
        expected=frozenset(expected),
        flaky=frozenset(flaky),
        capabilities=frozenset(can),
    )
    return run_suite(plan, driver)


def verdicts(results: list[Result]) -> list[Verdict]:
    return [result.verdict for result in results]


def test_what_fails_twice_has_failed_with_its_evidence() -> None:
    (result,) = run(Scripted(FRAME_01=[FAULT, FAULT]), ONE)

    assert result.verdict is Verdict.FAILED
    assert (result.expected, result.actual) == (("this", "that"), "something else")
    assert result.rerun == "again FRAME-01 whole"


def test_what_fails_once_is_unstable_and_not_passed() -> None:
    results = run(Scripted(FRAME_01=[FAULT, None]), ONE)

    assert verdicts(results) == [Verdict.UNSTABLE]
    assert exit_code(results) is Exit.FAILED


def test_a_case_is_not_run_where_what_it_builds_upon_failed() -> None:
    driver = Scripted(FRAME_01=[FAULT, FAULT])

    results = run(driver, ONE, a_case("FRAME-02", needs=("FRAME-01",)), THREE)

    assert verdicts(results) == [Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED]
    assert "FRAME-02/whole" not in driver.attempts


def test_an_inconclusive_case_blocks_in_its_turn() -> None:
    second, third = a_case("FRAME-02", needs=("FRAME-01",)), a_case("FRAME-03", needs=("FRAME-02",))

    results = run(Scripted(FRAME_01=[FAULT, FAULT]), ONE, second, third)

    assert verdicts(results)[1:] == [Verdict.INCONCLUSIVE] * 2


def test_an_expected_failure_does_not_block_what_builds_upon_it() -> None:
    second = a_case("FRAME-02", needs=("FRAME-01",))

    results = run(Scripted(FRAME_01=[FAULT, FAULT]), ONE, second, expected=["FRAME-01"])

    assert verdicts(results) == [Verdict.EXPECTED_FAILURE, Verdict.PASSED]
    assert exit_code(results) is Exit.DONE


def test_what_fails_with_an_expected_failure_needs_a_line_of_its_own() -> None:
    second = a_case("FRAME-02", needs=("FRAME-01",))
    outcomes = {"FRAME_01": [FAULT, FAULT], "FRAME_02": [FAULT, FAULT]}

    alone = run(Scripted(**outcomes), ONE, second, expected=["FRAME-01"])
    both = run(Scripted(**outcomes), ONE, second, expected=["FRAME-01", "FRAME-02"])

    assert exit_code(alone) is Exit.FAILED
    assert verdicts(both) == [Verdict.EXPECTED_FAILURE] * 2
    assert exit_code(both) is Exit.DONE


def test_unsupported_is_only_what_was_not_declared() -> None:
    case = a_case(capabilities=("shutdown",))

    assert verdicts(run(Scripted(), case)) == [Verdict.UNSUPPORTED]
    assert verdicts(run(Scripted(), case, can=["shutdown"])) == [Verdict.PASSED]


def test_an_expected_failure_is_as_expected() -> None:
    results = run(Scripted(FRAME_01=[FAULT, FAULT]), ONE, TWO, expected=["FRAME-01"])

    assert verdicts(results) == [Verdict.EXPECTED_FAILURE, Verdict.PASSED]
    assert exit_code(results) is Exit.DONE


@pytest.mark.parametrize("entry", ["FRAME-01", "FRAME-01/whole"])
def test_a_stale_expected_failure_fails(entry: str) -> None:
    results = run(Scripted(), ONE, expected=[entry])

    assert verdicts(results) == [Verdict.STALE]
    assert exit_code(results) is Exit.FAILED


def test_an_expected_failure_may_show_in_one_segmentation_only() -> None:
    both = [Segmentation.WHOLE, Segmentation.BYTEWISE]
    plan = Plan(cases=[ONE], segmentations=both, expected=frozenset({"FRAME-01"}))

    results = run_suite(plan, Scripted(FRAME_01=[None, FAULT, FAULT]))

    assert verdicts(results) == [Verdict.PASSED, Verdict.EXPECTED_FAILURE]


def test_the_kits_own_failure_is_nobody_elses() -> None:
    results = run(Scripted(FRAME_01=[KeyError("oops")]), ONE, TWO)

    assert verdicts(results) == [Verdict.ERROR, Verdict.PASSED]
    assert "KeyError" in results[0].actual
    assert exit_code(results) is Exit.BROKEN


def test_after_nobody_answers_any_more_the_rest_is_inconclusive() -> None:
    driver = Scripted(FRAME_02=[NotReached("refused")])

    results = run(driver, ONE, TWO, THREE)

    assert verdicts(results) == [Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE]
    assert driver.attempts == ["FRAME-01/whole", "FRAME-02/whole"]


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], Exit.NO_CASE_RAN),
        ([Verdict.UNSUPPORTED], Exit.NO_CASE_RAN),
        ([Verdict.UNSUPPORTED, Verdict.PASSED], Exit.DONE),
        ([Verdict.INCONCLUSIVE, Verdict.PASSED], Exit.FAILED),
        ([Verdict.FAILED, Verdict.ERROR], Exit.BROKEN),
    ],
)
def test_the_exit_code_says_what_came(found: list[Verdict], code: Exit) -> None:
    assert exit_code([a_result(verdict) for verdict in found]) is code


def test_the_worst_verdict_is_told() -> None:
    assert worst([Verdict.PASSED, Verdict.FAILED, Verdict.UNSTABLE]) is Verdict.FAILED
    assert worst([]) is Verdict.PASSED


def test_a_case_runs_in_its_own_segmentations_only_and_once_at_least() -> None:
    whole_only = a_case("FRAME-02", segmentations=(Segmentation.WHOLE,))
    plan = Plan(cases=[ONE, whole_only], segmentations=[Segmentation.BYTEWISE, Segmentation.RANDOM])

    ran = [f"{case.id}/{segmentation}" for case, segmentation in plan]

    assert ran == ["FRAME-01/bytewise", "FRAME-01/random", "FRAME-02/whole"]


def test_a_case_in_its_own_segmentation_is_blocked_by_a_need_that_failed_in_another() -> None:
    whole_only = a_case("FRAME-02", segmentations=(Segmentation.WHOLE,), needs=("FRAME-01",))
    plan = Plan(cases=[ONE, whole_only], segmentations=[Segmentation.BYTEWISE])

    results = run_suite(plan, Scripted(FRAME_01=[FAULT, FAULT]))

    assert verdicts(results) == [Verdict.FAILED, Verdict.INCONCLUSIVE]


def test_cases_are_selected_by_id_level_and_section() -> None:
    other = a_case("TEXT-01", section="text", level=Level.SHOULD)
    cases = [ONE, TWO, other]

    assert select(cases) == cases
    assert select(cases, ["text-*", "FRAME-02"]) == [TWO, other]
    assert select(cases, level=Level.MUST) == [ONE, TWO]
    assert select(cases, sections=["text"]) == [other]


def test_asking_for_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(UsageError):
        select([ONE], ["FRAME-99"])
    with pytest.raises(UsageError):
        select([ONE], sections=["farming"])


def test_a_list_of_cases_has_comments_patterns_and_no_typing_errors() -> None:
    text = "# known\nFRAME-01  # since long\n\nFRAME-02/bytewise\nframe-*/whole\n*\n"

    assert listed_cases("known", text, [ONE, TWO]) == {
        "FRAME-01",
        "FRAME-02/bytewise",
        "frame-*/whole",
        "*",
    }
    for wrong in ("FRAME-99", "FRAME-01/slowly", "LOGIN-*", "FRAME-*/slow*"):
        with pytest.raises(UsageError, match="known: "):
            listed_cases("known", wrong, [ONE, TWO])


@pytest.mark.parametrize("entry", ["FRAME-*", "frame-*/who*", "*"])
def test_a_pattern_is_stale_when_all_that_it_names_passes(entry: str) -> None:
    one_fails = run(Scripted(FRAME_01=[FAULT, FAULT]), ONE, TWO, expected=[entry])
    none_fails = run(Scripted(), ONE, TWO, expected=[entry])

    assert verdicts(one_fails) == [Verdict.EXPECTED_FAILURE, Verdict.PASSED]
    assert verdicts(none_fails) == [Verdict.STALE] * 2


def test_a_known_flaky_case_may_fail_once_twice_or_not_at_all() -> None:
    outcomes: dict[str, list[Exception | None]] = {
        "FRAME_01": [FAULT, FAULT],
        "FRAME_02": [FAULT, None],
    }
    builds_upon = a_case("FRAME-04", needs=("FRAME-01",))

    results = run(Scripted(**outcomes), ONE, TWO, THREE, builds_upon, flaky=["FRAME-*"])

    flaky = Verdict.KNOWN_FLAKY
    assert verdicts(results) == [flaky, flaky, Verdict.PASSED, Verdict.PASSED]
    assert exit_code(results) is Exit.DONE
    assert exit_code(run(Scripted(**outcomes), ONE, TWO)) is Exit.FAILED
