"""The judge: items of conversations in, findings and coverage out.

Rule: it is passive, and it never accuses wrongly: a finding holds for every prefix of the other
side's stream that the sender of a frame can have read. Each connection belongs to a run of a room,
and only what is known to be one run is compared.

Layer: above `server_side` and `client_side`, below every command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventcodec import Login

from .client_side import ClientSide
from .conversation import Bytes, Did, Ended, How, Item, Missing, Opened, Side
from .cutting import Cutter, Frame
from .findings import Notes
from .reading import BEFORE_WELCOME
from .resuming import HISTORY_GONE, Resumption, Sessions
from .room import Room
from .server_side import ServerSide

__all__ = ["Judge", "judged"]

ERROR, PING, WELCOME = 0x05, 0x06, 0x08
ABOUT_A_SESSION = frozenset({0x01, ERROR, WELCOME})
OnFrame = Callable[[int, Side, Frame], None]


class _Connection:
    """One connection under watch."""

    def __init__(
        self,
        opened: Opened,
        notes: Notes,
        room: Room,
        sessions: Sessions,
        on_frame: OnFrame | None,
    ) -> None:
        self.opened = opened
        self._sessions = sessions
        self._resumption: Resumption | None = None
        self.room = room
        self._on_frame = on_frame
        self.cutters = {side: Cutter(whole=opened.whole) for side in Side}
        # Of a side that is not judged nothing is told; the other's rules need to know it.
        ignored = Notes()
        about_server = ignored if opened.only is Side.CLIENT else notes
        about_client = ignored if opened.only is Side.SERVER else notes
        self.server = ServerSide(
            opened.connection,
            about_server,
            Room(ignored) if opened.only is Side.CLIENT else room,
            whole=opened.whole,
            partial=lambda: self.cutters[Side.CLIENT].partial,
        )
        self.client = ClientSide(opened, about_client, self.server)
        self._about_client = about_client
        self._has_session = opened.whole and opened.only is not Side.SERVER
        self.ended: set[Side] = set()
        self._announced = {Side.CLIENT: -1, Side.SERVER: -1}
        self._latest: Frame | None = None
        """The server's last frame."""

    def take(self, side: Side, data: bytes, at: float) -> int:
        """Take bytes that passed. Returns how many frames became whole."""
        cutter, server, client = self.cutters[side], self.server, self.client
        from_client = side is Side.CLIENT
        if from_client:
            server.client_bytes()
        count = 0
        for frame in cutter.feed(data, at):
            count += 1
            if self._on_frame is not None:
                self._on_frame(self.opened.connection, side, frame)
            if frame.length > BEFORE_WELCOME:  # shorter ones are within every limit
                self._announce(side, frame)
            if from_client:
                client.said(frame)
                server.asked(frame)
            else:
                self._latest = frame
                if frame.type == PING:
                    self._pinged(frame)
                else:
                    server.said(frame)
            if frame.type in ABOUT_A_SESSION or self._resumption is not None:
                self._look_at_session(side, frame)
        partial = cutter.partial
        if partial is not None:
            partial.at = at
            self._announce(side, partial)
            if side is Side.SERVER:
                self.server.residue(partial)
        return count

    def _pinged(self, frame: Frame) -> None:
        server = self.server
        over = bool(server.over)
        fault = server.fault is not None and frame.number > server.fault
        server.said(frame)
        if frame.has_body:
            self.client.pinged(frame, behind_a_fault=fault, behind_the_end=over)

    def _look_at_session(self, side: Side, frame: Frame) -> None:
        """A Login, its Welcome or its refusal has passed, or anything on what resumes."""
        if self._resumption is not None and not self._resumption.passed(side, frame):
            self._resumption = None
        if not self._has_session:
            return
        login = frame.event
        if isinstance(login, Login):
            if login.ticket and self._resumption is None:
                number = self.opened.connection
                self._resumption = self._sessions.back(frame, login, number, self._about_client)
        elif frame.type == WELCOME and self.server.ticket:
            self._sessions.welcomed(self.server.ticket, self.client.ticket)
        elif frame.type == ERROR and frame.seq and frame.data[16:18] == HISTORY_GONE:
            self._sessions.gone(self.client.ticket)

    def close(self) -> None:
        """Nothing more passes."""
        if self._has_session:
            self._sessions.ended(self.server, self.client.read_to, self._resumption)

    def _announce(self, side: Side, frame: Frame) -> None:
        if frame.length < 0 or frame.offset <= self._announced[side]:
            return
        self._announced[side] = frame.offset
        (self.client if side is Side.CLIENT else self.server).announced(frame)

    def gap(self, side: Side, size: int | None) -> None:
        """Bytes of one side were not seen."""
        self.cutters[side].gap(size)
        self.server.gap(side)
        self.client.gap(side)

    def end(self, side: Side, at: float) -> None:
        """A side's stream has ended."""
        if side is Side.CLIENT and not self.ended:
            self.client.ended(at, self._latest)
            if self._resumption is not None:
                self._resumption.ended(at)
        elif side is Side.CLIENT and side not in self.ended and self.server.is_logged_out:
            self.client.unanswered(at)
        self.ended.add(side)
        if side is Side.SERVER:
            self.server.lost(at, 0)


