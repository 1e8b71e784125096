"""What the judge says: findings, observations, and which statements a conversation exercised.

Rule: a finding names one statement and is certain; what may have an innocent cause is an
observation.

Layer: above `conversation`, below the judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from .conversation import Side

__all__ = ["Finding", "Notes", "Observation"]

SHOWN = 3
"""Findings of one kind on one connection that are told; the others are counted."""
MOST = 10_000
"""Findings and observations that are kept; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One side broke a statement, whatever the other had read by then."""

    statement: str
    side: Side
    connection: int
    frame: int
    """The number of the frame on its side, from 1; 0 where it is no frame."""
    offset: int
    """Where it begins, in bytes of its side's stream."""
    at: float
    required: str
    """What would have been right."""
    came: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is worth knowing and is no finding."""

    connection: int
    at: float
    what: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Notes:
    """Gathers findings, and calls `on_finding` with each."""

    def __init__(
        self,
        on_finding: Callable[[Finding], None] = lambda finding: None,
        on_observation: Callable[[Observation], None] = lambda observation: None,
    ) -> None:
        self.findings: list[Finding] = []
        self.observations: list[Observation] = []
        self.more: Counter[tuple[str, Side]] = Counter()
        """Findings that are like those told, and are only counted."""
        self.exercised: Counter[str] = Counter()
        """How often each statement was put to the test, where a breach would have shown."""
        self.good: Counter[tuple[Side, int]] = Counter()
        """Frames of each type whose layout was looked at and found right."""
        self.replies: Counter[int] = Counter()
        """Replies of each type of which it was known which request they answer."""
        self._told: Counter[tuple[int, str, Side]] = Counter()
        self._on_finding = on_finding
        self._on_observation = on_observation

    def find(self, finding: Finding) -> None:
        """A statement was broken."""
        key = finding.connection, finding.statement, finding.side
        self._told[key] += 1
        if self._told[key] > SHOWN or len(self.findings) >= MOST:
            self.more[finding.statement, finding.side] += 1
            return
        self.findings.append(finding)
        self._on_finding(finding)

    def observe(self, connection: int, at: float, what: str) -> None:
        """Something is worth knowing."""
        seen = Observation(connection, at, what)
        if len(self.observations) < MOST:
            self.observations.append(seen)
        self._on_observation(seen)

    def forget(self, connection: int) -> None:
        """Nothing more comes of this connection."""
        for key in [key for key in self._told if key[0] == connection]:
            del self._told[key]
