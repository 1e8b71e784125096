"""The parts of the server that a session uses, as protocols.

Rule: it has only declarations.

The server's parts have these forms, so that a session knows no files, no sockets and no log on
stderr.

Layer: the bottom layer of `session`.
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
    """The settings of a session; `refserver.server.config.Config` has them."""

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
    """An accepted credential. `user` is the name that it proves, or empty if it proves none."""

    user: str = ""


class Authenticator(Protocol):
    """Validates credentials."""

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """The proof of the credential for the requested name `user`, or None. `certified` is the
        name in the client's certificate, or empty.
        """
        ...


class Quotas(Protocol):
    """Decides when a login may be handled. A login that may be handled now is counted."""

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
    """The address of a client, and the name in its certificate, or empty."""

    address: str
    certified: str = ""


@dataclass(slots=True)
class Counters:
    """The counters of all sessions since the start."""

    logins: int = 0
    requests: int = 0
    replies: int = 0  # without an entry, and pings
    errors: Counter[str] = field(default_factory=Counter)
    evictions: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that all sessions of a server share, except the room."""

    settings: Settings
    authenticator: Authenticator
    quotas: Quotas
    log_event: LogEvent
    counters: Counters = field(default_factory=Counters)
