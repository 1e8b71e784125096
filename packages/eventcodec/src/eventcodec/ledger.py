"""What became of each request, over connections that break.

Rule: section 6.5 of the specification, and nothing else. What the server accepted is a prefix of
what is in doubt; a replay shows how long the prefix is, and the rest is sent again.

Layer: above `codec`, below `session`; knows no connection, no bytes of a stream and no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .codec import encode
from .errors import ErrorCode
from .events import ApplicationEvent, Error, Event, Left, Message

__all__ = ["Fate", "Ledger", "Outcome"]


class Fate(Enum):
    """What became of a request."""

    ACKNOWLEDGED = "acknowledged"
    """The server accepted it; the outcome has its position."""
    REFUSED = "refused"
    """The server refused it; the outcome has the `Error`."""
    NOT_ACCEPTED = "not accepted"
    """It was sent and the server did not accept it."""
    TOO_LONG = "not accepted (too long)"
    """The server did not accept it, and now takes no frame as long as this."""
    NEVER_SENT = "never sent"
    """Its last byte was never handed out."""
    UNKNOWN = "unknown"
    """It was sent, and nobody can tell whether the server accepted it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last word about one request.

    `number` is the one under which the request was added. `position` is not 0 only for
    ACKNOWLEDGED, `error` is there only for REFUSED.
    """

    number: int
    request: Event
    fate: Fate
    position: int = 0
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    number: int
    event: Event
    said: tuple[int, bytes]


class Ledger:
    """The requests of one session that have no outcome yet, oldest first.

    The first of them are in doubt, those behind were sent and not accepted, the last were
    never sent. The caller says what it hands out and what comes; the ledger gives outcomes.

    >>> ledger = Ledger()
    >>> ledger.add(1, Message(content="hello"))
    >>> ledger.connected()
    >>> ledger.welcomed("ann", resumed=False)
    >>> ledger.handed_out()
    >>> ledger.acknowledged(7).fate
    <Fate.ACKNOWLEDGED: 'acknowledged'>
    """

    def __init__(self) -> None:
        self._requests: deque[_Request] = deque()
        self._in_doubt = 0
        self._tried = 0
        self._user = ""
        self._is_member = False
        self._is_replaying = False

    def __len__(self) -> int:
        """How many requests have no outcome."""
        return len(self._requests)

    @property
    def in_doubt(self) -> int:
        """How many of them, the first ones, the server may have accepted. EP-6.5-7."""
        return self._in_doubt

    @property
    def may_send(self) -> bool:
        """Whether a request may go out on this connection. EP-6.5-5, EP-6.5-6."""
        return self._is_member and not self._is_replaying

    @property
    def next(self) -> Event | None:
        """The request to hand out next: first what was not accepted, in order. EP-6.5-16."""
        if self._in_doubt == len(self._requests):
            return None
        return self._requests[self._in_doubt].event

    def add(self, number: int, request: Event) -> None:
        """Take a new request, to be sent behind all others."""
        self._requests.append(_Request(number, request, _said(request)))

    def handed_out(self) -> None:
        """The last byte of `next` went to the transport."""
        self._in_doubt += 1
        self._tried = max(self._tried, self._in_doubt)

    def too_long(self) -> Outcome:
        """The server takes no frame as long as `next`: it is taken out. EP-6.5-17."""
        request = self._requests[self._in_doubt]
        del self._requests[self._in_doubt]
        self._tried = max(self._tried - 1, self._in_doubt)
        return Outcome(request.number, request.event, Fate.TOO_LONG)

    # ------------------------------------------------------------ what comes on a connection

    def connected(self) -> None:
        """A new connection begins."""
        self._is_member = self._is_replaying = False

    def welcomed(self, user: str, *, resumed: bool) -> None:
        """A Login was accepted; of a resume the replay begins."""
        self._user = user
        self._is_member = True
        self._is_replaying = resumed

    def fact(self, event: Event) -> Outcome | None:
        """A fact came: gives the outcome of the request that it is. EP-6.5-8 to EP-6.5-10."""
        if not (self._is_replaying and self._in_doubt):
            return None
        if isinstance(event, Left) and event.user == self._user:
            self.settle()
        elif isinstance(event, Message | ApplicationEvent) and event.sender == self._user:
            if _said(event) == self._requests[0].said:
                return self.acknowledged(event.seq)
            self.settle()
        return None

    def marker(self) -> None:
        """The Pong of the marker came, behind an accepted resume or not. EP-6.5-11."""
        if self._is_member:
            self._is_replaying = False
            self.settle()

    def acknowledged(self, position: int) -> Outcome:
        """The oldest request in doubt is the entry at `position`."""
        request = self._pop()
        return Outcome(request.number, request.event, Fate.ACKNOWLEDGED, position)

    def refused(self, error: Error) -> Outcome:
        """The oldest request in doubt got an Error in reply."""
        request = self._pop()
        return Outcome(request.number, request.event, Fate.REFUSED, error=error)

    def ended(self, code: int | None = None) -> None:
        """The connection is over, by an Error with seq 0 and this code, or else lost.

        EP-6.5-12, EP-6.5-13.
        """
        if self._is_member and code not in (None, ErrorCode.SLOW_CONSUMER):
            self.settle()
        self._is_member = self._is_replaying = False

    # ------------------------------------------------------------ what follows from it

    def settle(self) -> None:
        """Nothing in doubt was accepted; no later fact is taken for it. EP-6.5-14."""
        self._in_doubt = 0

    def history_gone(self) -> list[Outcome]:
        """Nobody can tell any more what became of those in doubt. EP-6.5-15."""
        lost = [self._pop() for _ in range(self._in_doubt)]
        return [Outcome(request.number, request.event, Fate.UNKNOWN) for request in lost]

    def give_up(self) -> list[Outcome]:
        """Nothing more will be sent: the outcome of every request that has none yet."""
        outcomes = list(self._at_the_end())
        self._requests.clear()
        self._in_doubt = self._tried = 0
        return outcomes

    def _at_the_end(self) -> Iterator[Outcome]:
        for place, request in enumerate(self._requests):
            tried = Fate.NOT_ACCEPTED if place < self._tried else Fate.NEVER_SENT
            fate = Fate.UNKNOWN if place < self._in_doubt else tried
            yield Outcome(request.number, request.event, fate)

    def _pop(self) -> _Request:
        self._in_doubt -= 1
        self._tried -= 1
        return self._requests.popleft()


def _said(event: Event) -> tuple[int, bytes]:
    """The type, and the bytes of the body behind `sender`."""
    frame = encode(event if event.seq else event.with_seq(1))
    return event.type, frame[17 + frame[16] :]
