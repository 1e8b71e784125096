"""The time for the deadlines of clients: it stands still while the process does not run.

Rule: every deadline of a client uses `now` of one `ClientClock`.

So no client loses its connection because the process was stopped, the machine suspended, or the
container frozen.

Layer: the bottom layer of `server`. The loop's clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BEAT", "LATE", "ClientClock"]

BEAT = 0.25
"""Seconds between two calls of `beat`. Up to this much of each pause can go unnoticed."""
LATE = 0.1
"""Seconds that a beat can be late because the machine is busy."""


class ClientClock:
    """Seconds of `time`, without the seconds in which the process did not run.

    >>> seconds = iter([0.0, 0.0, 0.2, 5.2, 5.3])
    >>> clock = ClientClock(lambda: next(seconds))
    >>> clock.beat(); clock.now()
    0.2
    >>> round(clock.now(), 3), round(clock.missed, 3), round(clock.now(), 3)
    (0.25, 4.95, 0.35)
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self.missed = 0.0
        """The seconds that were not counted so far."""
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
        """Record that the process runs. Call it every `BEAT` seconds, until `rest`."""
        self.now()
        self._beat_by = self._time() + BEAT

    def rest(self) -> None:
        """There are no clients: `beat` is not called for a while."""
        self._beat_by = float("inf")

    def loop_time(self, at: float) -> float:
        """The time of the loop's clock at `at` of this clock, if no second is missed until then."""
        return at + self.missed
