"""The places for connections, and the limits for one address and one user.

Rule: it never acts: it decides who holds a place.

The limits of one address or user depend only on that address or user.

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
"""The most addresses, and users, with stored rates before the full ones are forgotten."""

SUPERSEDED = 2
"""The most connections of one user that were taken over and still have due bytes."""

REPLAY_BURST = 64 * MIB
REPLAY_RATE = 2 * MIB
REPLAY_LEAST = 64 * 1024
"""The least charge for a resume, in bytes: it also costs entries, turns and lines of the log."""


@dataclass(frozen=True, slots=True)
class UserLimit:
    """One row of the table of limits for one user."""

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
"""The limits for one user. docs/server.md has this table."""

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Arrival(Generic[C]):
    """The decision about a new connection, and the connections to end for it."""

    admitted: bool
    displaced: tuple[C, ...] = ()


class Admission(Generic[C]):
    """Counts connections, and limits the rate of logins and replays. C is the type of a connection.

    `most` and `most_lingering` return the limits: for connections with a place, and for those that
    only wait for the client's end.

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
        """The number of places in use."""
        return len(self._places)

    def arrive(self, connection: C, address: str) -> Arrival[C]:
        """Decide whether a new connection gets a place. The oldest one without a login can lose its
        place for it."""
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
        """Whether this address already has its share of `most` connections."""
        if is_loopback(address):
            return False
        return self._held_by[origin(address)] >= max(1, int(most * self._config.address_share))

    def _displace(self) -> C:
        oldest, _ = self.unauthenticated.popitem(last=False)
        self._give_up_place(oldest)
        return oldest

    def authenticated(self, connection: C) -> None:
        """It has logged in, or will not log in."""
        self.unauthenticated.pop(connection, None)

    def delayed(self, connection: C) -> None:
        """Its login waits because its address or user has used up its limit: it is the first to
        lose its place."""
        if connection in self.unauthenticated:
            self.unauthenticated.move_to_end(connection, last=False)

    def linger(self, connection: C, *, always: bool = False) -> bool:
        """Free its place while it ends. False if too many connections already linger."""
        if connection in self.lingering:
            return True
        if len(self.lingering) >= self._most_lingering() and not always:
            return False
        self.lingering[connection] = None
        self._give_up_place(connection)
        return True

    def supersede(self, connection: C, user: str) -> tuple[C, ...]:
        """It was taken over. Returns the connections of this user to end at once."""
        held = self._superseded.setdefault(names.key_of(user), deque())
        held.append(connection)
        return tuple(held.popleft() for _ in range(len(held) - SUPERSEDED))

    def gone(self, connection: C, user: str | None) -> None:
        """It is closed. `user` is the name that it had."""
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
        """When a login may be handled. If the result is `now`, the login is counted; if it is
        later, ask again then. The logins of one second can arrive at once.
        """
        rate = self._config.logins
        if not rate or is_loopback(address):
            return now
        return _take(self._login_rates, origin(address), rate, max(1.0, rate), 1.0, now)

    def replay_at(self, user: str, size: int, now: float) -> float:
        """When so many bytes may be replayed to this user. If the result is `now`, they are
        counted."""
        size = max(REPLAY_LEAST, size)
        return _take(self._replay_rates, names.key_of(user), REPLAY_RATE, REPLAY_BURST, size, now)


def _take(
    rates: dict[str, TokenBucket], who: str, rate: float, burst: float, tokens: float, now: float
) -> float:
    """Take these tokens from the bucket of `who`, or return when it will have them."""
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
    """The key of an address. For IPv6 it is the /64 network, which belongs to one customer.

    >>> origin("192.0.2.1"), origin("2001:db8::1") == origin("2001:db8::2")
    ('192.0.2.1', True)
    """
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
