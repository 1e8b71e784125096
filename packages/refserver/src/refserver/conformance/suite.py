"""Cases in their order: prerequisites, second tries, expected failures, exit codes.

Rule: a verdict is decided here, whatever the cases test; how one attempt is made is
the driver's business.

Layer: above `model`.
"""

from __future__ import annotations

import dataclasses
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from ..arguments import near
from ..exit_codes import Exit
from ..version import VERSION
from .model import Case, Level, Report, Result, Run, Step, Verdict
from .segmentation import Segmentation

__all__ = [
    "INTERRUPTED",
    "CaseFailed",
    "Driver",
    "NotReached",
    "Outcome",
    "Plan",
    "Unsupported",
    "Untestable",
    "UsageError",
    "exit_code",
    "listed_cases",
    "report_of",
    "run_suite",
    "select",
    "worst",
]


INTERRUPTED = "interrupted"
"""The reason of what was not run, or not to its end, because of a signal."""


class UsageError(Exception):
    """What was asked for makes no sense; the message says why in one line."""


class CaseFailed(Exception):
    """The implementation did not do what the case asks for."""

    def __init__(self, expected: Sequence[str], actual: str) -> None:
        super().__init__(f"expected {' or '.join(expected)}; {actual}")
        self.expected = tuple(expected)
        self.actual = actual


class NotReached(Exception):
    """The implementation cannot be reached (any more)."""


class Unsupported(Exception):
    """What was declared does not do for this case; the message says what it needs."""


class Untestable(Exception):
    """Something besides the implementation failed; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One try of a case: None in `failure` is a pass."""

    failure: CaseFailed | None
    steps: tuple[Step, ...] = ()


class Driver(Protocol):
    """Makes attempts."""

    def attempt(self, case: Case, segmentation: Segmentation) -> Outcome:
        """Try the case once.

        Raises NotReached, Unsupported and Untestable; any other exception is the kit's own fault.
        """
        ...

    def rerun(self, case: Case, segmentation: Segmentation) -> str:
        """The command line that tries only this."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run, and what is known beforehand."""

    cases: Sequence[Case]
    segmentations: Sequence[Segmentation]
    capabilities: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    """What is known to fail: patterns of ids, or of id/segmentation."""
    flaky: frozenset[str] = frozenset()
    """What may fail or pass, in the same form."""
    give_up: str = ""
    """Why nothing is run after the first failure, empty where everything is."""

    def __iter__(self) -> Iterator[tuple[Case, Segmentation]]:
        pairs = [
            (case, segmentation)
            for segmentation in dict.fromkeys([*self.segmentations, *Segmentation])
            for case in self.cases
            if segmentation in self._segmentations_of(case)
        ]
        return iter(sorted(pairs, key=lambda pair: pair[0].last))

    def _segmentations_of(self, case: Case) -> Sequence[Segmentation]:
        """Those of its own that are asked for; if there are none, its first."""
        asked = [each for each in self.segmentations if each in case.segmentations]
        return asked or case.segmentations[:1]


def select(
    cases: Sequence[Case],
    ids: Iterable[str] = (),
    *,
    level: Level | None = None,
    sections: Iterable[str] = (),
) -> list[Case]:
    """The cases that are asked for, in the catalogue's order.

    An id may end in `*`; without ids all are meant. Raises UsageError for an id or section
    that does not exist, so that a typing error is no passed run.
    """
    wanted, named = list(ids), list(sections)
    known = dict.fromkeys(case.section for case in cases)
    for each in named:
        if each not in known:
            raise UsageError(f"no section {each!r}; there are {', '.join(map(repr, known))}")
    chosen = {case.id for case in cases} if not wanted else set()
    for each in wanted:
        found = {case.id for case in cases if _matches(each, case.id)}
        if not found:
            meant = near(each, (case.id for case in cases)) or "; --list has them all"
            raise UsageError(f"no case {each!r}{meant}")
        chosen |= found
    return [
        case
        for case in cases
        if case.id in chosen
        and (not named or case.section in named)
        and (level is None or case.level is level)
    ]


