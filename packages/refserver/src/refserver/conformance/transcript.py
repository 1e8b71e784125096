"""What happened in one attempt: its steps, and what was expected and did not come.

Rule: a step is kept when it happens, without secrets. Of very many steps the first and the
last are kept. Nothing here knows a socket.

Layer: above `model` and `suite`, below `wire`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..wording import counted
from .annotate import NOTHING, Begun
from .model import Direction, Step
from .suite import CaseFailed

__all__ = ["KEPT", "Transcript"]

KEPT = 512
"""Bytes of one step that go into a report."""
FIRST, LAST = 40, 160
"""Steps of one case that go into a report."""

Snapshot = tuple[list[Step], int]


class Transcript:
    """The evidence of one attempt, and its clock: the attempt may take so many `seconds`."""

    def __init__(self, seconds: float, secrets: Iterable[bytes] = ()) -> None:
        self.steps: list[Step] = []
        self._secrets = set(filter(None, secrets))
        self._left_out = 0
        self._start = time.monotonic()
        self._last = self._start + seconds

    @property
    def now(self) -> float:
        """Seconds since the attempt began."""
        return time.monotonic() - self._start

    def hide(self, *secrets: bytes) -> None:
        """Mask these bytes in every step from now on."""
        self._secrets |= set(secrets)

    def step(
        self,
        who: str,
        direction: Direction,
        data: bytes = b"",
        note: str = "",
        begun: Begun = NOTHING,
    ) -> None:
        """Keep a step."""
        before = len(begun.data)
        shown = begun.data + data[:KEPT]
        for secret in self._secrets:
            if secret in shown:
                shown = shown.replace(secret, b"*" * len(secret))
        if before:
            begun = Begun(shown[:before], begun.size)
        self.steps.append(
            Step(
                at=self.now,
                who=who,
                direction=direction,
                data=shown[before:],
                size=len(data),
                note=note,
                begun=begun,
            )
        )
        if len(self.steps) > 2 * (FIRST + LAST):
            self._left_out += len(self.steps) - FIRST - LAST
            del self.steps[FIRST:-LAST]

    @property
    def evidence(self) -> tuple[Step, ...]:
        """The steps, without the middle of very many."""
        last = max(FIRST, len(self.steps) - LAST)
        left_out = self._left_out + last - FIRST
        if left_out <= 0 or len(self.steps) <= FIRST:
            return tuple(self.steps)
        at = self.steps[FIRST].at
        note = f"{counted(left_out, 'step')} left out"
        gap = Step(at=at, who="kit", direction=Direction.NOTE, note=note)
        return (*self.steps[:FIRST], gap, *self.steps[last:])

    def snapshot(self) -> Snapshot:
        """The steps until now, for `restore`."""
        return list(self.steps), self._left_out

    def restore(self, snapshot: Snapshot) -> None:
        """Put the steps of another attempt in the place of these."""
        steps, self._left_out = snapshot
        self.steps[:] = steps

    # ------------------------------------------------------------- what must hold

    def fail(self, expected: str, actual: str) -> CaseFailed:
        """The exception that says what was expected, to be raised by the caller."""
        return CaseFailed((expected,), actual)

    def check(self, holds: bool, expected: str | tuple[str, ...], actual: object) -> None:
        """Raise CaseFailed unless it holds."""
        if not holds:
            any_of = (expected,) if isinstance(expected, str) else expected
            raise CaseFailed(any_of, actual if isinstance(actual, str) else ascii(actual))

    def check_time(self) -> None:
        """Raise CaseFailed where the attempt has taken far too long, whatever still comes."""
        if time.monotonic() > self._last:
            seconds = self._last - self._start
            raise self.fail("the case comes to its end", f"it went on for {seconds:.0f} s")
