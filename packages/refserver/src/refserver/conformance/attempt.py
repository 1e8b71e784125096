"""One attempt of a case against a server: its connections, its names, its evidence.

Rule: every attempt is new. It connects afresh, under names of its own, and lets go of the
server at its end.

Layer: above `connection` and `transcript`, below the cases.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, TypeVar

from .connection import Connection, Cut
from .model import Direction
from .names import Identity, Names
from .raw import Frame
from .segmentation import Segmentation
from .streams import Wrap, dial
from .suite import CaseFailed, NotReached
from .transcript import Snapshot, Transcript

__all__ = ["Attempt", "Setting"]

T = TypeVar("T")
CLOSING = 0.5
"""Seconds that a finished case waits for the server to close, so that it has let go."""
CONNECTING = 10.0
"""Seconds that a connection and its handshake may take, or what one wait may, if that is more."""
ATTEMPT = 120.0
"""Seconds that an attempt may take, or sixty times what one wait may, if that is more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a case is told about where and how it runs."""

    address: tuple[str, int]
    timeout: float
    capabilities: frozenset[str]
    identities: tuple[Identity, ...] = ()
    """Who may log in, where not everybody may."""
    others: tuple[tuple[str, int], ...] = ()
    """Further servers of the same room: the connections of a case go round all of them."""
    wrap: Wrap | None = None
    """Makes a connection speak TLS or WebSocket."""
    stop: Callable[[], str] | None = None
    """Makes the server shut down; returns what went wrong, or "" where nothing did."""
    seen: dict[object, tuple[Any, Snapshot]] = field(default_factory=dict, compare=False)
    """What is looked at once in a run, by who looks at it, and the evidence."""


class Attempt(Transcript):
    """One attempt of a case: its connections, its names, its clock, its evidence."""

    def __init__(
        self, setting: Setting, segmentation: Segmentation, rng: Random, token: str
    ) -> None:
        credentials = (identity.credential for identity in setting.identities)
        super().__init__(max(ATTEMPT, 60 * setting.timeout), credentials)
        self.setting = setting
        self.segmentation = segmentation
        self.names = Names(setting.identities, token)
        self.rng = rng
        self._token = token
        self._connections: list[Connection] = []

    @property
    def timeout(self) -> float:
        """Seconds that one wait may take."""
        return self.setting.timeout

    @property
    def cut(self) -> Cut:
        """Cuts what is sent as the segmentation says."""
        return partial(self.segmentation.cut, rng=self.rng)

    # ------------------------------------------------------------- names

    def identity(self, who: str) -> Identity:
        """Who `who` is in this attempt. Raises Unsupported where too few may log in."""
        return self.names.identity(who)

    def name(self, who: str) -> str:
        return self.identity(who).name

    def is_ours(self, frame: Frame) -> bool:
        """Whether a fact is about somebody of this case, or about nobody that it could be."""
        return self.names.is_ours(frame)

    def text(self, text: str) -> str:
        """A content that is this attempt's own."""
        return f"{text} {self._token}"

    def once(self, look: Callable[[Attempt], T]) -> T:
        """What `look` returns: the first attempt of a run looks, the others recall it."""
        if look not in self.setting.seen:
            self.setting.seen[look] = look(self), self.snapshot()
        seen, steps = self.setting.seen[look]
        self.restore(steps)
        result: T = seen
        return result

    # ------------------------------------------------------------- connections

    def connect(
        self, who: str = "ann", *, receive_buffer: int = 0, wrap: Wrap | None = None
    ) -> Connection:
        """A connection, not logged in; `wrap` replaces that of the setting. Raises NotReached."""
        addresses = (self.setting.address, *self.setting.others)
        try:
            stream = dial(
                addresses[len(self._connections) % len(addresses)],
                max(self.timeout, CONNECTING),
                wrap=wrap or self.setting.wrap,
                receive_buffer=receive_buffer,
            )
        except OSError as error:
            raise NotReached(f"cannot connect: {error.strerror or error}") from error
        conn = Connection(
            who, stream, transcript=self, names=self.names, cut=self.cut, timeout=self.timeout
        )
        self._connections.append(conn)
        self.step(who, Direction.NOTE, note="connected")
        return conn

    def member(self, who: str = "ann", *, receive_buffer: int = 0) -> Connection:
        """A connection that is logged in afresh."""
        conn = self.connect(who, receive_buffer=receive_buffer)
        conn.login()
        return conn

    def members(self, *names: str) -> list[Connection]:
        return [self.member(name) for name in names]

    def liveness_check(self) -> None:
        """A new connection is served as if nothing had been. Raises CaseFailed."""
        expected = ("a new connection is served as before",)
        conn = self.connect("liveness-check")
        try:
            conn.login()
        except CaseFailed as failure:
            raise CaseFailed(expected, failure.actual) from failure

    def close(self) -> None:
        """End all connections, and wait a little until the server has ended them too."""
        deadline = time.monotonic() + min(CLOSING, self.timeout)
        for conn in self._connections:
            conn.half_close(quietly=True)
        for conn in self._connections:
            conn.close(deadline)

    def validate_streams(self) -> None:
        """All that came on each connection was frames, to its end. Raises CaseFailed."""
        for conn in self._connections:
            conn.validate_stream()
