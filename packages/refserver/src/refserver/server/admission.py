"""How many connections there may be, and how often one address may log in.

Rule: what one address has or does is held against this address alone. Counts and
a clock that is passed in; no sockets.

Layer: beside `auth`, below `session`.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from .config import Config, is_loopback

__all__ = ["Gate"]

FORGET = 4096
"""Addresses whose logins are remembered, before those that may log in freely are forgotten."""


class Gate:
    """Counts the connections, all and by address, and paces logins.

    >>> gate = Gate(Config(connections=4))
    >>> gate.enter("192.0.2.1")
    >>> gate.is_crowded("192.0.2.1", most=4), gate.is_crowded("192.0.2.2", most=4)
    (True, False)
    """

    def __init__(self, config: Config) -> None:
        self.held = 0
        self._share = config.address_share
        self._pause = 1 / config.logins if config.logins else 0.0
        self._held_by: Counter[str] = Counter()
        self._next: dict[str, float] = {}  # when an address would have made up for its logins

    def enter(self, address: str) -> None:
        """Count a connection."""
        self.held += 1
        self._held_by[origin(address)] += 1

    def leave(self, address: str) -> None:
        """Count it no more."""
        self.held -= 1
        of = origin(address)
        self._held_by[of] -= 1
        if not self._held_by[of]:
            del self._held_by[of]

    def is_crowded(self, address: str, most: int) -> bool:
        """Whether this address has its share of `most` connections already."""
        if is_loopback(address):
            return False
        return self._held_by[origin(address)] >= max(1, int(most * self._share))

    def login_at(self, address: str, now: float) -> float:
        """When a login may be judged: `now`, and then it counts, or later: ask again then.

        A second's worth of logins may come at once.
        """
        if not self._pause or is_loopback(address):
            return now
        of = origin(address)
        paid = max(self._next.get(of, now), now)
        earliest = paid + self._pause - max(1.0, self._pause)
        if earliest > now:
            return earliest
        self._next[of] = paid + self._pause
        if len(self._next) > FORGET:
            self._next = {each: at for each, at in self._next.items() if at > now}
        return now


def origin(address: str) -> str:
    """Who an address is: of IPv6 the network of 64 bits that one customer is given.

    >>> origin("192.0.2.1"), origin("2001:db8::1") == origin("2001:db8::2")
    ('192.0.2.1', True)
    """
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
