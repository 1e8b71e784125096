"""The exceptions of a room.

Rule: an exception carries the event of the session that caused it. It decides nothing.

Layer: below `room`; knows eventcodec alone.
"""

from __future__ import annotations

import ipaddress

from eventcodec import Outcome, Paused

__all__ = ["BacklogError", "NotSaidError", "PausedError", "PlaintextError", "check_credential"]


class NotSaidError(Exception):
    """A request was not accepted, or nobody can tell; `outcome` is the `Outcome` of the session."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        return f"request {self.outcome.number}: {self.outcome.fate.value}"


class PausedError(Exception):
    """The session waits for a decision: call `go_on`, or leave the room.

    `paused` is the `Paused` of the session, with the reason. The session keeps the requests, and
    sends them after `go_on`.
    """

    def __init__(self, paused: Paused) -> None:
        super().__init__(paused)
        self.paused = paused

    def __str__(self) -> str:
        return f"the session is paused: {self.paused.reason.value}"


class BacklogError(Exception):
    """Too many facts wait to be taken. The replies arrive after them.

    Iterate over the room, for example in another task, or connect with `listen=False`.
    """


class PlaintextError(Exception):
    """The credential was not sent: the connection has no TLS and is not local. EP-6.3-1."""


def check_credential(credential: bytes, address: str, *, is_tls: bool) -> None:
    """Raise PlaintextError if the credential may not be sent to this IP address."""
    host = address.partition("%")[0]  # an IPv6 address may name its interface
    if credential and not is_tls and not ipaddress.ip_address(host).is_loopback:
        raise PlaintextError(f"a credential goes to {address} over TLS only")
