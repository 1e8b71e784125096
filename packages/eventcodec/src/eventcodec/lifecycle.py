"""The states of a client's session, and the reaction to each end of a connection: two tables.

Rule: these tables alone decide whether a session tries again or pauses. The documentation is
generated from them.

Layer: above `ledger`, below `session`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .errors import ErrorCode, EventCodecError
from .events import Welcome
from .value import Value

__all__ = [
    "LAST_ERRORS",
    "REFUSED_LOGINS",
    "TRANSITIONS",
    "CaughtUp",
    "Closed",
    "Gap",
    "Offline",
    "Online",
    "Pause",
    "Paused",
    "SessionState",
    "Step",
]


class SessionState(Enum):
    """The state of a session."""

    WAITING = "waiting"
    """It needs a connection at the time `connect_at`."""
    LOGIN = "login"
    """It has sent the Login."""
    REPLAY = "replay"
    """The resume was accepted. The missed entries arrive, up to the Pong of the marker."""
    ONLINE = "online"
    """It sends requests."""
    LEAVING = "leaving"
    """It has sent the Logout."""
    PAUSED = "paused"
    """It does nothing until the caller decides."""
    CLOSED = "closed"
    """It has ended, and every request has its outcome."""


class Step(Enum):
    """A step from one state of a session to another."""

    CONNECT = "connected"
    ENTER = "Welcome to a fresh Login"
    RESUME = "Welcome to a resume"
    CATCH_UP = "Pong of the marker"
    LEAVE = "Logout sent"
    LEFT = "Ack of the Logout"
    RETRY = "connection ended, try again"
    PAUSE = "connection ended, ask the user"
    GO_ON = "the user goes on"
    CLOSE = "the user closes"


_ = SessionState
_CONNECTED = (_.LOGIN, _.REPLAY, _.ONLINE, _.LEAVING)

TRANSITIONS: Mapping[tuple[SessionState, Step], SessionState] = {
    (_.WAITING, Step.CONNECT): _.LOGIN,
    (_.WAITING, Step.RETRY): _.WAITING,
    (_.LOGIN, Step.ENTER): _.ONLINE,
    (_.LOGIN, Step.RESUME): _.REPLAY,
    (_.REPLAY, Step.CATCH_UP): _.ONLINE,
    (_.ONLINE, Step.LEAVE): _.LEAVING,
    (_.LEAVING, Step.LEFT): _.CLOSED,
    (_.PAUSED, Step.GO_ON): _.WAITING,
    **{(state, Step.RETRY): _.WAITING for state in _CONNECTED},
    **{(state, Step.PAUSE): _.PAUSED for state in _CONNECTED},
    **{(state, Step.CLOSE): _.CLOSED for state in (_.WAITING, *_CONNECTED, _.PAUSED)},
}
"""The state after each step. A pair that is not here cannot occur."""
del _


class Pause(Enum):
    """The reason why a session waits for its caller. It keeps its ticket and its requests."""

    GAP = "history gone"
    """The session cannot be resumed. `go_on` starts a new one."""
    TAKEN_OVER = "taken over"
    """Another connection has resumed the session. `go_on` takes it back. EP-9.3-3."""
    UNAUTHORIZED = "unauthorized"
    """The server does not accept the credential. EP-9.3-3."""
    BAD_USER = "bad user"
    """The server does not allow the name."""
    USER_TAKEN = "user taken"
    """Another session has the name."""
    REFUSED = "refused"
    """The server refused the Login, or the marker, for a reason that this version does not know."""
    SERVER_FAULT = "server's fault"
    """The server broke the protocol. EP-9.3-4."""
    CLIENT_FAULT = "client's fault"
    """The server reports that this client broke the protocol, or uses another version. EP-9.3-4."""
    FAILING_REQUEST = "failing request"
    """The server failed (INTERNAL) several times while the same request was the first without a
    reply."""


LAST_ERRORS: Mapping[int, Pause] = {
    ErrorCode.USER_TAKEN: Pause.TAKEN_OVER,
    ErrorCode.UNAUTHORIZED: Pause.UNAUTHORIZED,
    ErrorCode.MALFORMED: Pause.CLIENT_FAULT,
    ErrorCode.FRAME_TOO_LARGE: Pause.CLIENT_FAULT,
    ErrorCode.UNSUPPORTED_VERSION: Pause.CLIENT_FAULT,
}
"""The codes of an Error with seq 0 that pause a session. After every other code it tries again."""

REFUSED_LOGINS: Mapping[int, Pause] = {
    ErrorCode.HISTORY_GONE: Pause.GAP,
    ErrorCode.BAD_USER: Pause.BAD_USER,
    ErrorCode.USER_TAKEN: Pause.USER_TAKEN,
}
"""The pause after an Error in reply to a Login; REFUSED for every other code. After USER_TAKEN the
session tries again if the name can still be its own: at a resume, and after a Login without a
reply."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Online(Value):
    """The server accepted the Login on a new connection."""

    welcome: Welcome
    """The Welcome of the server, with the name and the limits."""
    is_resumed: bool
    """True after a resume: the missed entries follow, then `CaughtUp`. False for a new session."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CaughtUp(Value):
    """A resumed session has read the missed entries, and sends requests again."""

    position: int
    """The position in the log."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Offline(Value):
    """The connection was lost, or could not be made. The session tries again."""

    error: Exception | None
    """The cause, or None if it is not known."""
    retry_at: float
    """The time of the next attempt, on the clock of the caller."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gap(Value):
    """The server no longer has the entries after `position`. This session cannot read them.

    The requests in doubt are UNKNOWN. Their outcomes follow, then `Paused`.
    """

    position: int
    """The last position that was read."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Paused(Value):
    """The session does nothing until `go_on` or `close`."""

    reason: Pause
    error: EventCodecError | None = None
    """The error that ended the connection, or None."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Closed(Value):
    """The session has ended. No event follows."""

    is_clean: bool
    """Whether the Ack of the Logout arrived."""
