"""The token bucket for every rate limit of the server.

Rule: a bucket never refuses: it returns when to go on.

It has one number. Time is passed in.

Layer: the bottom layer of `session`.
"""

from __future__ import annotations

__all__ = ["TokenBucket"]

ROUNDING = 1e-6
"""A difference that counts as none: else a wait that is a little too short would be repeated."""


class TokenBucket:
    """It gets `rate` tokens a second, and keeps at most `burst`. It begins full.

    A caller can take more tokens than there are. The next tokens then arrive later.

    >>> bucket = TokenBucket(rate=2.0, burst=4.0)
    >>> bucket.available(now=0.0), bucket.take(5.0, now=0.0), bucket.when(1.0, now=0.0)
    (4, None, 1.0)
    """

    __slots__ = ("_full_at", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._full_at = 0.0

    def available(self, now: float) -> int:
        """The number of whole tokens; negative if more were taken."""
        return int(self.burst - max(0.0, self._full_at - now) * self.rate + ROUNDING)

    def take(self, tokens: float, now: float) -> None:
        """Take so many tokens."""
        self._full_at = max(self._full_at, now) + tokens / self.rate

    def when(self, tokens: float, now: float) -> float:
        """The time at which it has so many tokens, at most `burst`: now or later."""
        at = self._full_at - (self.burst - min(tokens, self.burst)) / self.rate
        return at if at > now + ROUNDING / self.rate else now

    def is_full(self, now: float) -> bool:
        """Whether it is full."""
        return self._full_at <= now
