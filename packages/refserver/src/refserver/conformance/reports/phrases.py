"""What more than one report says, in one wording.

Rule: plain text, from a `Run` alone; how it looks is each report's business. What a peer
sent is ASCII by then.

Layer: below the reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...characters import escape
from ...exit_codes import Exit
from ..annotate import summary
from ..model import Direction, Run, Step, Verdict
from ..suite import exit_code

__all__ = [
    "DIFFERS",
    "ascii_only",
    "blocked",
    "counts",
    "differing",
    "outcome",
    "some",
    "step_said",
]

DIFFERS = "differs between segmentations (EP-2.1-5)"
_OUTCOMES = {
    Exit.DONE: "as expected",
    Exit.NO_CASE_RAN: "no case ran",
    Exit.BROKEN: "the kit failed",
}
_SOME = 6


def ascii_only(text: str) -> str:
    """Text of a peer's making, safe for a terminal, its lines kept. EP-12-6."""
    return escape(text, keep="\n")


def step_said(step: Step) -> str:
    """A step in one line."""
    if step.direction is Direction.RECEIVED and step.data:
        return summary(step.data)
    return ascii_only(step.note)


def outcome(run: Run) -> str:
    """What the whole run came to."""
    return _OUTCOMES.get(exit_code(run.results), "not as expected")


def counts(verdicts: Iterable[Verdict]) -> dict[Verdict, int]:
    """How often there is each verdict, best first; none that there is not."""
    counted = Counter(verdicts)
    return {verdict: counted[verdict] for verdict in Verdict if verdict in counted}


def blocked(run: Run) -> dict[str, list[str]]:
    """The inconclusive cases by reason: a broken foundation takes many along."""
    found: dict[str, dict[str, None]] = {}
    for result in run.results:
        if result.verdict is Verdict.INCONCLUSIVE:
            found.setdefault(result.reason, {})[result.case] = None
    return {reason: list(ids) for reason, ids in found.items()}


def differing(run: Run) -> list[str]:
    """The cases that pass in one segmentation and fail in another."""
    told: dict[str, set[Verdict]] = {}
    for result in run.results:
        if result.verdict in (Verdict.PASSED, Verdict.FAILED):
            told.setdefault(result.case, set()).add(result.verdict)
    return [case for case, verdicts in told.items() if len(verdicts) > 1]


def some(ids: list[str]) -> str:
    """The first few ids, and how many more.

    >>> some([f"MSG-0{n}" for n in range(1, 9)])
    'MSG-01, MSG-02, MSG-03, MSG-04, MSG-05, MSG-06 and 2 more'
    """
    more = len(ids) - _SOME
    return ", ".join(ids[:_SOME]) + (f" and {more} more" if more > 0 else "")
