"""A heap of deadlines.

Rule: it does not know what a deadline means.

The caller decides that. A heap has times and owners.

Layer: the bottom layer of `server`.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil
from typing import Generic, TypeVar

__all__ = ["Timer", "Timers"]

NEVER = float("inf")

FAR = 1.0
"""Seconds. A deadline that is at least so far away is rounded up to the grid."""
GRID = 8
"""Moments of the grid in a second. Without it, each heartbeat costs four rounds of the loop."""

MAX_OUTDATED = 64
"""The most outdated entries, in addition to two for each timer."""

T = TypeVar("T")


class Timer(Generic[T]):
    """One owner's next deadline, as `Timers` keeps it."""

    __slots__ = ("due", "owner")

    def __init__(self, owner: T) -> None:
        self.owner: T | None = owner
        self.due = NEVER


class Timers(Generic[T]):
    """The next deadlines of many owners.

    >>> timers = Timers[str]()
    >>> ann, bob = timers.add("ann"), timers.add("bob")
    >>> _ = timers.set(ann, 0.5, now=0.0), timers.set(bob, 0.3, now=0.0)
    >>> timers.next_due
    0.3
    >>> list(timers.expired(now=0.4)), timers.next_due
    (['bob'], 0.5)
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer[T]]] = []
        self._numbers = count()
        self.owners = 0
        """How many timers there are, set or not."""

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_due(self) -> float:
        """The time of the first deadline. Some are earlier than they are set to."""
        return self._heap[0][0] if self._heap else NEVER

    def add(self, owner: T) -> Timer[T]:
        """Make a timer for this owner. It is not set."""
        self.owners += 1
        return Timer(owner)

    def remove(self, timer: Timer[T]) -> None:
        """Remove the owner."""
        if timer.owner is not None:
            self.owners -= 1
            timer.owner = None
            timer.due = NEVER

    def set(self, timer: Timer[T], due: float, now: float) -> bool:
        """Let it expire at `due` at the latest, or up to 1 / `GRID` seconds later if `due` is
        `FAR` away. True if it is now the first of all timers.

        A timer that is set to an earlier time keeps it, and the owner sets it again then. So a
        deadline that moves with each byte costs nothing.
        """
        if due >= timer.due or timer.owner is None:
            return False
        if due - now >= FAR:
            due = ceil(due * GRID) / GRID
            if due >= timer.due:
                return False
        timer.due = due
        heappush(self._heap, (due, next(self._numbers), timer))
        if len(self._heap) > 2 * self.owners + MAX_OUTDATED:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
            heapify(self._heap)
        return self._heap[0][2] is timer

    def expired(self, now: float) -> Iterator[T]:
        """The owners of the deadlines that are due. Their timers are not set after this."""
        while self._heap and self._heap[0][0] <= now:
            due, _, timer = heappop(self._heap)
            if due == timer.due and timer.owner is not None:
                timer.due = NEVER
                yield timer.owner
