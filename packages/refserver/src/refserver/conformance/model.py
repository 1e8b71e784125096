"""What a case is, what came of it, and how a whole run is told.

Rule: everything that a report says stands in a `Report`; it goes to JSON and comes
back without loss, so that reports can be merged and drawn anywhere, later.

Layer: above `annotate`, `segmentation` and `statements`, the bottom layer of the kit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .annotate import NOTHING, Begun
from .segmentation import Segmentation
from .statements import statements

__all__ = ["FORMAT", "Case", "Direction", "Level", "Report", "Result", "Run", "Step", "Verdict"]

FORMAT = "event-protocol-conformance-report/1"


class Level(StrEnum):
    """How hard the specification asks for it."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Verdict(StrEnum):
    """What came of a case, best first."""

    PASSED = "passed"
    UNSUPPORTED = "unsupported"
    """Not run: it needs a capability that was not declared."""
    EXPECTED_FAILURE = "expected-failure"
    """Failed, and the list of expected failures says so: what builds upon it is run."""
    KNOWN_FLAKY = "known-flaky"
    """Failed once or twice, and the list of known flaky cases says that it may."""
    INCONCLUSIVE = "inconclusive"
    """Not run: a case that it builds upon failed, or nobody answers any more."""
    UNSTABLE = "unstable"
    """Failed, and passed when tried again."""
    STALE = "stale"
    """Passed, though the list of expected failures says that it fails."""
    FAILED = "failed"
    ERROR = "error"
    """The kit itself failed: nothing is said about the implementation."""

    @property
    def ran(self) -> bool:
        """Whether the case was tried at all."""
        return self not in (Verdict.UNSUPPORTED, Verdict.INCONCLUSIVE)

    @property
    def bad(self) -> bool:
        """Whether a run with it is not as expected."""
        return list(Verdict).index(self) >= list(Verdict).index(Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to be right about, under an id that stays for ever.

    `proves` names statements of the specification; `needs` the cases without which this
    one says nothing; `capabilities` what must be declared for it to be run; `cause` what
    is usually wrong where it fails. `script` is what the suite's driver runs.
    """

    id: str
    section: str
    title: str
    proves: tuple[str, ...]
    cause: str
    script: Callable[..., None] = dataclasses.field(repr=False, compare=False)
    level: Level = Level.MUST
    needs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    segmentations: tuple[Segmentation, ...] = tuple(Segmentation)
    negative: bool = False
    """What it sends is wrong: others must not notice."""
    last: bool = False
    """It leaves nothing behind that another case could be run against."""

    @property
    def requirement(self) -> tuple[str, ...]:
        """The statements that it proves, each with its number."""
        return tuple(f"{number} {statements()[number]}" for number in self.proves)

    def described(self) -> dict[str, Any]:
        """What a report says about the case."""
        return {
            "id": self.id,
            "section": self.section,
            "level": str(self.level),
            "title": self.title,
            "proves": list(self.proves),
            "requirement": list(self.requirement),
            "cause": self.cause,
            "needs": list(self.needs),
            "capabilities": list(self.capabilities),
        }


class Direction(StrEnum):
    """Whose bytes a step has, seen from the kit."""

    SENT = ">"
    RECEIVED = "<"
    NOTE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happened on one of a case's connections; `at` in seconds from its start.

    `data` may be the beginning only; `size` says how many bytes there were. `begun` is what
    came before, in this direction, of the frame that `data` goes on with.
    """

    at: float
    who: str
    direction: Direction
    data: bytes = b""
    size: int = 0
    note: str = ""
    begun: Begun = NOTHING

    def to_json(self) -> dict[str, Any]:
        said = {
            "at": round(self.at, 6),
            "who": self.who,
            "direction": str(self.direction),
            "data": self.data.hex(),
            "size": self.size,
            "note": self.note,
        }
        if self.begun.size:
            said["begun"] = {"data": self.begun.data.hex(), "size": self.begun.size}
        return said

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Step:
        begun = said.get("begun", {"data": "", "size": 0})
        return cls(
            at=said["at"],
            who=said["who"],
            direction=Direction(said["direction"]),
            data=bytes.fromhex(said["data"]),
            size=said["size"],
            note=said["note"],
            begun=Begun(bytes.fromhex(begun["data"]), begun["size"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one case in one segmentation, and the evidence."""

    case: str
    segmentation: Segmentation
    verdict: Verdict
    seconds: float = 0.0
    reason: str = ""
    """In one line, why it is not simply passed."""
    expected: tuple[str, ...] = ()
    """What would have been right, any one of it."""
    actual: str = ""
    rerun: str = ""
    """The command line that runs just this again."""
    steps: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "segmentation": str(self.segmentation),
            "verdict": str(self.verdict),
            "seconds": round(self.seconds, 6),
            "reason": self.reason,
            "expected": list(self.expected),
            "actual": self.actual,
            "rerun": self.rerun,
            "steps": [step.to_json() for step in self.steps],
        }

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Result:
        return cls(
            case=said["case"],
            segmentation=Segmentation(said["segmentation"]),
            verdict=Verdict(said["verdict"]),
            seconds=said["seconds"],
            reason=said["reason"],
            expected=tuple(said["expected"]),
            actual=said["actual"],
            rerun=said["rerun"],
            steps=tuple(Step.from_json(step) for step in said["steps"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All results about one implementation."""

    implementation: str
    """What the report calls it."""
    subject: str
    """server, client or codec."""
    target: str
    """Where or how it was reached."""
    started: str
    """When, as ISO 8601 in UTC."""
    seconds: float
    seed: int
    segmentations: tuple[Segmentation, ...]
    capabilities: tuple[str, ...]
    kit: str
    """The kit's version."""
    results: tuple[Result, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "implementation": self.implementation,
            "subject": self.subject,
            "target": self.target,
            "started": self.started,
            "seconds": round(self.seconds, 6),
            "seed": self.seed,
            "segmentations": [str(each) for each in self.segmentations],
            "capabilities": list(self.capabilities),
            "kit": self.kit,
            "results": [result.to_json() for result in self.results],
        }

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Run:
        return cls(
            implementation=said["implementation"],
            subject=said["subject"],
            target=said["target"],
            started=said["started"],
            seconds=said["seconds"],
            seed=said["seed"],
            segmentations=tuple(Segmentation(each) for each in said["segmentations"]),
            capabilities=tuple(said["capabilities"]),
            kit=said["kit"],
            results=tuple(Result.from_json(result) for result in said["results"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run, or several to compare, with the descriptions of their cases in order."""

    cases: tuple[dict[str, Any], ...]
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, cases: Iterable[Case], run: Run) -> Report:
        return cls(cases=tuple(case.described() for case in cases), runs=(run,))

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "cases": list(self.cases),
            "runs": [run.to_json() for run in self.runs],
        }

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Report:
        if said.get("format") != FORMAT:
            raise ValueError(f"not a report of this kit: its format is not {FORMAT}")
        return cls(cases=tuple(said["cases"]), runs=tuple(map(Run.from_json, said["runs"])))

    def merged(self, other: Report) -> Report:
        """Both reports as one; a case that both have is described once."""
        known = {case["id"] for case in self.cases}
        more = tuple(case for case in other.cases if case["id"] not in known)
        return Report(cases=self.cases + more, runs=self.runs + other.runs)

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(result for run in self.runs for result in run.results)
