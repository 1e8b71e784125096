"""The time that counts for clients: it stands still while the process does not run.

Rule: whatever judges a client by time uses `now` of one `ClientClock`. So a process that was
stopped, a suspended machine and a frozen container cost no client anything.

Layer: the ground of `server`. The loop's clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BEAT", "LATE", "ClientClock"]

BEAT = 0.25
"""Seconds between two calls of `beat`; less than this of each pause may go unnoticed."""
LATE = 0.1
"""Seconds that a beat may be late where the machine is only busy."""


class ClientClock:
    """Seconds of `time`, without those in which nothing ran.

    >>> seconds = iter([0.0, 0.0, 0.2, 5.2, 5.3])
    >>> clock = ClientClock(lambda: next(seconds))
    >>> clock.beat(); clock.now()
    0.2
    >>> round(clock.now(), 3), round(clock.missed, 3), round(clock.now(), 3)
    (0.25, 4.95, 0.35)
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self.missed = 0.0
        """Seconds that did not count so far."""
        self._time = time
        self._beat_by = float("inf")

    def now(self) -> float:
        """The time by this clock."""
        time = self._time()
        if time > self._beat_by + LATE:
            self.missed += time - self._beat_by
            self._beat_by = time
        return time - self.missed

    def beat(self) -> None:
        """Note that the process runs. To be called every `BEAT` seconds, until `rest`."""
        self.now()
        self._beat_by = self._time() + BEAT

    def rest(self) -> None:
        """There is nobody to judge, and no beat comes until the next call of `beat`."""
        self._beat_by = float("inf")

    def loop_time(self, at: float) -> float:
        """When it is `at` by this clock, if nothing is missed until then, by the loop's."""
        return at + self.missed
