"""What a session is told by its server: settings, and whom to ask.

Rule: nothing here does anything. The server's own parts have these forms, so that a session
knows neither files, nor sockets, nor the log on stderr.

Layer: the ground of `session`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "Authenticator",
    "Context",
    "Counters",
    "LogEvent",
    "Peer",
    "Proof",
    "Quotas",
    "Settings",
]


class Settings(Protocol):
    """The settings that a session obeys; `refserver.server.config.Config` has them."""

    @property
    def max_frame(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def heartbeat(self) -> int: ...
    @property
    def login_timeout(self) -> float: ...
    @property
    def frame_timeout(self) -> float: ...
    @property
    def write_timeout(self) -> float: ...
    @property
    def close_timeout(self) -> float: ...
    @property
    def server_name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Proof:
    """A credential that was accepted; `user` is the name it proves, empty where any is free."""

    user: str = ""


class Authenticator(Protocol):
    """Validates credentials."""

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """What the credential proves about `user`, the name asked for, or None.

        `certified` is the name in the client's certificate, empty without one.
        """
        ...


class Quotas(Protocol):
    """Says when a login may be carried out: now, and then it counts, or later."""

    def login_at(self, address: str, now: float) -> float:
        """When this address may log in."""
        ...

    def replay_at(self, user: str, size: int, now: float) -> float:
        """When so many bytes may be replayed to this user."""
        ...


LogEvent = Callable[..., None]
"""Writes one line of the server's log: a kind, and fields by name."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a client comes from, and the name in its certificate, empty without one."""

    address: str
    certified: str = ""


@dataclass(slots=True)
class Counters:
    """What sessions have done since the start."""

    logins: int = 0
    requests: int = 0
    replies: int = 0  # that made no entry, and pings
    errors: Counter[str] = field(default_factory=Counter)
    evictions: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Context:
    """What all sessions of a server share beside the room."""

    settings: Settings
    authenticator: Authenticator
    quotas: Quotas
    log_event: LogEvent
    counters: Counters = field(default_factory=Counters)
