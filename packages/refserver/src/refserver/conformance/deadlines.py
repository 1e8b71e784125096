"""What is still taken when a deadline has passed.

Rule: a kit that was slow itself misses nothing that was there in time, and one that is
flooded comes to an end.

Layer: the bottom layer of the kit.
"""

from __future__ import annotations

import time

__all__ = ["LastLook"]


class LastLook:
    """Behind a deadline so many bytes are taken yet, and no more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._deadline = 0.0
        self._taken = 0

    def is_over(self, deadline: float, size: int) -> bool:
        """Whether these bytes were one too many behind this deadline."""
        if deadline != self._deadline:
            self._deadline, self._taken = deadline, 0
        if time.monotonic() > deadline:
            self._taken += size
        return self._taken > self._most
