"""What can go wrong for somebody who talks in a room, as exceptions.

Rule: an exception carries the session's own words; it decides nothing.

Layer: below `aio` and `blocking`; knows eventcodec alone.
"""

from __future__ import annotations

import ipaddress

from eventcodec import Outcome, Paused

__all__ = ["BacklogError", "NotSaidError", "PausedError", "PlaintextError", "check_credential"]


class NotSaidError(Exception):
    """A request was not acknowledged; `outcome` says what became of it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        return f"request {self.outcome.number}: {self.outcome.fate.value}"


class PausedError(Exception):
    """The session waits for a decision; `paused` says why. `go_on` or leave.

    What was said stays in the session, and goes out after `go_on`.
    """

    def __init__(self, paused: Paused) -> None:
        super().__init__(paused)
        self.paused = paused

    def __str__(self) -> str:
        return f"the session is paused: {self.paused.reason.value}"


class BacklogError(Exception):
    """Facts pile up that nobody takes, and the replies stand behind them.

    Iterate over the room, in another task or in between, or connect with `listen=False`.
    """


class PlaintextError(Exception):
    """A credential would go out in the clear, to another machine. EP-6.3-1."""


def check_credential(credential: bytes, address: str, *, is_tls: bool) -> None:
    """Raise PlaintextError where this credential may not go out to this IP address."""
    host = address.partition("%")[0]  # an IPv6 address may name its interface
    if credential and not is_tls and not ipaddress.ip_address(host).is_loopback:
        raise PlaintextError(f"a credential goes to {address} over TLS only")
