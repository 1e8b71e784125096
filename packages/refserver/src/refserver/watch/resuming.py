"""What a client does with its session when it comes back.

Rule: everything here is an observation. A person may have said the same words again, connected
again by hand, or used the session elsewhere; nobody who only watches knows it.

Layer: above `server_side`, beside `client_side`, below the judge.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from eventcodec import ApplicationEvent, Left, Login, Message

from ..wording import counted
from .conversation import Side
from .cutting import Frame
from .findings import Notes
from .reading import CODES, named, read
from .server_side import ServerSide

__all__ = ["Resumption", "Sessions"]

ANY = 2**32 - 1
MOST_SESSIONS = 1_000
MOST_REQUESTS = 1_000
"""Sessions that are kept, and requests without a reply of each; with more, nothing is said."""
STAYS_AWAY = frozenset({1, 2, 3, 12, 13})
"""Codes of a last Error behind which a client should not connect again by itself."""
SLOW_CONSUMER, HISTORY_GONE = 21, b"\0\x0f"
PING, PONG, WELCOME, ERROR = 0x06, 0x07, 0x08, 0x05

Words = tuple[int, bytes]
"""The type of a request, and its bytes behind the sender."""


@dataclass(slots=True)
class Session:
    """What is known of a session whose latest connection has ended."""

    user: str
    read: int = 0
    """The last position in front of a Ping that the client has answered."""
    told: int = 0
    """The last position that the client was told."""
    in_doubt: list[Words] = field(default_factory=list)
    not_accepted: list[Words] = field(default_factory=list)
    refused: list[Words] = field(default_factory=list)
    why: str = ""
    """Why a client should not connect again by itself, empty where it may."""


class Sessions:
    """The sessions whose connections have ended, by their tickets."""

    def __init__(self) -> None:
        self._ended: OrderedDict[int, Session] = OrderedDict()
        self._seen: OrderedDict[int, bool] = OrderedDict()
        """Tickets of Welcomes; False: it was replaced, or its session is gone."""

    def welcomed(self, ticket: int, asked: int) -> None:
        """A Welcome with a ticket has passed; the Login had asked for another, or for none."""
        if asked and asked != ticket:
            self._seen[asked] = False
        self._seen[ticket] = True
        while len(self._seen) > MOST_SESSIONS:
            self._seen.popitem(last=False)

    def gone(self, ticket: int) -> None:
        """A Login was refused with HISTORY_GONE."""
        self._seen[ticket] = False
        self._ended.pop(ticket, None)

    def ended(self, server: ServerSide, read: int, before: Resumption | None) -> None:
        """A connection of a session has ended, if it was one and its replies are known."""
        asked = list(server.unanswered)
        if not server.ticket and before is not None:
            self._ended[before.lost[0]] = before.lost[1]  # it was not welcomed
        if not server.ticket or (not server.in_step and server.fault is None):
            return
        session = Session(server.user, read, server.place or 0)
        session.refused = [words for each in server.refused if (words := _words(each)) is not None]
        if before is not None and before.session is not None:
            session.not_accepted = before.not_accepted
            session.in_doubt = before.in_doubt
        if len(asked) > MOST_REQUESTS or server.over.startswith("the Ack"):
            self._ended.pop(server.ticket, None)
            return
        session.in_doubt += [words for each in asked if (words := _words(each)) is not None]
        if server.fault is not None:
            session.why = "its server's fault"
        elif server.last_code is not None:
            if server.last_code in STAYS_AWAY:
                session.why = CODES[server.last_code].name
            if server.last_code != SLOW_CONSUMER:
                session.not_accepted += session.in_doubt
                session.in_doubt = []
        self._ended[server.ticket] = session
        while len(self._ended) > MOST_SESSIONS:
            self._ended.popitem(last=False)

    def back(self, frame: Frame, login: Login, connection: int, notes: Notes) -> Resumption | None:
        """A Login with a ticket has passed."""
        ticket, state = login.ticket, self._seen.get(login.ticket)
        if state is None:
            notes.observe(
                connection, frame.at, "the client resumes with a ticket that it never got"
            )
        elif not state:
            notes.observe(
                connection, frame.at, "the client resumes with a ticket that is replaced or gone"
            )
        session = self._ended.pop(ticket, None)
        if session is None:
            return None
        if session.why:
            what = f"the client connected again behind {session.why}"
            notes.observe(connection, frame.at, what)
        if login.user not in ("", session.user):
            notes.observe(
                connection, frame.at, "the client resumes with a name that it did not get"
            )
        if login.position < session.read:
            before = counted(session.read - login.position, "position")
            what = f"the client resumes {before} before what it has read (EP-6.5-4)"
            notes.observe(connection, frame.at, what)
        elif login.position > session.told:
            notes.observe(
                connection, frame.at, "the client resumes from a position that it was never told"
            )
        return Resumption(ticket, session, connection, notes)


class Resumption:
    """The connection on which a session goes on: what a client that resends does on it."""

    def __init__(self, ticket: int, session: Session, connection: int, notes: Notes) -> None:
        self.lost = ticket, session
        self.session: Session | None = session
        self.in_doubt = list(session.in_doubt)
        self.not_accepted = list(session.not_accepted)
        self._accepted: deque[Words] = deque(maxlen=MOST_REQUESTS)
        self._connection = connection
        self._notes = notes
        self._marker: int | None = None
        self._is_first = self._in_replay = True
        self._max_frame = ANY

    def passed(self, side: Side, frame: Frame) -> bool:
        """A frame has passed. Returns whether there is anything left to look at."""
        if side is Side.SERVER:
            return self._from_server(frame)
        words = _words(frame)
        if self._is_first:
            self._is_first = False
            if frame.type == PING:
                self._marker = frame.seq
                return True
        if words is None:
            return True
        if self._in_replay:
            if self.in_doubt or self.not_accepted:
                self._observe(
                    frame, f"sent {_told(words)} before the Pong of its marker (EP-6.5-6)"
                )
            return self._stop()
        if not self.not_accepted:
            if words in self._accepted:
                what = f"sent again {_told(words)}, which its replay had shown (EP-6.5-3)"
                self._observe(frame, what)
            elif words in self.lost[1].refused:
                self._observe(frame, f"sent again {_told(words)}, which was refused")
            return self._stop()
        due = self.not_accepted.pop(0)
        if words != due:
            what = (
                f"sent {_told(words)}; {_told(due)} was not accepted, and was due first (EP-6.5-16)"
            )
            self._observe(frame, what)
            return self._stop()
        self._skip_long()
        return True

    def ended(self, at: float) -> None:
        """The client has ended its stream."""
        if self.session is not None and not self._in_replay and self.not_accepted:
            what = f"did not send again {_told(self.not_accepted[0])}, which was not accepted"
            self._notes.observe(self._connection, at, f"behind its resume the client {what}")

    def _from_server(self, frame: Frame) -> bool:
        if not self._in_replay:
            return True
        event = read(frame, ANY, unnumbered=True)
        if frame.type == ERROR:
            return self._stop()
        if frame.type == WELCOME:
            self._max_frame = getattr(event, "max_frame", ANY)
        elif isinstance(event, (Message, ApplicationEvent)):
            self._replayed(frame, event.sender)
        elif isinstance(event, Left):
            if self.session is not None and event.user == self.session.user:
                self._settle(frame)
        elif frame.type == PONG and frame.seq == self._marker:
            self._in_replay = False
            self._settle(None)
            self._skip_long()
        return True

    def _replayed(self, frame: Frame, sender: str) -> None:
        words = _words(frame)
        if self.session is None or sender != self.session.user or words is None:
            return
        if frame.seq <= self.session.told:
            self._accepted.append(words)  # it had its Ack, which the client may not have read
        elif self.in_doubt and self.in_doubt[0] == words:
            self._accepted.append(self.in_doubt.pop(0))
        else:
            self._settle(frame)

    def _settle(self, frame: Frame | None) -> None:
        """What is in doubt was not accepted, unless the entry was told before the loss."""
        if frame is not None and self.session is not None and frame.seq <= self.session.told:
            return
        self.not_accepted += self.in_doubt
        self.in_doubt = []

    def _skip_long(self) -> None:
        """What is longer than the limit now is not sent again."""
        while self.not_accepted and 13 + len(self.not_accepted[0][1]) > self._max_frame:
            self.not_accepted.pop(0)

    def _stop(self) -> bool:
        self.session = None
        return False

    def _observe(self, frame: Frame, what: str) -> None:
        self._notes.observe(self._connection, frame.at, f"behind its resume the client {what}")


def _words(frame: Frame) -> Words | None:
    """What a request or a fact says, without its sender; None for anything else."""
    if not frame.has_body or not (frame.type == 0x02 or frame.type >= 0x80):
        return None
    start = 17 + frame.data[16] if len(frame.data) > 16 else 17
    return frame.type, frame.data[start:]


def _told(words: Words) -> str:
    return f"{named(words[0])} ({counted(len(words[1]), 'byte')})"
