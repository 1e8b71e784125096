"""The one token bucket that every rate in the server is measured with.

Rule: a bucket holds one number, and time is passed in. It never says no: it says when.

Layer: the ground of `session`.
"""

from __future__ import annotations

__all__ = ["TokenBucket"]

ROUNDING = 1e-6
"""Tokens that a bucket may lack: a wait that is too short by so little would be repeated."""


class TokenBucket:
    """`rate` tokens a second, of which at most `burst` are saved up. It begins full.

    More may be taken than there is: then the next ones take longer to come.

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
        """The whole tokens that there are; negative where more were taken."""
        return int(self.burst - max(0.0, self._full_at - now) * self.rate + ROUNDING)

    def take(self, tokens: float, now: float) -> None:
        """Take so many tokens."""
        self._full_at = max(self._full_at, now) + tokens / self.rate

    def when(self, tokens: float, now: float) -> float:
        """When so many tokens, at most `burst`, are there: now, or later."""
        at = self._full_at - (self.burst - min(tokens, self.burst)) / self.rate
        return at if at > now + ROUNDING / self.rate else now

    def is_full(self, now: float) -> bool:
        """Whether it is as if nothing had been taken."""
        return self._full_at <= now
