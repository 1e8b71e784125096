"""The outcome of each request, over several connections.

Rule: it follows section 6.5 of the specification. The server has accepted the first of the requests
in doubt, and not the others. A replay shows how many it accepted; the others are sent again.

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
from .value import Value

__all__ = ["Fate", "Ledger", "Outcome", "Request"]


class Fate(Enum):
    """The result of a request."""

    ACKNOWLEDGED = "acknowledged"
    """The server accepted it; the outcome has its position."""
    REFUSED = "refused"
    """The server refused it; the outcome has the `Error`."""
    NOT_ACCEPTED = "not accepted"
    """It was sent, and the server did not accept it."""
    TOO_LONG = "not accepted (too long)"
    """The server did not accept it, and now does not accept a frame of this length."""
    NEVER_SENT = "never sent"
    """It was not sent."""
    UNKNOWN = "unknown"
    """It was sent. Whether the server accepted it cannot be found out."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Outcome(Value):
    """The final result of one request. Only an UNKNOWN request can be sent again, and then has
    another outcome.

    `number` is the number that `say` returned. `position` is 0 unless the request was ACKNOWLEDGED.
    `error` is None unless it was REFUSED.
    """

    number: int
    request: Event
    fate: Fate
    position: int = 0
    error: Error | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Request(Value):
    """A request with its number. `said` is its type and the bytes of its body after `sender`."""

    number: int
    event: Event
    said: tuple[int, bytes]

    @classmethod
    def of(cls, number: int, event: Event) -> Request:
        """The request for `event`."""
        return cls(number, event, _said(event))

    @property
    def length(self) -> int:
        """The `length` of its frame, in bytes; EP-7.1-2 limits it."""
        return HEADER_SIZE - LENGTH_SIZE + 1 + len(self.said[1])


class Ledger:
    """The requests of one session that have no outcome yet, oldest first.

    The first of them are in doubt: they were sent, and the server may have accepted them. The next
    ones were sent and not accepted. The last ones were never sent. The caller reports what it hands
    out and what arrives; the ledger returns outcomes.

    It has more than twenty methods: one for each report of 6.5, and the questions about what waits.

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
        """Restore the numbers of a stored ledger, after its requests were added."""
        for _ in range(in_doubt):
            self.handed_out()
        self._tried = tried

    @property
    def next(self) -> Event | None:
        """The request to send next: first the requests that were not accepted, in order.
        EP-6.5-16."""
        if self._in_doubt == len(self._requests):
            return None
        return self._requests[self._in_doubt].event

    def add(self, request: Request) -> None:
        """Add a new request after all others."""
        self._requests.append(request)
        self._bytes += request.length

    def again(self, requests: Iterable[Request]) -> None:
        """Add UNKNOWN requests before all others, in order, to send them again."""
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
        """Take out the requests that are too long for the server now. Nothing may be in doubt.
        EP-6.5-17."""
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

    # ------------------------------------------------------------ events of a connection

    def connected(self) -> None:
        """A new connection begins."""
        self._is_member = self._is_replaying = False

    def welcomed(self, user: str, *, resumed: bool) -> None:
        """A Login was accepted. After a resume, the replay begins."""
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
        """The Pong of the marker arrived, after an accepted or a refused resume. EP-6.5-11."""
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
        """The connection has ended, with an Error of seq 0 and this code, or without one.

        EP-6.5-12, EP-6.5-13.
        """
        if self._is_member and code not in (None, ErrorCode.SLOW_CONSUMER):
            self.settle()
        self._is_member = self._is_replaying = False

    # ------------------------------------------------------------ what follows from it

    def settle(self) -> None:
        """None of the requests in doubt was accepted. No later fact can be one of them.
        EP-6.5-14."""
        self._in_doubt = self._bytes_in_doubt = 0

    def history_gone(self) -> list[Outcome]:
        """The requests in doubt become UNKNOWN: the replay that could show their fate is gone.
        EP-6.5-15."""
        lost = [self._pop() for _ in range(self._in_doubt)]
        return [Outcome(request.number, request.event, Fate.UNKNOWN) for request in lost]

    def give_up(self) -> list[Outcome]:
        """Nothing more is sent. Returns an outcome for every request without one."""
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
    """The type, and the bytes of the body after `sender`."""
    frame = encode(event if event.seq else event.with_seq(1))
    return event.type, frame[HEADER_SIZE + 1 + frame[HEADER_SIZE] :]
