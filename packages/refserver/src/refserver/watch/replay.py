"""Play the clients of a recording again, against a live server, and say where that departs.

Rule: what was recorded goes out as it was, but for what only a live server can know: tickets,
positions, names that a server chose, and the answers to its Pings. What comes back is compared,
not obeyed.

Layer: above `judge`, below `replay_command`.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Joined,
    Left,
    Login,
    Message,
    Pong,
    Welcome,
    encode,
)

from .conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from .cutting import Cutter, Frame
from .outgoing import Outgoing
from .reading import Fault, read, told

__all__ = ["Departure", "Replay"]

ANY = 2**32 - 1
PING, PONG, LOGIN = 0x06, 0x07, 0x01
Key = tuple[int, str, object]


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the live conversation is not as the recorded one."""

    connection: int
    what: str

    def __str__(self) -> str:
        return f"connection {self.connection}: {self.what}"


@dataclass(slots=True)
class _Heard:
    """What a server said on one connection, recorded or live."""

    cutter: Cutter = field(default_factory=Cutter)
    replies: list[tuple[Frame, Event]] = field(default_factory=list)
    facts: dict[Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The positions of each fact, in the order in which they came."""
    last: Error | None = None
    ended: bool = False
    unreadable: bool = False

    def take(self, data: bytes) -> list[Frame]:
        """Take bytes that came. Returns the Pings among them."""
        pings = []
        for frame in self.cutter.feed(data, 0.0):
            event = read(frame, ANY, unnumbered=True)
            if event is None or isinstance(event, Fault):
                self.unreadable = True
            elif frame.type == PING:
                pings.append(frame)
            elif isinstance(event, Message):
                self.facts[frame.type, event.sender, event.content].append(frame.seq)
            elif isinstance(event, ApplicationEvent):
                self.facts[frame.type, event.sender, event.data].append(frame.seq)
            elif isinstance(event, Joined):
                self.facts[frame.type, event.user, None].append(frame.seq)
            elif isinstance(event, Left):
                self.facts[frame.type, event.user, event.reason].append(frame.seq)
            elif isinstance(event, Error) and not event.seq:
                self.last = event
            elif isinstance(event, Ack | Pong | Welcome | Error):
                self.replies.append((frame, event))
        return pings


class _Line:
    """One connection: what was recorded of it, and its live twin."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.recorded, self.live = _Heard(), _Heard()
        self.said = Outgoing()
        self.over = False
        self.was_reset = False


class Replay:
    """Plays a recording.

    `connect` returns a connection with the server. `credentials` are by user. A frame waits for
    the replies that had passed before it, unless `pipelined`; for a reply that does not come it
    waits `timeout` seconds. With `recorded_pongs` the recorded answers go out, and no others.
    `tell` gets the live conversation, for a judge.

    It has more than twenty methods: one for each kind of item and of reply.
    """

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        *,
        credentials: Mapping[str, bytes],
        timeout: float = 5.0,
        pipelined: bool = False,
        recorded_pongs: bool = False,
        tell: Callable[[Item], None] = lambda item: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.departures: list[Departure] = []
        self.played = 0
        """Connections that were played."""
        self._connect = connect
        self._credentials = credentials
        self._timeout = timeout
        self._pipelined = pipelined
        self._recorded_pongs = recorded_pongs
        self._tell = tell
        self._clock = clock
        self._start = clock()
        self._awaits_facts = True
        self._lines: dict[int, _Line] = {}
        self._selector = selectors.DefaultSelector()

    def run(self, items: Iterable[Item]) -> None:
        """Play all of it, and compare; the connections are closed at the end."""
        try:
            for item in items:
                self._play(item)
            for line in self._lines.values():
                self._await_replies(line)
                self._compare(line)
        finally:
            self._close_all()

    def play(self, items: Iterable[Item], quiet: float) -> None:
        """Play all of it, and hear what comes until nothing has come for `quiet` seconds.

        Nothing is compared, and facts are not awaited: there may be others than were recorded.
        """
        self._awaits_facts = False
        try:
            for item in items:
                self._play(item)
            for line in self._lines.values():
                self._await_replies(line)
            while self._hear(quiet):
                pass
        finally:
            self._close_all()

    def _close_all(self) -> None:
        for line in self._lines.values():
            self._close(line)
        self._selector.close()

    @property
    def _now(self) -> float:
        return self._clock() - self._start

    def _depart(self, number: int, what: str) -> None:
        self.departures.append(Departure(number, what))

    # ------------------------------------------------------------- items

    def _play(self, item: Item) -> None:
        if isinstance(item, Opened):
            self._open(item)
            return
        line = self._lines.get(item.connection)
        if line is None or line.over:
            return
        if isinstance(item, Bytes) and item.side is Side.SERVER:
            line.recorded.take(item.data)
        elif isinstance(item, Bytes):
            if not self._pipelined:
                self._await_replies(line)
            self._say(line, item.data)
        elif isinstance(item, Missing) and item.side is Side.CLIENT:
            self._depart(line.number, "bytes of the client's are missing: it ends here")
            line.over = True
        elif isinstance(item, Missing):
            line.recorded.unreadable = True
        elif isinstance(item, Ended):
            self._end(line, item)

    def _open(self, item: Opened) -> None:
        if not item.whole:
            self._depart(item.connection, "its beginning was not recorded: it is not played")
            return
        sock = self._connect()
        sock.setblocking(False)
        line = _Line(item.connection, sock)
        self._lines[item.connection] = line
        self._selector.register(sock, selectors.EVENT_READ, line)
        self.played += 1
        self._tell(Opened(self._now, item.connection, "", "live"))

    def _end(self, line: _Line, item: Ended) -> None:
        if item.side is Side.SERVER:
            line.recorded.ended = True
            return
        if not self._pipelined:
            self._await_replies(line)
            if self._awaits_facts:
                self._await_facts(line)
        self._send(line, line.said.rest())
        if item.how is How.RESET:
            line.was_reset = True
            with suppress(OSError):
                linger = struct.pack("ii", 1, 0)
                line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._close(line)
        else:
            with suppress(OSError):
                line.sock.shutdown(socket.SHUT_WR)
        self._tell(Ended(self._now, line.number, Side.CLIENT, item.how))

    def _close(self, line: _Line) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(line.sock)
        line.sock.close()
        line.live.ended = True

    # ------------------------------------------------------------- what goes out

    def _say(self, line: _Line, data: bytes) -> None:
        """Send a recorded piece: its frames rewritten."""
        for write in line.said.writes(data, partial(self._rewritten, line)):
            self._send(line, write)

    def _rewritten(self, line: _Line, frame: Frame, whole: bytes) -> bytes:
        if frame.type == PONG and not self._recorded_pongs:
            return b""
        event = read(frame, ANY, unnumbered=False)
        return self._login(line, event) if isinstance(event, Login) else whole

    def _login(self, line: _Line, login: Login) -> bytes:
        user = self._name(login.user)
        credential = login.credential
        if credential:
            known = self._credentials.get(user) or self._credentials.get("")
            if known is None:
                self._depart(line.number, f"no credential of {user!a} was given")
            credential = known or credential
        ticket, position = login.ticket, login.position
        if ticket:
            found = self._tickets().get(ticket)
            if found is None:
                self._depart(
                    line.number, "its ticket is from before the recording: it goes as it is"
                )
            else:
                ticket = found
                position = self._position(line, position)
        return encode(
            Login(user=user, credential=credential, ticket=ticket, position=position, seq=login.seq)
        )

    def _pairs(self) -> Iterable[tuple[Event, Event]]:
        """The replies that are recorded and live, side by side."""
        for line in self._lines.values():
            for (_, recorded), (_, live) in zip(
                line.recorded.replies, line.live.replies, strict=False
            ):
                yield recorded, live

    def _welcomes(self) -> Iterable[tuple[Welcome, Welcome]]:
        for recorded, live in self._pairs():
            if isinstance(recorded, Welcome) and isinstance(live, Welcome):
                yield recorded, live

    def _tickets(self) -> dict[int, int]:
        return {recorded.ticket: live.ticket for recorded, live in self._welcomes()}

    def _name(self, name: str) -> str:
        """A recorded name as the live server has it: what a server chose may differ."""
        return next(
            (live.user for recorded, live in self._welcomes() if recorded.user == name), name
        )

    def _position(self, line: _Line, recorded: int) -> int:
        """The live position of the entry that was recorded at this one."""
        known: dict[int, int] = {}
        for one, two in self._pairs():
            if isinstance(one, Welcome | Ack) and isinstance(two, Welcome | Ack) and one.position:
                known[one.position] = two.position
        for each in self._lines.values():
            for key, positions in each.recorded.facts.items():
                type, name, rest = key
                live = each.live.facts.get((type, self._name(name), rest), [])
                known.update(zip(positions, live, strict=False))
        if recorded not in known:
            self._depart(line.number, f"no live entry answers to position {recorded}")
        return known.get(recorded, recorded)

    def _send(self, line: _Line, data: bytes) -> None:
        if not data:
            return
        self._tell(Bytes(self._now, line.number, Side.CLIENT, data))
        view = memoryview(data)
        deadline = self._clock() + self._timeout
        while view and self._clock() < deadline:
            try:
                view = view[line.sock.send(view) :]
            except BlockingIOError:
                self._hear(0.01)
            except OSError:
                return  # what ended it stands in what came back

    # ------------------------------------------------------------- what comes back

    def _hear(self, timeout: float) -> bool:
        """Take what comes in this time. Returns False if nothing came."""
        ready = self._selector.select(timeout) if self._selector.get_map() else []
        for key, _ in ready:
            line: _Line = key.data
            try:
                data = line.sock.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(line.sock)
                line.live.ended = True
                self._tell(Ended(self._now, line.number, Side.SERVER))
                continue
            self._tell(Bytes(self._now, line.number, Side.SERVER, data))
            for ping in line.live.take(data):
                if not self._recorded_pongs:
                    self._send(line, encode(Pong(seq=ping.seq)))
        return bool(ready)

    def _await_replies(self, line: _Line) -> None:
        """Wait until as many replies have come as had been recorded by now."""
        deadline = self._clock() + self._timeout
        wanted = len(line.recorded.replies)
        while len(line.live.replies) < wanted and not line.live.ended and not line.live.unreadable:
            left = deadline - self._clock()
            if left <= 0:
                frame, _ = line.recorded.replies[len(line.live.replies)]
                self._depart(line.number, f"no reply came where {told(frame)} was recorded")
                line.over = True
                return
            self._hear(left)

    def _compare(self, line: _Line) -> None:
        self._until_both_ended(line)
        recorded, live = line.recorded, line.live
        for (one, was), (two, came) in zip(recorded.replies, live.replies, strict=False):
            if difference := self._difference(was, came):
                what = f"{told(two)} came where {told(one)} was recorded"
                self._depart(
                    line.number, what + (f": {difference}" if difference != "kind" else "")
                )
                if difference == "kind":
                    return
        if len(live.replies) > len(recorded.replies) and not recorded.unreadable:
            frame, _ = live.replies[len(recorded.replies)]
            self._depart(line.number, f"{told(frame)} came, and was not recorded")
        if recorded.last is not None and live.last is None:
            self._depart(line.number, f"no Error with code {recorded.last.code} ended it")
        elif live.last is not None and (
            recorded.last is None or recorded.last.code != live.last.code
        ):
            self._depart(line.number, f"an Error with code {live.last.code} ended it")
        if not recorded.unreadable and not live.unreadable:
            self._compare_facts(line)

    def _until_both_ended(self, line: _Line) -> None:
        """Where the recorded server ended the connection, the live one is awaited too."""
        deadline = self._clock() + self._timeout
        while line.recorded.ended and not line.live.ended and not line.over:
            left = deadline - self._clock()
            if left <= 0:
                self._depart(line.number, "the server does not end the connection, as was recorded")
                return
            self._hear(left)

    def _difference(self, was: Event, came: Event) -> str:
        """What differs between two replies; `kind` where they cannot be compared further."""
        if type(was) is not type(came):
            return "kind"
        if isinstance(was, Error) and isinstance(came, Error):
            return "" if was.code == came.code else "kind"
        if isinstance(was, Ack) and isinstance(came, Ack):
            return "" if bool(was.position) == bool(came.position) else "kind"
        if isinstance(was, Welcome) and isinstance(came, Welcome):
            told_ = [
                f"{name} {getattr(came, name)} instead of {getattr(was, name)}"
                for name in ("max_frame", "heartbeat")
                if getattr(was, name) != getattr(came, name)
            ]
            return ", ".join(told_)
        return ""

    def _compare_facts(self, line: _Line) -> None:
        """A fact that no connection had is new; one that came later than a client's end is not."""
        if lacking := self._await_facts(line):
            self._depart(line.number, f"{lacking.total()} recorded facts did not come")
        known = {key for each in self._lines.values() for key in self._recorded_facts(each)}
        new = [key for key in self._live_facts(line) if key not in known]
        if new and not line.was_reset:  # a client that resets does not read to the end
            self._depart(line.number, f"{len(new)} facts came that were not recorded")

    def _await_facts(self, line: _Line) -> Counter[Key]:
        """Wait for the facts that had been recorded by now. Returns the missing ones."""
        deadline = self._clock() + self._timeout
        while lacking := self._recorded_facts(line) - self._live_facts(line):
            left = deadline - self._clock()
            if line.live.ended or left <= 0:
                break
            self._hear(left)
        return lacking

    def _recorded_facts(self, line: _Line) -> Counter[Key]:
        """How often each fact was recorded, under the names of the live server."""
        names = {recorded.user: live.user for recorded, live in self._welcomes()}
        return Counter(
            {
                (type, names.get(name, name), rest): len(positions)
                for (type, name, rest), positions in line.recorded.facts.items()
            }
        )

    def _live_facts(self, line: _Line) -> Counter[Key]:
        return Counter({key: len(positions) for key, positions in line.live.facts.items()})
