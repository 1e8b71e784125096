"""Judge the client's side of one connection.

Rule: a client may have read any prefix of what had passed that includes what its own frames prove
it to have read. A finding holds for each of these prefixes.

Layer: beside `server_side`, below `judge`.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Pong,
    Unknown,
    Welcome,
)

from .conversation import Opened, Side
from .cutting import LEAST, Frame
from .findings import Finding, Notes
from .reading import BEFORE_WELCOME, Fault, named, read, told
from .server_side import ServerSide

__all__ = ["ClientSide"]

ANY = 2**32 - 1
SLOW_TO_END = 1.0
"""Seconds behind its server's last frame, or its server's fault, in which a client closes."""
MOST_PINGS = 20_000
"""Numbers of Pings that are kept."""


class ClientSide:
    """What the client may send now, and what it has sent.

    It has more than fifteen attributes: each is one thing that it has sent, or has certainly read.
    """

    def __init__(self, opened: Opened, notes: Notes, server: ServerSide) -> None:
        self.connection = opened.connection
        self.notes = notes
        self._server = server
        self._opened = opened
        self._whole = opened.whole
        self._any_login = not opened.whole
        self.ticket = 0
        """The ticket of its latest Login."""
        self._login: Frame | None = None
        self._logout: Frame | None = None
        self._pings: Counter[int] = Counter()
        self._answered: set[int] = set()
        self._late: dict[int, int] = {}
        """Pings that no client that keeps the rules has read, each with the number of its frame."""
        self._ended_pings: set[int] = set()
        self._places: dict[int, int] = {}
        """Pings without a Pong, each with the position in front of it."""
        self._pings_of_members: set[int] = set()
        self._reads_as_member = False
        """Whether it has certainly read its Welcome, whose max_frame is below the least."""
        self.read_to = 0
        """The last position that it has certainly read."""
        self._pings_known = opened.whole
        self._tick = notes.exercised

    def gap(self, side: Side) -> None:
        """Bytes of one side were not seen."""
        self._pings_known = False
        if side is Side.CLIENT:
            self._any_login = True
            self._login = self._logout = None
        else:
            self._whole = False
            self._login = self._logout = None

    def find(self, statement: str, frame: Frame, required: str, came: str) -> None:
        """The client broke a statement."""
        self.notes.find(
            Finding(
                statement,
                Side.CLIENT,
                self.connection,
                frame.number,
                frame.offset,
                frame.at,
                required,
                came,
            )
        )

    # ------------------------------------------------------------- from the server

    def pinged(self, frame: Frame, *, behind_a_fault: bool, behind_the_end: bool) -> None:
        """A Ping of the server's has passed."""
        if len(self._pings) > MOST_PINGS or len(self._answered) > MOST_PINGS:
            self._pings_known = False
            self._pings.clear()
            self._answered.clear()
            self._places.clear()
            self._pings_of_members.clear()
        seq = frame.seq
        if behind_a_fault and not self._pings[seq]:
            self._late[seq] = frame.number
        elif behind_the_end and not self._pings[seq]:
            self._ended_pings.add(seq)
        self._pings[seq] += 1
        self._places[seq] = self._server.place or 0
        if LEAST < self._server.max_frame < BEFORE_WELCOME:  # else nothing at all may be sent
            self._pings_of_members.add(seq)

    def ended(self, at: float, latest: Frame | None) -> None:
        """Its stream has ended before the server's, whose last frame is `latest`.

        A client may always do that, and may answer a Ping later. Who looks for an error in a
        client wants to know it: of many of them it is all that shows.
        """
        server = self._server
        since = at - server.fault_time if server.fault_time is not None else 0.0
        if since > SLOW_TO_END and (server.over or server.fault is not None):
            why = server.over or "its server's fault"
            what = f"the client did not close for {since:.0f} s behind {why}"
            self.notes.observe(self.connection, at, what)
        if server.fault is not None or server.last_code is not None:
            return
        is_refused = self._login is not None and self._refused(self._login)
        if latest is not None and not server.over and self._logout is None and not is_refused:
            what = f"the client ended the connection behind {named(latest.type)}, without a Logout"
            self.notes.observe(self.connection, at, what)
        self.unanswered(at)

    def unanswered(self, at: float) -> None:
        """Its stream has ended, and it could have answered every Ping."""
        if self._pings_known and any(self._pings.values()):
            self.notes.observe(self.connection, at, "the client ended and left a Ping unanswered")

    # ------------------------------------------------------------- to the server

    def announced(self, frame: Frame) -> None:
        """The length of a frame of the client's has passed."""
        if frame.length <= BEFORE_WELCOME or not self._whole:
            return
        if self._server.welcomed_at is None:
            if self._server.state_known:
                self.find(
                    "EP-7.1-1",
                    frame,
                    f"a length of at most {BEFORE_WELCOME} before its Welcome",
                    f"a length of {frame.length}",
                )
        else:
            self._tick["EP-7.1-2"] += 1
            if frame.length > max(BEFORE_WELCOME, self._server.max_frame):
                self.find(
                    "EP-7.1-2",
                    frame,
                    f"a length of at most {self._server.max_frame}, its max_frame",
                    f"a length of {frame.length}",
                )

    def said(self, frame: Frame) -> None:
        """A frame of the client's has passed."""
        event = frame.event = read(frame, ANY, unnumbered=False)
        if event is None:
            return
        if isinstance(event, Fault):
            self._unreadable(frame, event)
            return
        self.notes.good[Side.CLIENT, frame.type] += 1
        if frame.length > self._server.max_frame and self._reads_as_member:
            self.find(
                "EP-3.8-6",
                frame,
                f"a length of at most {self._server.max_frame}, its max_frame",
                f"a length of {frame.length}",
            )
        if isinstance(event, (Message, ApplicationEvent)):
            if event.sender:
                statement = "EP-3.3-2" if isinstance(event, Message) else "EP-3.11-2"
                self.find(statement, frame, "an empty sender", f"sender {event.sender!a}")
        elif isinstance(event, (Ack, Error, Welcome, Joined, Left)):
            self.find("EP-3.1-1", frame, "nothing that only servers send", told(frame))
            return
        elif isinstance(event, Unknown):
            self.notes.observe(self.connection, frame.at, f"the client sent {named(frame.type)}")
            return
        elif isinstance(event, Pong):
            self._pong(frame)
            return
        if frame.number == 1 and frame.seq != 1 and self._opened.whole:
            what = f"the client numbers its first request {frame.seq}"
            self.notes.observe(self.connection, frame.at, what)
        self._in_time(frame, event)

    def _unreadable(self, frame: Frame, fault: Fault) -> None:
        if fault.code == 3 and frame.data[4] > 1:
            self.notes.observe(self.connection, frame.at, f"the client speaks {fault.what}")
            return
        self.find(fault.broken or "EP-2.1-1", frame, fault.required, fault.what)

    def _in_time(self, frame: Frame, event: object) -> None:
        """The requests in their order (4.4); a Ping may come at any time before the Logout."""
        if self._logout is not None and self._whole:
            self._tick["EP-4.4-5"] += 1
            refused = isinstance(self._logout.reply, Error)
            if not refused and self._knows(self._logout):
                self.find(
                    "EP-4.4-5",
                    frame,
                    "no request behind a Logout that was not refused",
                    told(frame),
                )
        if isinstance(event, Login):
            self._log_in(frame, event)
        elif not isinstance(event, (Message, ApplicationEvent, Logout)):
            return
        elif self._login is not None and self._refused(self._login):
            what = f"the client sent {named(frame.type)} behind the refusal of its Login"
            self.notes.observe(self.connection, frame.at, what)
        elif not self._any_login:
            self._tick["EP-4.4-4"] += 1
            self.find("EP-4.4-4", frame, "a Login first", told(frame))
        if isinstance(event, Logout):
            self._logout = frame

    def _knows(self, frame: Frame) -> bool:
        """Whether it is known what answered this request, or that nothing had."""
        return frame.reply is not None or self._server.in_step

    def _log_in(self, frame: Frame, login: Login) -> None:
        before = self._login
        self._any_login = True
        self.ticket = login.ticket
        if login.position and not login.ticket:
            what = "the client asks for a position without a ticket"
            self.notes.observe(self.connection, frame.at, what)
        if before is not None and self._whole:
            self._tick["EP-4.4-3"] += 1
            if not isinstance(before.reply, Error) and self._knows(before):
                state = "no reply" if before.reply is None else "its Welcome"
                self.find(
                    "EP-4.4-3",
                    frame,
                    f"no second Login: the client's frame {before.number} has {state}",
                    told(frame),
                )
        self._login = frame
        self._logout = None if self._logout is None or self._refused(self._logout) else self._logout
        if login.credential and self._opened.secure is False:
            self._tick["EP-6.3-1"] += 1
            if not _is_loopback(self._opened.server):
                self.find(
                    "EP-6.3-1",
                    frame,
                    "a credential over TLS or to loopback only",
                    f"a credential in plain text to {self._opened.server}",
                )

    @staticmethod
    def _refused(frame: Frame) -> bool:
        return isinstance(frame.reply, Error)

    def _pong(self, frame: Frame) -> None:
        if not self._pings_known:
            return
        seq = frame.seq
        self._tick["EP-3.7-3"] += 1
        if self._pings[seq] > 0:
            self._pings[seq] -= 1
            self._answered.add(seq)
            self._reads_as_member = self._reads_as_member or seq in self._pings_of_members
            self.read_to = max(self.read_to, self._places.pop(seq, 0))
            fault = self._server.fault  # None again where it was no fault to the client
            if fault is not None and self._late.get(seq, 0) > fault:
                self.find(
                    "EP-4.2-12",
                    frame,
                    f"no use of what came behind its server's fault, {self._server.fault_told} "
                    f"(its frame {fault})",
                    f"{told(frame)}: the answer to a Ping behind it",
                )
            elif seq in self._ended_pings:
                self.find(
                    "EP-3.6-3",
                    frame,
                    "an Error with seq 0 ends the connection",
                    f"{told(frame)}: the answer to a Ping behind it",
                )
        elif seq in self._answered:
            self.find("EP-3.7-3", frame, "one Pong to a Ping", f"{told(frame)}: a second one")
        else:
            open_ = [str(each) for each, count in self._pings.items() if count > 0][-3:]
            which = f"the open ones have {', '.join(open_)}" if open_ else "none is open"
            required = f"the seq of a Ping that had passed; {which}"
            self.find("EP-3.7-2", frame, required, told(frame))


def _is_loopback(address: str) -> bool:
    """Whether an address that was seen is this machine's own; an unknown one is taken for it."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return True
