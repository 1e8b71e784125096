"""Judge the server's side of one connection.

Rule: a server handles the frames of a connection one after the other, so each reply says which
request it answers, and in which state that was handled. Nothing is said where a gap, or a
beginning that was not seen, leaves more than one possibility.

Layer: above `room` and `reading`, below `judge`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import cast

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Unknown,
    Welcome,
)

from ..characters import has_invisible
from .conversation import Side
from .cutting import Frame
from .findings import Finding, Notes
from .reading import ALLOWANCE, BEFORE_WELCOME, CODES, Fault, named, read, told
from .room import Departure, Entry, Room

__all__ = ["ServerSide"]

ANY = 2**32 - 1
MOST_POSITION = 2**63 - 1
FATAL = frozenset({1, 2, 3, 12, 21, 22, 23, 24, 30})
FROM_A_FRAME = frozenset({1, 2, 3})
BAD_USER, HISTORY_GONE, USER_TAKEN, UNAUTHORIZED = 14, 15, 13, 12
SLOW_CONSUMER, TIMEOUT, SHUTTING_DOWN = 21, 22, 24
NEVER_DELAYED = 0.1
SLACK = 0.002
"""Seconds that clocks may differ by, between two looks at one."""
MOST_ASKED = 100_000
MOST_ASKED_BYTES = 64 << 20
"""Requests without a reply that are held; behind more, replies are not judged."""
ACK_LENGTH = 20
MOST_NAMES = 20_000
MOST_REFUSED = 100
MESSAGE_WORD, ACK_WORD = 0x01020000, 0x01040000
"""Version, type and reserved of a Message, and of an Ack."""
SHORT_OF_LEAVING = frozenset({1, 2})


class ServerSide:
    """What the server may say now, and what it has said.

    It has more than twenty methods and fifteen attributes: each event of a server has its check,
    and all checks need the state of one conversation.
    """

    def __init__(
        self,
        connection: int,
        notes: Notes,
        room: Room,
        *,
        whole: bool,
        partial: Callable[[], Frame | None],
    ) -> None:
        self.connection = connection
        self.notes = notes
        self.room = room
        self.user = ""
        self.ticket = 0
        self.began_at = MOST_POSITION
        self.place: int | None = None
        self.is_member = False
        self.state_known = whole
        self.in_step = whole
        """Whether it is known which request the next reply answers."""
        self.client_limit = BEFORE_WELCOME
        self.superseded: tuple[float, str] | None = None
        self.fault: int | None = None
        """The number of the frame behind which a client may use nothing."""
        self.over: str = ""
        """Why nothing may follow, empty while something may."""
        self.over_at: int | None = None
        self.fault_told = ""
        """Its first fault, in words."""
        self.refused: deque[Frame] = deque(maxlen=MOST_REFUSED)
        """The latest requests that were refused."""
        self.fault_time: float | None = None
        """When its first fault passed, or its last frame: from then on a client only closes."""
        self.last_code: int | None = None
        """The code of its Error with seq 0."""
        self.welcomed_at: float | None = None
        self.max_frame = 0
        self._partial = partial
        self._asked: deque[Frame] = deque()
        self._asked_bytes = 0
        self._limit = BEFORE_WELCOME if whole else ANY
        self._heartbeat: int | None = None
        self._resumed = False
        self._caught_up = False
        self._own_joined = False
        self._roster: dict[str, bool] = {}
        self._proved_at: float | None = None
        self._unproved = False
        self._silent_since_ping = False
        self._logout_sent = False
        self._client_gap = not whole
        self._last_replied = 0
        self._early: Frame | None = None
        """A reply that came before its request had passed, if it was one."""
        self._tick = notes.exercised

    # ------------------------------------------------------------- what goes in

    def asked(self, frame: Frame) -> None:
        """A frame of the client's has passed."""
        self._silent_since_ping = False
        if frame.type == 0x03:
            self._logout_sent = True
        early = self._early
        if early is not None and frame.seq == early.seq and _fits(early.type, frame.type):
            self.fault = self._early = None
        if not self.in_step:
            return
        self._asked.append(frame)
        self._asked_bytes += len(frame.data)
        if len(self._asked) > MOST_ASKED or self._asked_bytes > MOST_ASKED_BYTES:
            self.out_of_step()
            self.notes.observe(
                self.connection, frame.at, "too many requests without a reply: none is judged"
            )

    @property
    def is_logged_out(self) -> bool:
        """Whether the Ack of the Logout has passed."""
        return self.over.startswith("the Ack")

    @property
    def unanswered(self) -> Iterable[Frame]:
        """The client's frames that have no reply."""
        return self._asked

    def client_bytes(self) -> None:
        """Bytes of the client's have passed, a whole frame or not."""
        self._silent_since_ping = False

    def out_of_step(self) -> None:
        """From here on it is not known which request a reply answers."""
        self.in_step = False
        self.state_known = False
        self._asked.clear()
        self._asked_bytes = 0

    def _lose_place(self) -> None:
        """From here on it is not known which position is the next."""
        self.place = None
        self.began_at = MOST_POSITION

    def gap(self, side: Side) -> None:
        """Bytes of one side were not seen."""
        self.out_of_step()
        self._silent_since_ping = False
        if side is Side.CLIENT:
            self._client_gap = True
            return
        self._lose_place()
        self._limit = ANY
        self._heartbeat = None
        self._roster.clear()
        self._caught_up = False
        self.user = ""
        if not self.is_member:
            self.client_limit = ANY

    def find(self, statement: str, frame: Frame | None, required: str, came: str) -> None:
        """The server broke a statement."""
        self.notes.find(self._finding(statement, frame, required, came))

    def _finding(self, statement: str, frame: Frame | None, required: str, came: str) -> Finding:
        number, offset, at = (
            (0, 0, 0.0) if frame is None else (frame.number, frame.offset, frame.at)
        )
        return Finding(statement, Side.SERVER, self.connection, number, offset, at, required, came)

    # ------------------------------------------------------------- what comes

    def announced(self, frame: Frame) -> None:
        """The length of a frame of the server's has come."""
        if frame.length > max(self._limit, BEFORE_WELCOME + ALLOWANCE):
            self._client_fault(frame)  # beyond it, the client must refuse
        if frame.length > self._limit:
            self.find(
                "EP-7.1-4",
                frame,
                f"a length of at most {self._limit}",
                f"a length of {frame.length}",
            )

    def said(self, frame: Frame) -> None:
        """A frame of the server's has passed."""
        if self.over:
            self._behind_the_end(frame)
            return
        if self.is_member and (
            (frame.word == MESSAGE_WORD and self._fact_at_once(frame))
            or (frame.word == ACK_WORD and self._ack_at_once(frame))
        ):
            return
        event = read(frame, ANY, unnumbered=True)
        if event is None:
            return  # too long to be held: nothing is said about it
        if isinstance(event, Fault):
            self._unreadable(frame, event)
            return
        self.notes.good[Side.SERVER, frame.type] += 1
        kind = type(event)
        if kind is Message or kind is ApplicationEvent:
            content = event.content if isinstance(event, Message) else event.data  # type: ignore
            self._fact(frame, event.seq, frame.type, event.sender, hash(content))  # type: ignore
        elif isinstance(event, (Ack, Pong, Welcome)) or (isinstance(event, Error) and event.seq):
            self._reply(frame, event)
        elif isinstance(event, Joined):
            self._fact(frame, event.seq, frame.type, event.user, 0)
        elif isinstance(event, Left):
            self._fact(frame, event.seq, frame.type, event.user, event.reason)
        elif isinstance(event, Ping):
            self._pinged(frame)
        elif isinstance(event, Error):
            self._last(frame, event)
        elif isinstance(event, Unknown):
            self._before_login(frame)
            self.notes.observe(self.connection, frame.at, f"the server sent {named(frame.type)}")
        else:
            self._client_fault(frame)
            self.find("EP-3.1-2", frame, "nothing that only clients send", told(frame))

    def _fact_at_once(self, frame: Frame) -> bool:
        """The fast path: a Message that is right in itself; False for every other.

        Most of what a room says are such. Measured: 1.4 times as many frames in the same time.
        """
        data, seq = frame.data, frame.seq
        if not seq or len(data) < 17 or not frame.has_body:
            return False
        start = 17 + data[16]
        if start > len(data):
            return False
        try:
            name, content = str(data[17:start], "utf-8"), str(data[start:], "utf-8")
        except UnicodeDecodeError:
            return False
        self.notes.good[Side.SERVER, 0x02] += 1
        self._fact(frame, seq, 0x02, name, hash(content))
        return True

    def _ack_at_once(self, frame: Frame) -> bool:
        """The fast path: the Ack of the oldest request, a right Message; False for every other."""
        if not self._asked or frame.length != ACK_LENGTH or not frame.has_body:
            return False
        head = self._asked[0]
        request, position = head.event, int.from_bytes(frame.data[16:], "big")
        if (
            type(request) is not Message
            or request.sender
            or head.seq != frame.seq
            or head.length > self.client_limit
        ):
            return False
        self.notes.good[Side.SERVER, 0x04] += 1
        self._settled(frame, head)
        self._acknowledged(frame, position, request.content, head)
        self._replay_is_over(frame)
        return True

    def residue(self, frame: Frame) -> None:
        """Bytes that are no whole frame stand where nothing may."""
        if self.over:
            self._behind_the_end(frame)

    def _behind_the_end(self, frame: Frame) -> None:
        statement = "EP-10.1-1" if self.over.startswith("the Ack") else "EP-8.2-3"
        self.find(statement, frame, f"nothing behind {self.over}", told(frame))

    def _client_fault(self, frame: Frame) -> None:
        if self.fault is None:
            self.fault = frame.number
            self.fault_time, self.fault_told = frame.at, told(frame)

    def _unreadable(self, frame: Frame, fault: Fault) -> None:
        self._client_fault(frame)
        statement = fault.broken or "EP-2.1-1"
        if fault.code == 3 and frame.type == 0x05:
            statement = "EP-8.2-6" if frame.seq == 0 else "EP-2.2-1"
        self.find(statement, frame, fault.required, fault.what)
        # What it would have meant is not guessed: the next may be the one behind it.
        self.out_of_step()
        self._lose_place()
        if frame.type == 0x05 and frame.seq == 0:
            self.over, self.over_at = "an Error with seq 0", frame.number

    def _before_login(self, frame: Frame) -> None:
        if self.state_known and not self.is_member:
            self._tick["EP-4.1-3"] += 1
            self.find(
                "EP-4.1-3",
                frame,
                "before a Login is accepted, nothing but replies and one Error with seq 0",
                told(frame),
            )

    # ------------------------------------------------------------- facts

    def _advance(self, frame: Frame, position: int) -> None:
        """A position is given: it is the next."""
        if self.place is None:
            self.began_at = position - 1
        elif position != self.place + 1:
            self._client_fault(frame)
            self.find(
                "EP-5.2-1",
                frame,
                f"position {self.place + 1}, the next",
                f"{told(frame)}, position {position}",
            )
            self.began_at = position - 1
        if position > MOST_POSITION:
            self.find("EP-5.1-2", frame, "a position below 2^63", f"{position}")
        self.place = position

    def _fact(self, frame: Frame, position: int, type: int, name: str, rest: int) -> None:
        if not self.is_member and self.state_known:
            self._before_login(frame)
            self._client_fault(frame)
            return
        self._advance(frame, position)
        if not name and (type == 0x02 or type >= 0x80):
            statement = "EP-3.3-4" if type == 0x02 else "EP-3.11-2"
            self.find(statement, frame, "the author's name in sender", "an empty sender")
        self._about_oneself(frame, type, name)
        self._in_or_out(frame, type, name)
        self.room.entry(self, frame, position, Entry(type, name, rest))

    def _about_oneself(self, frame: Frame, type: int, name: str) -> None:
        if not self.user or name != self.user:
            return
        if type == 0x09:
            self._own_joined = True
            if not self._resumed:
                self._tick["EP-6.1-4"] += 1
                self.find(
                    "EP-6.1-4", frame, "its own Joined is not carried to a fresh login", told(frame)
                )
            return
        if self._resumed and not self._caught_up:
            return
        if type == 0x0A:
            self.find("EP-5.2-7", frame, "its own Left is not carried to a member", told(frame))
        else:
            self.find(
                "EP-5.2-2",
                frame,
                "what this connection's requests make is carried as their Ack",
                f"{told(frame)} with its own name as sender",
            )

    def _in_or_out(self, frame: Frame, type: int, name: str) -> None:
        """With presence on, a name joins, speaks, leaves, and joins again."""
        is_in = self._roster.get(name)
        if type == 0x09:
            if is_in:
                self._owed(
                    "EP-5.4-2",
                    frame,
                    f"a Left of {name!a} before its next Joined",
                    f"Joined of {name!a}, which is in the room",
                )
            is_in = True
        elif type == 0x0A:
            if is_in is False:
                self.find(
                    "EP-5.4-2", frame, f"one Left of {name!a} for each time it was in", told(frame)
                )
            is_in = False
        else:
            if is_in is False:
                self.find(
                    "EP-5.4-1",
                    frame,
                    f"a Joined of {name!a} behind its Left, before it speaks again",
                    f"{told(frame)} of {name!a}",
                )
            is_in = True
        self._roster[name] = is_in
        if len(self._roster) > MOST_NAMES:
            del self._roster[next(iter(self._roster))]

    def _owed(self, statement: str, frame: Frame, required: str, came: str) -> None:
        """A finding if any connection of this run shows that presence is on."""
        self.room.owes(self._finding(statement, frame, required, came))

    # ------------------------------------------------------------- replies

    def _head(self) -> Frame | None:
        """The oldest request without a reply. A Pong that is right is none."""
        while self._asked:
            head = self._asked[0]
            if head.type != 0x07 or isinstance(self._read(head), Fault):
                return head
            self._pop()
            self._unproved = True
        return None

    def _pop(self) -> Frame:
        frame = self._asked.popleft()
        self._asked_bytes -= len(frame.data)
        return frame

    def _read(self, frame: Frame) -> Event | Fault | None:
        """What a request says to the server. Its limit is all that differs from the client's."""
        if frame.event is not None and frame.length <= self.client_limit:
            return cast("Event | Fault", frame.event)
        return read(frame, self.client_limit, unnumbered=False)

    def _reply(self, frame: Frame, reply: Event) -> None:
        if not self.in_step:
            self._unmatched(frame, reply)
            return
        head = self._head()
        if head is None:
            self._unasked(frame, reply)
            return
        request = self._read(head)
        if isinstance(request, Fault):
            self._to_a_fault(frame, reply, head, request)
            return
        if reply.seq != head.seq:
            self._out_of_order(frame, reply, head)
            return
        self._settled(frame, head)
        head.reply = reply
        was_member = self.is_member
        if request is None:
            pass  # too long to be held
        elif isinstance(reply, Error):
            self._refused(frame, reply, request, head)
        else:
            self._answered(frame, reply, request, head)
        if was_member:
            self._replay_is_over(frame)

    def _settled(self, frame: Frame, head: Frame) -> None:
        """This frame answers the oldest request."""
        self._last_replied = frame.seq
        self.notes.replies[frame.type] += 1
        self._pop()
        self._proved_at, self._unproved = head.at, False

    def _unmatched(self, frame: Frame, reply: Event) -> None:
        """Of a reply whose request is not known, only the position counts."""
        if isinstance(reply, Ack) and reply.position:
            self._advance(frame, reply.position)
        elif isinstance(reply, Welcome):
            self.is_member = True
            self.state_known = True
            self._limit = max(reply.max_frame, BEFORE_WELCOME) + ALLOWANCE
            self.place = self.began_at = reply.position
            self.welcomed_at, self.max_frame = frame.at, reply.max_frame
        elif isinstance(reply, Error) and reply.code not in CODES:
            self.find("EP-8.1-1", frame, "a code of the table in 8.1", f"code {reply.code}")
        elif isinstance(reply, Error) and reply.code in FATAL:
            self.find("EP-8.2-1", frame, "seq 0 in an Error with a fatal code", told(frame))

    def _unasked(self, frame: Frame, reply: Event) -> None:
        if self.fault is None:
            # The client may have sent the request already: it has not passed yet.
            self._client_fault(frame)
            self._early = frame
        partial = self._partial()
        fault = None if partial is None else self._read(partial)
        if isinstance(fault, Fault):
            self.find(
                fault.refused_by, frame, f"Error seq 0 {fault.name}: {fault.what}", told(frame)
            )
        else:
            twice = reply.seq == self._last_replied != 0
            what = "one reply to a request" if twice else "a reply only to a request"
            came = "a second one" if twice else "no request without a reply had passed"
            self.find("EP-4.2-1", frame, what, f"{told(frame)}: {came}")
        self.out_of_step()
        self._lose_place()  # the client may have counted it

    def _to_a_fault(self, frame: Frame, reply: Event, head: Frame, fault: Fault) -> None:
        self._tick[fault.refused_by] += 1
        if isinstance(reply, Error) and reply.code == fault.code:
            self.find("EP-8.2-1", frame, f"seq 0 in a fatal Error ({fault.what})", told(frame))
        else:
            self.find(
                fault.refused_by,
                frame,
                f"Error seq 0 {fault.name} to the client's frame {head.number}: {fault.what}",
                told(frame),
            )
        self.out_of_step()
        self._lose_place()  # the client counts what it was told

    def _out_of_order(self, frame: Frame, reply: Event, head: Frame) -> None:
        self._client_fault(frame)
        later = any(each.seq == reply.seq for each in self._asked)
        if later:
            statement = "EP-4.2-7"
        elif isinstance(reply, Pong) and head.type == 0x06:
            statement = "EP-3.7-2"
        elif reply.seq == self._last_replied:
            statement = "EP-4.2-1"
        else:
            statement = "EP-4.2-2"
        self.find(
            statement,
            frame,
            f"the reply to the oldest request without one: {told(head)} "
            f"(the client's frame {head.number})",
            told(frame),
        )
        self.out_of_step()
        if isinstance(reply, Ack) and reply.position:
            self._advance(frame, reply.position)

    def _refusal(self, request: Event, head: Frame) -> tuple[int, str] | None:
        """The code that the state, or the way of the event, asks for, and its statement."""
        if isinstance(request, Unknown):
            return 4, "EP-3.12-1"
        if isinstance(request, (Ack, Error, Welcome, Joined, Left)):
            return 5, "EP-4.3-4"
        if isinstance(request, Message) and request.sender:
            return 5, "EP-3.3-3"
        if isinstance(request, ApplicationEvent) and request.sender:
            return 5, "EP-3.11-2"
        if not self.is_member and isinstance(request, (Message, ApplicationEvent)):
            return 10, "EP-4.3-1"
        if not self.is_member and isinstance(request, Logout):
            return 10, "EP-4.3-2"
        if self.is_member and isinstance(request, Login):
            return 11, "EP-4.3-3"
        return None

    def _refused(self, frame: Frame, reply: Error, request: Event, head: Frame) -> None:
        self.refused.append(head)
        if reply.code not in CODES:
            self.find("EP-8.1-1", frame, "a code of the table in 8.1", f"code {reply.code}")
            return
        if reply.code in FATAL:
            self.find("EP-8.2-1", frame, "seq 0 in an Error with a fatal code", told(frame))
            self.out_of_step()
            return
        wanted = self._refusal(request, head)
        if wanted is not None:
            code, statement = wanted
            self._tick[statement] += 1
            if reply.code != code:
                self.find(
                    statement, frame, f"Error {CODES[code].name} to {told(head)}", told(frame)
                )
        elif isinstance(request, Login):
            self._login_refused(frame, reply, request)
        else:
            statement = {0x06: "EP-3.7-4", 0x03: "EP-8.3-1"}.get(head.type, "EP-5.3-5")
            what = "Pong" if head.type == 0x06 else "Ack"
            self.find(
                statement, frame, f"{what} to {told(head)}, in which there is no fault", told(frame)
            )

    def _login_refused(self, frame: Frame, reply: Error, login: Login) -> None:
        self.room.refused(self, frame, reply.code, reply.text)
        required = ""
        statement = "EP-8.3-1"
        if reply.code not in (BAD_USER, HISTORY_GONE, USER_TAKEN):
            required = "Welcome, UNAUTHORIZED, BAD_USER, HISTORY_GONE or USER_TAKEN"
        elif has_invisible(login.user) and reply.code != BAD_USER:
            required, statement = "BAD_USER: an invisible code point", "EP-6.2-6"
        elif not login.ticket and login.position and reply.code == USER_TAKEN:
            required, statement = "HISTORY_GONE: a position without a ticket", "EP-6.4-7"
        elif not login.ticket and not login.position and reply.code == HISTORY_GONE:
            required, statement = "a fresh login asks for no history", "EP-6.1-9"
        if required:
            self.find(statement, frame, required, told(frame))
        self._tick["EP-4.2-9"] += 1

    def _answered(self, frame: Frame, reply: Event, request: Event, head: Frame) -> None:
        wanted = self._refusal(request, head)
        if wanted is not None:
            code, statement = wanted
            self._tick[statement] += 1
            self.find(statement, frame, f"Error {CODES[code].name} to {told(head)}", told(frame))
            if not isinstance(reply, Ack) or not reply.position:
                return
            self._advance(frame, reply.position)
            return
        if isinstance(request, Login) and isinstance(reply, Welcome):
            self._welcomed(frame, reply, request, head.at)
        elif isinstance(request, (Message, ApplicationEvent)) and isinstance(reply, Ack):
            said = request.content if isinstance(request, Message) else request.data
            self._acknowledged(frame, reply.position, said, head)
        elif isinstance(request, Logout) and isinstance(reply, Ack):
            self._logged_out(frame, reply)
        elif isinstance(request, Ping) and isinstance(reply, Pong):
            pass
        else:
            self._client_fault(frame)
            self.find("EP-4.2-10", frame, f"the reply to {told(head)}, or an Error", told(frame))
            if isinstance(reply, Ack) and reply.position:
                self._advance(frame, reply.position)

    def _acknowledged(self, frame: Frame, position: int, said: str | bytes, head: Frame) -> None:
        if not position:
            self.find("EP-3.5-2", frame, "the position of the entry that it made", "position 0")
            return
        self._advance(frame, position)
        self.room.made(position, head.at)
        if self.superseded is not None and head.at > self.superseded[0]:
            self.find(
                self.superseded[1],
                frame,
                f"no effect of what came behind the Welcome of {self.user!a} on another connection",
                told(frame),
            )
        if self.user:
            self._roster[self.user] = True
            entry = Entry(head.type, self.user, hash(said))
            self.room.entry(self, frame, position, entry, "ack")

    def _logged_out(self, frame: Frame, reply: Ack) -> None:
        if reply.position:
            self._advance(frame, reply.position)
            if self.user:
                entry = Entry(0x0A, self.user, 0)
                self.room.entry(self, frame, reply.position, entry, "logout")
        else:
            self._owed(
                "EP-5.4-7", frame, "with presence on, the position of the own Left", "position 0"
            )
        self._tick["EP-10.1-1"] += 1
        self.over, self.over_at = "the Ack of the Logout", frame.number
        self.is_member = False

    # ------------------------------------------------------------- login

    def _welcomed(self, frame: Frame, welcome: Welcome, login: Login, asked_at: float) -> None:
        asked, got = login.user, welcome.user
        self._tick["EP-6.1-1"] += 1
        if asked:
            self._tick["EP-6.1-3"] += 1
            if asked != got:
                self.find("EP-6.1-3", frame, f"the name {asked!a}, unchanged", f"{got!a}")
        else:
            statement = "EP-6.4-9" if login.ticket else "EP-6.1-2"
            self._tick[statement] += 1
            if not got:
                self.find(statement, frame, "the name of the member", "no name")
        if has_invisible(got):
            statement = "EP-6.2-6" if asked else "EP-6.2-7"
            self.find(statement, frame, "no name with an invisible code point", f"{got!a}")
        if not welcome.ticket:
            self.find("EP-3.8-2", frame, "a ticket other than 0", "ticket 0")
        if welcome.max_frame < BEFORE_WELCOME:
            self.find("EP-3.8-3", frame, "a max_frame of at least 4096", f"{welcome.max_frame}")
        if login.ticket:
            self._tick["EP-6.4-2"] += 1
            if welcome.ticket != login.ticket:
                self.find("EP-6.4-1", frame, "the ticket of the Login", "another ticket")
            if welcome.position != login.position:
                self._client_fault(frame)
                self.find(
                    "EP-6.4-2", frame, f"position {login.position}", f"position {welcome.position}"
                )
        elif login.position:
            self._tick["EP-6.4-7"] += 1
            self.find("EP-6.4-7", frame, "HISTORY_GONE: a position without a ticket", told(frame))
        self.user, self.ticket = got, welcome.ticket
        self.place = self.began_at = welcome.position
        self.is_member = True
        self._resumed = bool(login.ticket)
        self.client_limit = max(0, welcome.max_frame)
        self._limit = max(welcome.max_frame, BEFORE_WELCOME) + ALLOWANCE
        self._heartbeat = welcome.heartbeat
        self.welcomed_at, self.max_frame = frame.at, welcome.max_frame
        if not self._resumed:
            self._roster[got] = True
            self._caught_up = True
        self.room.welcomed(self, frame, asked_at, resumed=self._resumed)

    def _replay_is_over(self, frame: Frame) -> None:
        """A reply stands behind every entry that was there when its request was handled."""
        if self._caught_up or not self.user:
            return
        self._caught_up = True
        if not self._own_joined and not self.over:
            self._owed(
                "EP-6.4-3",
                frame,
                "with presence on, its own Joined before the reply to a later request",
                told(frame),
            )
        if not self.over:
            self._roster[self.user] = True

    # ------------------------------------------------------------- time

    def _everything_was_read(self) -> bool:
        """Whether it is proved that the server has read every byte of the client's."""
        return (
            self.in_step
            and self._head() is None
            and not self._unproved
            and self._partial() is None
            and self._proved_at is not None
        )

    def _pinged(self, frame: Frame) -> None:
        self._before_login(frame)
        if self._heartbeat == 0:
            self.find("EP-9.1-5", frame, "no Ping with heartbeat 0", told(frame))
        self._tick["EP-9.1-5"] += 1
        if self._silent_since_ping:
            self.find("EP-9.1-4", frame, "one Ping in a silence", told(frame))
        self._silent_since_ping = self.is_member and self._everything_was_read()

    # ------------------------------------------------------------- the end

    def _last(self, frame: Frame, error: Error) -> None:
        code = error.code
        if code not in CODES:
            self.find("EP-8.1-1", frame, "a code of the table in 8.1", f"code {code}")
        elif code not in FATAL and code != USER_TAKEN:
            self.find("EP-8.2-2", frame, f"{CODES[code].name} with its request's seq", told(frame))
        elif code == USER_TAKEN and self.state_known and not self.is_member:
            self.find("EP-8.2-2", frame, "seq 0 with USER_TAKEN to a member only", told(frame))
        elif code in FROM_A_FRAME:
            self._because_of_a_frame(frame, code)
        elif code == UNAUTHORIZED:
            self._unauthorized(frame, error)
        elif code == TIMEOUT:
            self._timed_out(frame)
        if code == SHUTTING_DOWN:
            self.room.closed = True
        if self.is_member and self.user and self.state_known:
            self._departed(frame, code)
        self.over, self.over_at = "an Error with seq 0", frame.number
        self.last_code, self.fault_time = code, frame.at
        self._tick["EP-8.2-3"] += 1
        self.is_member = False

    def _because_of_a_frame(self, frame: Frame, code: int) -> None:
        if not self.in_step:
            return
        head = self._head() or self._partial()
        fault = None if head is None else self._read(head)
        if isinstance(fault, Fault):
            self._tick[fault.refused_by] += 1
            if fault.code != code:
                self.find("EP-8.3-1", frame, f"{fault.name}: {fault.what}", told(frame))
        elif head is None:
            self.find(
                "EP-8.3-1", frame, "no fault: every frame that passed has its reply", told(frame)
            )
        elif head.whole and head.has_body:
            self.find("EP-8.3-1", frame, f"no fault in {told(head)}, the next", told(frame))
        elif len(head.data) >= 16:
            # Its header is good, and no body is judged before the frame is whole.
            self.find("EP-2.2-10", frame, f"no fault yet in {told(head)}", told(frame))
        elif head.length >= 0 and code == 2:
            self.find("EP-8.3-1", frame, f"a length of {head.length} is accepted", told(frame))

    def _unauthorized(self, frame: Frame, error: Error) -> None:
        self.room.refused(self, frame, UNAUTHORIZED, error.text)
        if not self.in_step:
            return
        head = self._head()
        request = None if head is None else self._read(head)
        if isinstance(request, Login) and head is not None and not self.is_member:
            self._tick["EP-6.3-4"] += 1
            if frame.at - head.at < NEVER_DELAYED - SLACK:
                came = f"{1000 * (frame.at - head.at):.1f} ms"
                self.find("EP-6.3-4", frame, "100 ms between a Login and UNAUTHORIZED", came)
            return
        came = "nothing" if head is None else told(head)
        self.find("EP-6.3-3", frame, f"UNAUTHORIZED only to a Login; next was {came}", told(frame))

    def _timed_out(self, frame: Frame) -> None:
        if not self.is_member or self._heartbeat is None or not self._everything_was_read():
            return
        assert self._proved_at is not None
        if self._heartbeat == 0:
            self.find("EP-9.1-5", frame, "no end for silence with heartbeat 0", told(frame))
        elif frame.at - self._proved_at < 2 * self._heartbeat - SLACK:
            silence = f"{frame.at - self._proved_at:.3f} s"
            self.find("EP-9.1-2", frame, f"{2 * self._heartbeat} s without a byte", silence)
        self._tick["EP-9.1-2"] += 1

    def _departed(self, frame: Frame, code: int) -> None:
        reasons = {SLOW_CONSUMER: {2}, SHUTTING_DOWN: set[int]()}.get(code, {1})
        name = CODES[code].name if code in CODES else str(code)
        departure = Departure(
            self.place or 0,
            frozenset(reasons),
            code != SLOW_CONSUMER,
            "EP-8.2-4",
            self.connection,
            frame.at,
            frame.offset,
            frame.number,
            f"connection {self.connection} ended with {name}",
        )
        # Behind SLOW_CONSUMER entries are missing: in a replay, an older Left could be among them.
        if self.place is not None and (self._caught_up or code != SLOW_CONSUMER):
            self.room.left(self.user, departure)

    def lost(self, at: float, number: int) -> None:
        """A stream ended, and neither an Ack of a Logout nor an Error had explained it."""
        knows = self.is_member and self.user and self.place is not None and not self._client_gap
        if knows and not self._logout_sent and self._caught_up and not self.over:
            departure = Departure(
                self.place or 0,
                SHORT_OF_LEAVING,
                False,
                "EP-8.2-4",
                self.connection,
                at,
                0,
                number,
                f"connection {self.connection} ended, and no Logout was sent on it",
            )
            self.room.left(self.user, departure)


def _fits(reply: int, request: int) -> bool:
    """Whether a reply of this type can answer a request of that type."""
    if reply == 0x05:
        return True
    return reply == {0x01: 0x08, 0x06: 0x07}.get(request, 0x04)
