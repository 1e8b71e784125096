"""Who holds a place, and what one address or one user may hold and cost.

Rule: it counts and decides, and never acts. What one address or user has or does is held
against it alone.

Layer: above `config`, below `server`. No sockets; the clock is passed in.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..session import names
from ..session.ratelimit import TokenBucket
from ..session.tickets import KEPT, KEPT_BY_GUESTS, KEPT_BY_USER
from .config import Config, is_loopback

__all__ = ["USER_LIMITS", "Admission", "Arrival", "UserLimit", "origin"]

MIB = 1 << 20

REMEMBERED = 4096
"""Addresses, and users, whose rates are remembered before those that are full are forgotten."""

SUPERSEDED = 2
"""Connections of one user that were taken over and are still owed something."""

REPLAY_BURST = 64 * MIB
REPLAY_RATE = 2 * MIB
REPLAY_LEAST = 64 * 1024
"""What a resume is charged at least, in bytes: it costs entries, turns and lines of the log."""


@dataclass(frozen=True, slots=True)
class UserLimit:
    """One row of the table of what one user may hold or cost."""

    what: str
    most: str
    beyond: str


USER_LIMITS = (
    UserLimit("members", "1", "a login gets USER_TAKEN; a resume takes over the session"),
    UserLimit(
        "connections that a resume took over and that are not closed yet",
        f"{SUPERSEDED}, each for `--write-timeout` at most",
        "the oldest is closed at once",
    ),
    UserLimit(
        "sessions without a connection that the server keeps for a resume",
        f"{KEPT_BY_USER} ({KEPT_BY_GUESTS:,} for all assigned names together), of {KEPT:,}",
        "the oldest of the same user is forgotten; its resume gets HISTORY_GONE",
    ),
    UserLimit(
        "bytes of history that resumes replay",
        f"{REPLAY_BURST // MIB} MiB at once, then {REPLAY_RATE // MIB} MiB a second; "
        f"a resume counts {REPLAY_LEAST // 1024} KiB at least",
        "the `Login` waits for its `Welcome`",
    ),
)
"""What one user may hold or cost. docs/server.md has this table."""

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Arrival(Generic[C]):
    """What is decided about a new connection, and who has to go for it."""

    admitted: bool
    displaced: tuple[C, ...] = ()


class Admission(Generic[C]):
    """Counts connections and paces logins and replays. C is the kind of a connection.

    `most` and `most_lingering` say how many there may be, of those that hold a place and of
    those that only wait for their client's end.

    >>> admission = Admission[str](Config(connections=4), lambda: 4, lambda: 1)
    >>> admission.arrive("first", "192.0.2.1").admitted
    True
    >>> admission.arrive("again", "192.0.2.1").admitted
    False
    """

    def __init__(
        self, config: Config, most: Callable[[], int], most_lingering: Callable[[], int]
    ) -> None:
        self.unauthenticated: OrderedDict[C, None] = OrderedDict()  # oldest first
        self.lingering: dict[C, None] = {}
        self._config = config
        self._most = most
        self._most_lingering = most_lingering
        self._places: dict[C, str] = {}
        self._held_by: Counter[str] = Counter()
        self._login_rates: dict[str, TokenBucket] = {}
        self._replay_rates: dict[str, TokenBucket] = {}
        self._superseded: dict[str, deque[C]] = {}

    # ------------------------------------------------------------- places

    @property
    def held(self) -> int:
        """Places that are taken."""
        return len(self._places)

    def arrive(self, connection: C, address: str) -> Arrival[C]:
        """Whether a new connection gets a place. The oldest without a login goes for it."""
        most = self._most()
        if self._is_crowded(address, most):
            return Arrival(False)
        displaced: list[C] = []
        if self.held >= most and self.unauthenticated:
            displaced.append(self._displace())
        if self.held >= most:
            return Arrival(False, tuple(displaced))
        self._places[connection] = origin(address)
        self._held_by[origin(address)] += 1
        self.unauthenticated[connection] = None
        if len(self.unauthenticated) > self._config.unauthenticated:
            displaced.append(self._displace())
        return Arrival(True, tuple(displaced))

    def _is_crowded(self, address: str, most: int) -> bool:
        """Whether this address has its share of `most` connections already."""
        if is_loopback(address):
            return False
        return self._held_by[origin(address)] >= max(1, int(most * self._config.address_share))

    def _displace(self) -> C:
        oldest, _ = self.unauthenticated.popitem(last=False)
        self._give_up_place(oldest)
        return oldest

    def authenticated(self, connection: C) -> None:
        """It has logged in, or will not any more."""
        self.unauthenticated.pop(connection, None)

    def delayed(self, connection: C) -> None:
        """Its login waits for what its address or user has used up: it is the first to go."""
        if connection in self.unauthenticated:
            self.unauthenticated.move_to_end(connection, last=False)

    def linger(self, connection: C, *, always: bool = False) -> bool:
        """Give its place to others while it ends. False where too many do so already."""
        if connection in self.lingering:
            return True
        if len(self.lingering) >= self._most_lingering() and not always:
            return False
        self.lingering[connection] = None
        self._give_up_place(connection)
        return True

    def supersede(self, connection: C, user: str) -> tuple[C, ...]:
        """It was taken over. Returns those of this user that have to go at once for it."""
        held = self._superseded.setdefault(names.key_of(user), deque())
        held.append(connection)
        return tuple(held.popleft() for _ in range(len(held) - SUPERSEDED))

    def gone(self, connection: C, user: str | None) -> None:
        """It is closed; `user` is who it was."""
        self._give_up_place(connection)
        self.unauthenticated.pop(connection, None)
        self.lingering.pop(connection, None)
        held = self._superseded.get(names.key_of(user)) if user else None
        if user and held and connection in held:
            held.remove(connection)
            if not held:
                del self._superseded[names.key_of(user)]

    def _give_up_place(self, connection: C) -> None:
        address = self._places.pop(connection, None)
        if address is not None:
            self._held_by[address] -= 1
            if not self._held_by[address]:
                del self._held_by[address]

    # ------------------------------------------------------------- rates

    def login_at(self, address: str, now: float) -> float:
        """When a login may be carried out: `now`, and then it counts, or later: ask again then.

        A second's worth of logins may come at once.
        """
        rate = self._config.logins
        if not rate or is_loopback(address):
            return now
        return _take(self._login_rates, origin(address), rate, max(1.0, rate), 1.0, now)

    def replay_at(self, user: str, size: int, now: float) -> float:
        """When so many bytes may be replayed to this user: `now`, and then they count, or later."""
        size = max(REPLAY_LEAST, size)
        return _take(self._replay_rates, names.key_of(user), REPLAY_RATE, REPLAY_BURST, size, now)


def _take(
    rates: dict[str, TokenBucket], who: str, rate: float, burst: float, tokens: float, now: float
) -> float:
    """Take these tokens from the bucket of `who`, or say when they will be there."""
    bucket = rates.get(who)
    if bucket is None:
        bucket = rates[who] = TokenBucket(rate, burst)
        if len(rates) > REMEMBERED:
            for each in [each for each, held in rates.items() if held.is_full(now)]:
                del rates[each]
            rates[who] = bucket
    when = bucket.when(tokens, now)
    if when <= now:
        bucket.take(tokens, now)
    return when


def origin(address: str) -> str:
    """Who an address is: of IPv6 the network of 64 bits that one customer is given.

    >>> origin("192.0.2.1"), origin("2001:db8::1") == origin("2001:db8::2")
    ('192.0.2.1', True)
    """
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
