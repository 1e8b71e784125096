"""How far a client's conversation is.

Rule: a session is in exactly one of these states, and they only go forward, but that a
login which had to wait or was refused is tried again.

Layer: the ground of `session`.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["State"]


class State(IntEnum):
    """The states of a session, in the order in which it can pass them."""

    UNAUTHENTICATED = 0
    """Connected, not logged in."""
    LOGIN_DELAYED = 1
    """Its Login waits until its address, or its user, may log in again."""
    LOGGING_IN = 2
    """Its Login was submitted, and has no answer yet."""
    REJECTED = 3
    """Its credential was refused; UNAUTHORIZED is sent when the delay of EP-6.3-4 is over."""
    MEMBER = 4
    """Logged in."""
    DRAINING = 5
    """The last frame is queued, behind everything that is due."""
    SUPERSEDED = 6
    """As DRAINING, after a takeover: it has little time for what is due."""
    DISMISSED = 7
    """The last frame is queued, and nothing else but what was begun is due."""
    CLOSED = 8
    """The transport is gone."""
