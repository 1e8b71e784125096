"""The half of a room that needs no I/O: the waiting facts, the pause, the outcomes.

Rule: it reads the events of one `ClientSession`. It does not wait, read a clock or open a socket.

Layer: below `aio` and `blocking`, above `exceptions`; knows eventcodec and TLS settings alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from ssl import SSLContext, create_default_context

from eventcodec import (
    ApplicationEvent,
    CaughtUp,
    ClientSession,
    Closed,
    Event,
    Fact,
    Fate,
    Gap,
    Message,
    Offline,
    Online,
    Outcome,
    Paused,
    Reply,
    SessionState,
    Unknown,
)

from .exceptions import BacklogError, NotSaidError, PausedError

__all__ = [
    "CLOSE_TIMEOUT",
    "CONNECT_TIMEOUT",
    "BaseRoom",
    "Sayable",
    "Status",
    "as_event",
    "position_of",
]

CONNECT_TIMEOUT = 10.0
"""Seconds that an attempt to connect may take."""

CLOSE_TIMEOUT = 10.0
"""Seconds that leaving a room waits for outcomes and for the Ack of the Logout."""

Sayable = str | Message | ApplicationEvent
"""What `say` takes; a `str` is the content of a `Message`."""

Status = Online | CaughtUp | Offline | Gap | Paused | Closed
"""The events that `on_status` is called with."""


class BaseRoom(ABC):
    """What the rooms for asyncio and for blocking programs have in common."""

    def __init__(
        self,
        session: ClientSession,
        host: str,
        port: int,
        *,
        tls: SSLContext | bool,
        listen: bool,
        on_status: Callable[[Status], object],
    ) -> None:
        self._session = session
        self._address = (host, port)
        self._context = create_default_context() if tls is True else tls or None
        self._listens = listen
        self._on_status = on_status
        self._facts: deque[Event] = deque()
        self._paused: Paused | None = None
        self._was_connected = False

    @property
    def user(self) -> str:
        """The name that the server gave."""
        return self._session.user

    @property
    def state(self) -> SessionState:
        """The state of the session."""
        return self._session.state

    @property
    def position(self) -> int:
        """The position of the last entry that the room has read, facts in the backlog included."""
        return self._session.position

    @property
    def _is_entering(self) -> bool:
        return self._session.state in (SessionState.WAITING, SessionState.LOGIN)

    @property
    def _is_closed(self) -> bool:
        return self._session.state is SessionState.CLOSED

    def _take_events(self) -> None:
        """Take the events of the session: keep facts, pass outcomes on, report the status."""
        for event in self._session.events():
            if isinstance(event, Outcome | Reply):
                self._take_answer(event)
            elif isinstance(event, Fact | Unknown):
                if self._listens:
                    self._facts.append(event)
            elif isinstance(event, Status):
                if isinstance(event, Paused):
                    self._paused = event
                self._on_status(event)

    @abstractmethod
    def _take_answer(self, answer: Outcome | Reply) -> None:
        """Pass an outcome, or the reply to a Ping, on to the caller that waits for it."""

    def _raise_if_paused(self) -> None:
        if self._paused is not None:
            raise PausedError(self._paused)

    def _raise_if_full(self, max_backlog: int) -> None:
        if len(self._facts) >= max_backlog:
            raise BacklogError(f"facts that wait to be taken: {len(self._facts)}")

    def _log_out(self) -> None:
        """Drop the facts, and log out after every request has its outcome."""
        self._listens = False
        self._facts.clear()
        self._session.logout()


def as_event(what: Sayable) -> Message | ApplicationEvent:
    """The request to send for an argument of `say`."""
    return Message(content=what) if isinstance(what, str) else what


def position_of(outcome: Outcome) -> int:
    """The position of an accepted request. Raises NotSaidError for every other outcome."""
    if outcome.fate is not Fate.ACKNOWLEDGED:
        raise NotSaidError(outcome)
    return outcome.position
