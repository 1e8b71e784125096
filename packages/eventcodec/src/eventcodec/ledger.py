"""What became of each request, over connections that break.

Rule: section 6.5 of the specification, and nothing else. What the server accepted is a prefix of
what is in doubt; a replay shows how long the prefix is, and the rest is sent again.

Layer: above `codec`, below `session`; knows no connection, no bytes of a stream and no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from .codec import encode
from .errors import ErrorCode
from .events import ApplicationEvent, Error, Event, Left, Message
from .limits import HEADER_SIZE, LENGTH_SIZE

__all__ = ["Fate", "Ledger", "Outcome", "Request"]


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
    """What became of one request: the last word, unless it is UNKNOWN and sent again.

    `number` is the one under which the request was added. `position` is not 0 only for
    ACKNOWLEDGED, `error` is there only for REFUSED.
    """

    number: int
    request: Event
    fate: Fate
    position: int = 0
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request under its number; `said` is its type and the bytes of its body behind `sender`."""

    number: int
    event: Event
    said: tuple[int, bytes]

    @classmethod
    def of(cls, number: int, event: Event) -> Request:
        """The request that says `event`."""
        return cls(number, event, _said(event))

    @property
    def length(self) -> int:
        """What its frame's `length` is, in bytes; EP-7.1-2 limits it."""
        return HEADER_SIZE - LENGTH_SIZE + 1 + len(self.said[1])


class Ledger:
    """The requests of one session that have no outcome yet, oldest first.

    The first of them are in doubt, those behind were sent and not accepted, the last were
    never sent. The caller reports what it hands out and what arrives; the ledger returns outcomes.

    >>> ledger = Ledger()
    >>> ledger.add(Request.of(1, Message(content="hello")))
    >>> ledger.connected()
    >>> ledger.welcomed("ann", resumed=False)
    >>> ledger.handed_out()
    >>> ledger.acknowledged(7).fate
    <Fate.ACKNOWLEDGED: 'acknowledged'>
    """

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._in_doubt = 0
        self._tried = 0
        self._bytes = 0
        self._bytes_in_doubt = 0
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
    def tried(self) -> int:
        """How many of them, the first ones, were handed out at some time."""
        return self._tried

    @property
    def bytes(self) -> int:
        """The sum of their lengths."""
        return self._bytes

    @property
    def bytes_in_doubt(self) -> int:
        """The sum of the lengths of those in doubt."""
        return self._bytes_in_doubt

    @property
    def requests(self) -> Sequence[Request]:
        """All of them, oldest first. Not to be changed."""
        return self._requests

    @property
    def may_send(self) -> bool:
        """Whether a request may go out on this connection. EP-6.5-5, EP-6.5-6."""
        return self._is_member and not self._is_replaying

    def restore(self, *, in_doubt: int, tried: int) -> None:
        """Take up what a ledger that is gone knew of the requests that were added since."""
        for _ in range(in_doubt):
            self.handed_out()
        self._tried = tried

    @property
    def next(self) -> Event | None:
        """The request to hand out next: first what was not accepted, in order. EP-6.5-16."""
        if self._in_doubt == len(self._requests):
            return None
        return self._requests[self._in_doubt].event

    def add(self, request: Request) -> None:
        """Take a new request, to be sent behind all others."""
        self._requests.append(request)
        self._bytes += request.length

    def again(self, requests: Iterable[Request]) -> None:
        """Take requests whose fate is unknown, to be sent again before all others, in order."""
        for request in reversed(sorted(requests, key=lambda each: each.number)):
            self._requests.appendleft(request)
            self._bytes += request.length
            self._tried += 1

    def handed_out(self) -> None:
        """The last byte of `next` went to the transport."""
        self._bytes_in_doubt += self._requests[self._in_doubt].length
        self._in_doubt += 1
        self._tried = max(self._tried, self._in_doubt)

    def too_long(self, max_frame: int) -> list[Outcome]:
        """Take out what is longer than the server takes now. EP-6.5-17.

        To be asked when nothing is in doubt.
        """
        kept: deque[Request] = deque()
        outcomes = []
        tried = self._tried
        for place, request in enumerate(self._requests):
            if request.length <= max_frame:
                kept.append(request)
                continue
            outcomes.append(Outcome(request.number, request.event, Fate.TOO_LONG))
            self._bytes -= request.length
            self._tried -= place < tried
        self._requests = kept
        return outcomes

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
        """Takes a fact; returns the outcome of the request that it is. EP-6.5-8 to EP-6.5-10."""
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
        self._in_doubt = self._bytes_in_doubt = 0

    def history_gone(self) -> list[Outcome]:
        """Nobody can tell any more what became of those in doubt. EP-6.5-15."""
        lost = [self._pop() for _ in range(self._in_doubt)]
        return [Outcome(request.number, request.event, Fate.UNKNOWN) for request in lost]

    def give_up(self) -> list[Outcome]:
        """Nothing more will be sent: the outcome of every request that has none yet."""
        outcomes = list(self._at_the_end())
        self._requests.clear()
        self._in_doubt = self._tried = self._bytes = self._bytes_in_doubt = 0
        return outcomes

    def _at_the_end(self) -> Iterator[Outcome]:
        for place, request in enumerate(self._requests):
            tried = Fate.NOT_ACCEPTED if place < self._tried else Fate.NEVER_SENT
            fate = Fate.UNKNOWN if place < self._in_doubt else tried
            yield Outcome(request.number, request.event, fate)

    def _pop(self) -> Request:
        request = self._requests.popleft()
        self._in_doubt -= 1
        self._tried -= 1
        self._bytes -= request.length
        self._bytes_in_doubt -= request.length
        return request


def _said(event: Event) -> tuple[int, bytes]:
    """The type, and the bytes of the body behind `sender`."""
    frame = encode(event if event.seq else event.with_seq(1))
    return event.type, frame[HEADER_SIZE + 1 + frame[HEADER_SIZE] :]
