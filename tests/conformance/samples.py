"""Cases, results and reports for the tests of what is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from refserver.conformance.annotate import Begun
from refserver.conformance.model import (
    Case,
    Direction,
    Report,
    Result,
    Run,
    Step,
    Verdict,
)
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import CaseFailed, Outcome

ERROR = bytes.fromhex("0000000f 01050000 0000000000000000 0001 00")
HOSTILE = "</script><b>\x1b[31m`|*\x00\ud800"


def a_case(id: str = "FRAME-01", **more: object) -> Case:
    case = Case(
        id=id,
        section="framing",
        title="a length below 12 is refused",
        proves=("EP-2.1-2",),
        cause="the length counts itself",
        script=lambda: None,
    )
    return dataclasses.replace(case, **more)  # type: ignore[arg-type]


def a_result(verdict: Verdict = Verdict.PASSED, case: str = "FRAME-01") -> Result:
    bad = verdict in {
        Verdict.FAILED,
        Verdict.UNSTABLE,
        Verdict.ERROR,
        Verdict.EXPECTED_FAILURE,
        Verdict.KNOWN_FLAKY,
    }
    return Result(
        case=case,
        segmentation=Segmentation.WHOLE,
        verdict=verdict,
        seconds=0.25,
        reason="expected MALFORMED" if bad else "",
        expected=("MALFORMED", "the end") if bad else (),
        actual=f"nothing {HOSTILE}" if bad else "",
        rerun="refserver check localhost:3000 FRAME-01 --segmentation whole --seed 7",
        steps=(
            Step(at=0.0, who="ann", direction=Direction.NOTE, note="connected"),
            Step(at=0.001, who="ann", direction=Direction.SENT, data=b"\0\0\0\x0b", size=4),
            Step(
                at=0.0015,
                who="ann",
                direction=Direction.SENT,
                data=b"\x01\x02",
                size=2,
                begun=Begun(b"\0\0\0\x0c", 4),
            ),
            Step(at=0.002, who="ann", direction=Direction.RECEIVED, data=ERROR, size=len(ERROR)),
        ),
    )


def a_report(*results: Result, name: str = "refserver", cases: Sequence[Case] = ()) -> Report:
    ids = dict.fromkeys(result.case for result in results)
    run = Run(
        implementation=name,
        subject="server",
        target="localhost:3000",
        started="2030-01-02T03:04:05Z",
        seconds=1.5,
        seed=7,
        segmentations=(Segmentation.WHOLE,),
        capabilities=("presence",),
        kit="0.1.0",
        results=results,
    )
    return Report.of(cases or [a_case(id) for id in ids], run)


class Scripted:
    """A driver that does as it is told: for each attempt of a case None or what goes wrong."""

    def __init__(self, **outcomes: Sequence[Exception | None]) -> None:
        self.outcomes = {id.replace("_", "-"): iter(told) for id, told in outcomes.items()}
        self.attempts: list[str] = []

    def attempt(self, case: Case, segmentation: Segmentation) -> Outcome:
        self.attempts.append(f"{case.id}/{segmentation}")
        outcome = next(self.outcomes[case.id], None) if case.id in self.outcomes else None
        if outcome is None or isinstance(outcome, CaseFailed):
            return Outcome(failure=outcome)
        raise outcome

    def rerun(self, case: Case, segmentation: Segmentation) -> str:
        return f"again {case.id} {segmentation}"
