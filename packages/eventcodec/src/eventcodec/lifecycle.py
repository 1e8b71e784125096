"""The states of a client's session, and what each end of a connection means for it: two tables.

Rule: whether a session goes on by itself is read from a table here and decided nowhere else. The
documentation is drawn from the tables.

Layer: above `ledger`, below `session`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .errors import ErrorCode, EventCodecError
from .events import Welcome

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
    """Where a session is."""

    WAITING = "waiting"
    """It wants a connection, at the time `connect_at`."""
    LOGIN = "login"
    """The Login is on its way."""
    REPLAY = "replay"
    """A resume was accepted; what was missed comes, up to the marker's Pong."""
    ONLINE = "online"
    """Requests go out."""
    LEAVING = "leaving"
    """A Logout is on its way."""
    PAUSED = "paused"
    """It does nothing until the user decides."""
    CLOSED = "closed"
    """It is over, and every request has its outcome."""


class Step(Enum):
    """What moves a session from one state to another."""

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
"""The state behind each step; what is not here cannot happen."""
del _


class Pause(Enum):
    """Why a session waits for its user. It keeps its ticket and its requests."""

    GAP = "history gone"
    """The session cannot be resumed. `go_on` begins a fresh one."""
    TAKEN_OVER = "taken over"
    """Another connection has resumed the session. `go_on` takes it back. EP-9.3-3."""
    UNAUTHORIZED = "unauthorized"
    """The server does not accept the credential. EP-9.3-3."""
    BAD_USER = "bad user"
    """The server does not allow the name."""
    USER_TAKEN = "user taken"
    """Somebody else has the name."""
    REFUSED = "refused"
    """The server refused the Login, or the marker, for a reason that this version does not know."""
    SERVER_FAULT = "server's fault"
    """The server broke the protocol. EP-9.3-4."""
    CLIENT_FAULT = "client's fault"
    """The server says that this client broke the protocol, or speaks another one. EP-9.3-4."""
    FAILING_REQUEST = "failing request"
    """The server failed (INTERNAL) again and again with the same request the first in line."""


LAST_ERRORS: Mapping[int, Pause] = {
    ErrorCode.USER_TAKEN: Pause.TAKEN_OVER,
    ErrorCode.UNAUTHORIZED: Pause.UNAUTHORIZED,
    ErrorCode.MALFORMED: Pause.CLIENT_FAULT,
    ErrorCode.FRAME_TOO_LARGE: Pause.CLIENT_FAULT,
    ErrorCode.UNSUPPORTED_VERSION: Pause.CLIENT_FAULT,
}
"""The codes of an Error with seq 0 that pause a session. After every other it tries again."""

REFUSED_LOGINS: Mapping[int, Pause] = {
    ErrorCode.HISTORY_GONE: Pause.GAP,
    ErrorCode.BAD_USER: Pause.BAD_USER,
    ErrorCode.USER_TAKEN: Pause.USER_TAKEN,
}
"""Why an Error in reply to a Login pauses a session; REFUSED for every other code. After
USER_TAKEN it tries again where the name may still be its own: at a resume, and where an earlier
Login got no reply."""


@dataclass(frozen=True, slots=True)
class Online:
    """The server has let the session in, on a new connection."""

    welcome: Welcome
    """The server's words: the name, the limits."""
    is_resumed: bool
    """True: what was missed comes now, then `CaughtUp`. False: the session is a fresh one."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A resumed session has what was missed, and requests go out again."""

    position: int
    """The place in the log that is reached."""


@dataclass(frozen=True, slots=True)
class Offline:
    """The connection is gone, or could not be made. The session tries again by itself."""

    error: Exception | None
    """Why, or None where the caller did not say."""
    retry_at: float
    """When, on the caller's clock."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The server no longer has what came behind `position`: it is lost to this session.

    The requests in doubt are unknown for ever; their outcomes come next, then `Paused`.
    """

    position: int
    """The last place that was reached."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The session does nothing until `go_on` or `close`."""

    reason: Pause
    error: EventCodecError | None = None
    """What ended the connection, where something did."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over. No event follows."""

    is_clean: bool
    """Whether the Ack of the Logout came."""
