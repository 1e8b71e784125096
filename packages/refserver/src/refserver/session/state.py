"""The state of a client's conversation.

Rule: a session passes these states in order.

Only a login that waited or was refused goes back.

Layer: the bottom layer of `session`.
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
    """The last frame is queued, after all due bytes."""
    SUPERSEDED = 6
    """As DRAINING, after a takeover: it has little time for the due bytes."""
    DISMISSED = 7
    """The last frame is queued, and all other due bytes are dropped, except a piece that was
    begun."""
    CLOSED = 8
    """The transport is gone."""