def _matches(asked: str, id: str) -> bool:
    if "*" not in asked:
        return asked.upper() == id
    pattern = ".*".join(map(re.escape, asked.upper().split("*")))
    return re.fullmatch(pattern, id) is not None


def listed_cases(what: str, text: str, cases: Sequence[Case]) -> frozenset[str]:
    """The entries of a list of cases: an id or id/segmentation a line, `#` comments.

    Each part may have `*`, for anything. Raises UsageError for what names no case.
    """
    found = set()
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        if not any(_names(entry, case.id, each) for case in cases for each in Segmentation):
            raise UsageError(f"{what}: {entry!r} names no case")
        found.add(entry)
    return frozenset(found)


def _names(entry: str, id: str, segmentation: Segmentation) -> bool:
    """Whether an entry of a list means this case in this segmentation."""
    asked, slash, cut = entry.partition("/")
    return _matches(asked, id) and (not slash or _matches(cut, segmentation.upper()))


def run_suite(
    plan: Plan, driver: Driver, on_result: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Run the plan; returns the results in order, and hands each to `on_result` as it comes."""
    results: list[Result] = []
    verdicts: dict[str, dict[Segmentation, Verdict]] = {}
    gone = ""
    for case, segmentation in plan:
        result = _not_run(case, segmentation, Verdict.INCONCLUSIVE, INTERRUPTED)
        try:
            blocked = gone or _blocked(case, segmentation, verdicts)
            result, gone = _one(case, segmentation, plan, driver, blocked, gone)
            if result.verdict is Verdict.FAILED:
                gone = gone or plan.give_up
            on_result(result)
        except KeyboardInterrupt:
            gone = INTERRUPTED
        verdicts.setdefault(case.id, {})[segmentation] = result.verdict
        results.append(result)
    return _stale(results, plan.expected)


def _one(
    case: Case, segmentation: Segmentation, plan: Plan, driver: Driver, blocked: str, gone: str
) -> tuple[Result, str]:
    """What came of one case, and why nobody answers any more, "" where somebody does."""
    missing = sorted(set(case.capabilities) - plan.capabilities)
    if missing:
        return _not_run(case, segmentation, Verdict.UNSUPPORTED, f"needs {missing[0]}"), gone
    if blocked:
        return _not_run(case, segmentation, Verdict.INCONCLUSIVE, blocked), gone
    try:
        result = _tried(case, segmentation, driver)
    except Unsupported as error:
        result = _not_run(case, segmentation, Verdict.UNSUPPORTED, str(error))
    except Untestable as error:
        result = _not_run(case, segmentation, Verdict.INCONCLUSIVE, str(error))
    except NotReached as error:
        gone = f"not reached any more since {case.id}"
        failure = CaseFailed(("the implementation can be reached",), str(error))
        result = _result(case, segmentation, driver, Outcome(failure=failure), 0.0)
    return _as_listed(result, plan), gone


def report_of(
    plan: Plan,
    driver: Driver,
    *,
    name: str,
    subject: str,
    target: str,
    seed: int,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Run the plan, and tell what it was and what came of it."""
    started = datetime.now(UTC)
    start = time.monotonic()
    results = run_suite(plan, driver, on_result)
    run = Run(
        implementation=name,
        subject=subject,
        target=target,
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        seed=seed,
        segmentations=tuple(plan.segmentations),
        capabilities=tuple(sorted(plan.capabilities)),
        kit=VERSION,
        results=tuple(results),
    )
    return Report.of(plan.cases, run)


def _blocked(
    case: Case,
    segmentation: Segmentation,
    verdicts: Mapping[str, Mapping[Segmentation, Verdict]],
) -> str:
    """Why the case says nothing, or "". A need that ran in other segmentations counts there."""
    for need in case.needs:
        found = verdicts.get(need, {})
        verdict = found.get(segmentation) or worst(found.values())
        if verdict.bad:
            return f"builds upon {need}, which is {verdict}"
    return ""


def _not_run(case: Case, segmentation: Segmentation, verdict: Verdict, reason: str) -> Result:
    return Result(case=case.id, segmentation=segmentation, verdict=verdict, reason=reason)


def _tried(case: Case, segmentation: Segmentation, driver: Driver) -> Result:
    start = time.monotonic()
    try:
        outcome = driver.attempt(case, segmentation)
        again = _again(case, segmentation, driver) if outcome.failure else outcome
    except (NotReached, Unsupported, Untestable):
        raise
    except Exception:
        # The kit's own failure must not pass for the implementation's: its own verdict and
        # exit code, with all that is needed to mend it.
        reason = traceback.format_exc()
        return dataclasses.replace(
            _not_run(case, segmentation, Verdict.ERROR, reason.strip().splitlines()[-1]),
            actual=reason,
            rerun=driver.rerun(case, segmentation),
        )
    result = _result(case, segmentation, driver, outcome, time.monotonic() - start)
    if outcome.failure and not again.failure:
        unstable = "failed, and passed when tried again"
        return dataclasses.replace(result, verdict=Verdict.UNSTABLE, reason=unstable)
    return result


def _again(case: Case, segmentation: Segmentation, driver: Driver) -> Outcome:
    try:
        return driver.attempt(case, segmentation)
    except NotReached as error:
        return Outcome(failure=CaseFailed(("the implementation can be reached",), str(error)))


def _result(
    case: Case, segmentation: Segmentation, driver: Driver, outcome: Outcome, seconds: float
) -> Result:
    failure = outcome.failure
    return Result(
        case=case.id,
        segmentation=segmentation,
        verdict=Verdict.PASSED if failure is None else Verdict.FAILED,
        seconds=seconds,
        reason="" if failure is None else f"expected {' or '.join(failure.expected)}",
        expected=() if failure is None else failure.expected,
        actual="" if failure is None else failure.actual,
        rerun=driver.rerun(case, segmentation),
        steps=outcome.steps,
    )


def _listed(result: Result, entries: frozenset[str]) -> set[str]:
    return {entry for entry in entries if _names(entry, result.case, result.segmentation)}


def _as_listed(result: Result, plan: Plan) -> Result:
    if result.verdict is Verdict.FAILED and _listed(result, plan.expected):
        return dataclasses.replace(result, verdict=Verdict.EXPECTED_FAILURE)
    if result.verdict in (Verdict.FAILED, Verdict.UNSTABLE) and _listed(result, plan.flaky):
        return dataclasses.replace(result, verdict=Verdict.KNOWN_FLAKY)
    return result


def _stale(results: list[Result], expected: frozenset[str]) -> list[Result]:
    """Turn passes into STALE where an entry of the list has not failed anywhere."""
    alive = {
        entry
        for result in results
        if result.verdict is not Verdict.PASSED
        for entry in _listed(result, expected)
    }
    reason = "passes: take it off the list of expected failures"
    return [
        dataclasses.replace(result, verdict=Verdict.STALE, reason=reason)
        if result.verdict is Verdict.PASSED and _listed(result, expected) - alive
        else result
        for result in results
    ]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several verdicts; passed where there is none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.PASSED)


def exit_code(results: Sequence[Result]) -> Exit:
    """What the results mean to a caller; never 0 where nothing ran."""
    verdicts = [result.verdict for result in results]
    if Verdict.ERROR in verdicts:
        return Exit.BROKEN
    if any(verdict.bad for verdict in verdicts):
        return Exit.FAILED
    if not any(verdict.ran for verdict in verdicts):
        return Exit.NO_CASE_RAN
    return Exit.DONE