class Judge:
    """Judges conversations as they pass.

    Items come in the order in which they passed one place. With `one_room` all connections are
    taken for connections to one run of one room; otherwise those are that overlap in time at one
    address, or that resume a session of each other. `on_frame` gets each frame before it is judged.

    >>> from refserver.watch.conversation import Bytes, Opened, Side
    >>> judge = Judge(Notes())
    >>> judge.take(Opened(0.0, 1))
    >>> judge.take(Bytes(0.1, 1, Side.CLIENT, bytes.fromhex("0000000c 0106 0001 0000000000000001")))
    >>> [finding.statement for finding in judge.notes.findings]
    ['EP-2.2-3']
    """

    def __init__(
        self, notes: Notes, *, one_room: bool = False, on_frame: OnFrame | None = None
    ) -> None:
        self.notes = notes
        self._on_frame = on_frame
        self.connections = 0
        self.frames = 0
        self.bytes = 0
        self.unjudged = 0
        """Bytes that passed and are in no frame that was judged, and those that were not seen."""
        self._one_room = one_room
        self._open: dict[int, _Connection] = {}
        self._rooms: dict[str, tuple[Room, set[int]]] = {}
        self._past: list[Room] = []
        self._sessions = Sessions()

    def take(self, item: Item) -> None:
        """Something has passed."""
        if isinstance(item, Opened):
            self._opened(item)
            return
        connection = self._open.get(item.connection)
        if connection is None or isinstance(item, Did):
            return
        if isinstance(item, Bytes):
            self.bytes += len(item.data)
            self._look_for_a_resume(connection, item)
            self.frames += connection.take(item.side, item.data, item.at)
        elif isinstance(item, Missing):
            self.unjudged += item.size or 0
            connection.gap(item.side, item.size)
        elif isinstance(item, Ended):
            connection.end(item.side, item.at)
            if item.side is Side.SERVER or item.how is How.RESET:
                self._leaves_room(connection)
            if len(connection.ended) == 2:
                self._close(item.connection)

    def close(self) -> None:
        """Nothing more passes: what is open has no known end."""
        for number in list(self._open):
            self._close(number)

    # ------------------------------------------------------------- runs of a room

    def _opened(self, opened: Opened) -> None:
        if opened.connection in self._open:
            self._close(opened.connection)
        self.connections += 1
        address = "" if self._one_room else opened.server
        room, members = self._rooms.get(address, (None, set[int]()))
        alone = not members and not self._one_room
        if room is None or alone or room.closed:
            if room is not None:
                self._past = [*self._past[-63:], room]
            room, members = Room(self.notes), set()
            self._rooms[address] = room, members
        members.add(opened.connection)
        self._open[opened.connection] = _Connection(
            opened, self.notes, room, self._sessions, self._on_frame
        )

    def _leaves_room(self, connection: _Connection) -> None:
        address = "" if self._one_room else connection.opened.server
        room, members = self._rooms[address]
        if room is connection.room:
            members.discard(connection.opened.connection)

    def _look_for_a_resume(self, connection: _Connection, item: Bytes) -> None:
        """A Welcome of a session that an earlier run began: it is that run."""
        if item.side is Side.CLIENT or not self._past or connection.server.is_member:
            return
        ticket = connection.client.ticket
        if not ticket or item.data[5:6] != b"\x08":
            return
        address = connection.opened.server
        room, members = self._rooms[address]
        if room is not connection.room or len(members) != 1:
            return
        for past in self._past:
            if past.knows(ticket) and not past.closed:
                connection.room = connection.server.room = past
                self._rooms[address] = past, members
                return

    def _close(self, number: int) -> None:
        connection = self._open.pop(number)
        connection.close()
        self._leaves_room(connection)
        for cutter in connection.cutters.values():
            self.unjudged += cutter.unjudged
        self.notes.forget(number)


def judged(items: Iterable[Item], *, one_room: bool = False) -> Judge:
    """A judge that has heard all of these items."""
    judge = Judge(Notes(), one_room=one_room)
    for item in items:
        judge.take(item)
    judge.close()
    return judge
