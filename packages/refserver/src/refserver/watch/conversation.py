"""A conversation: the two byte streams of one connection, as they passed one place.

Rule: an item is what passed, and when; the order of the items is the order in which they passed.
Nothing here looks into the bytes.

Layer: the bottom layer of `watch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Bytes", "CutShort", "Did", "Ended", "How", "Item", "Missing", "Opened", "Side"]


class CutShort(Exception):
    """A file of conversations ends in the middle of an item; all before it came."""


class Side(StrEnum):
    """Whose bytes they are."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> Side:
        """The peer."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


class How(StrEnum):
    """How a stream ended."""

    FIN = "fin"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection begins to be watched.

    `at` is in seconds from the beginning of the recording, for every item. `client` and `server`
    are addresses, `host:port`, or empty. `whole` is False where bytes had passed before.
    `secure` says that the client speaks TLS, None where nobody knows. `only` is the side to be
    judged, where the other one is disturbed; None: both.
    """

    at: float
    connection: int
    client: str = ""
    server: str = ""
    whole: bool = True
    secure: bool | None = None
    only: Side | None = None


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of one side."""

    at: float
    connection: int
    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """Bytes of one side that passed and were not seen; `size` is None where nobody knows it."""

    at: float
    connection: int
    side: Side
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """One side's stream has ended; the other may go on behind a FIN."""

    at: float
    connection: int
    side: Side
    how: How = How.FIN


@dataclass(frozen=True, slots=True)
class Did:
    """What the watching program did to the conversation, in words; no fault of either side."""

    at: float
    connection: int
    side: Side
    what: str


Item = Opened | Bytes | Missing | Ended | Did
