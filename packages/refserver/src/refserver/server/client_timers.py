"""The deadlines of all clients: one clock, one heap, one timer of the loop.

Rule: nothing ends a client by time, except a deadline that is set here.

So no time counts in which the process did not run, and the sockets are read before a deadline is
judged.

Layer: above `clock` and `timers`, below all parts that set a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .clock import BEAT, ClientClock
from .timers import NEVER, Timer, Timers

__all__ = ["ClientTimers", "Expired"]

Expired = Callable[[float], None]
"""Called with the time of the clock when a deadline is due. Its timer is not set after this."""


class ClientTimers:
    """The deadlines of the clients of one server, by `clock`.

    The clock is kept running while there is a timer, set or not.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.clock = ClientClock(loop.time)
        self._loop = loop
        self._timers: Timers[Expired] = Timers()
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._seen_missed = 0.0

    def __len__(self) -> int:
        return len(self._timers)

    def add(self, expired: Expired) -> Timer[Expired]:
        """Make a timer that calls `expired`. It is not set."""
        if self._beat is None:
            self._keep_beat()
        return self._timers.add(expired)

    def remove(self, timer: Timer[Expired]) -> None:
        """Forget a timer."""
        self._timers.remove(timer)
        if not self._timers.owners:
            self._rest()

    def set(self, timer: Timer[Expired], due: float) -> None:
        """Let it expire at `due` at the latest, within the grid of `Timers.set`. An earlier time
        that was set before stays.
        """
        if due < timer.due and self._timers.set(timer, due, self.clock.now()):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._timers.next_due
        at = self.clock.loop_time(due)
        self._timer = None if due == NEVER else self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        """Call what is due, but read the sockets first if time was missed."""
        now = self.clock.now()
        if self.clock.missed != self._seen_missed:
            self._seen_missed = self.clock.missed
            self._timer = self._loop.call_at(self._loop.time(), self._tick)
            return
        self._timer = None
        for expired in self._timers.expired(now):
            expired(now)
        self._arm()

    def _keep_beat(self) -> None:
        self.clock.beat()
        if self.clock.missed != self._seen_missed:
            self._arm()
        self._beat = self._loop.call_later(BEAT, self._keep_beat)

    def _rest(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        self.clock.rest()
