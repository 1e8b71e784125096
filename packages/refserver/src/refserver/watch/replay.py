"""Play the clients of a recording again, against a live server, and say where that departs.

Rule: what was recorded goes out as it was, but for what only a live server can know: tickets,
positions, names that a server chose, and the answers to its Pings. What comes back is compared,
not obeyed.

Layer: above `playing`, below `replay_command`.
"""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Joined,
    Left,
    Login,
    Message,
    Ping,
    Pong,
    Welcome,
    encode,
)

from ..wording import counted
from .conversation import Item, Opened, Side
from .cutting import Frame
from .playing import Line, Peer, Player
from .reading import Fault, read, told

__all__ = ["Replay"]

ANY = 2**32 - 1
PONG = 0x07
Key = tuple[int, str, object]


@dataclass(slots=True)
class _Server(Peer):
    """What a server said on one connection."""

    replies: list[tuple[Frame, Event]] = field(default_factory=list)
    facts: dict[Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The positions of each fact, in the order in which they came."""
    pings: list[int] = field(default_factory=list)
    """The numbers of the Pings without an answer."""
    last: Error | None = None
    unreadable: bool = False

    def said(self, frame: Frame) -> None:
        event = read(frame, ANY, unnumbered=True)
        if event is None or isinstance(event, Fault):
            self.unreadable = True
        elif isinstance(event, Ping):
            self.pings.append(event.seq)
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


_Line = Line[_Server]


@dataclass(eq=False)
class Replay(Player[_Line]):
    """Plays the clients of a recording.

    `connect` returns a connection with the server. `credentials` are by user. A frame waits for
    the replies that had passed before it, unless `pipelined`; for a reply that does not come it
    waits `timeout` seconds. With `recorded_pongs` the recorded answers go out, and no others.
    `tell` gets the live conversation, for a judge.
    """

    side = Side.CLIENT
    connect: Callable[[], socket.socket]
    credentials: Mapping[str, bytes]
    recorded_pongs: bool = False
    _awaits_facts: bool = field(default=True, init=False)

    def play(self, items: Iterable[Item], quiet: float) -> None:
        """Play all of it, and hear what comes until nothing has come for `quiet` seconds.

        Nothing is compared, and facts are not awaited: there may be others than were recorded.
        """
        self._awaits_facts = False
        try:
            for item in items:
                self._play(item)
            for line in self._lines.values():
                self._is_ready(line)
            while self._hear(quiet):
                pass
        finally:
            self._close_all()

    # ------------------------------------------------------------- items

    def _connected(self, opened: Opened) -> _Line:
        sock = self.connect()
        sock.setblocking(False)
        self.tell(Opened(self._now, opened.connection, "", "live"))
        return Line(opened.connection, sock, _Server(), _Server())

    def _is_ready(self, line: _Line) -> bool:
        """Wait until as many replies have come as had been recorded by now."""
        wanted, live = len(line.recorded.replies), line.live
        if not line.over and not self._until(
            lambda: len(live.replies) >= wanted or live.ended or live.unreadable
        ):
            frame, _ = line.recorded.replies[len(live.replies)]
            self._depart(line, f"no reply came where {told(frame)} was recorded")
        return not line.over

    def _may_end(self, line: _Line) -> bool:
        if self.pipelined or not self._is_ready(line):
            return not line.over
        if self._awaits_facts:
            self._await_facts(line)
        return True

    def _peer_came(self, line: _Line) -> None:
        pings, line.live.pings = line.live.pings, []
        for seq in pings:
            if not self.recorded_pongs:
                self._send(line, encode(Pong(seq=seq)))

    def _peer_missing(self, line: _Line) -> None:
        line.recorded.unreadable = True

    # ------------------------------------------------------------- what goes out

    def _rewritten(self, line: _Line, frame: Frame, whole: bytes) -> bytes:
        if frame.type == PONG and not self.recorded_pongs:
            return b""
        event = read(frame, ANY, unnumbered=False)
        return self._login(line, event) if isinstance(event, Login) else whole

    def _login(self, line: _Line, login: Login) -> bytes:
        user = self._name(login.user)
        credential = login.credential
        if credential:
            known = self.credentials.get(user) or self.credentials.get("")
            if known is None:
                self._differ(line.number, f"no credential of {user!a} was given")
            credential = known or credential
        ticket, position = login.ticket, login.position
        if ticket:
            found = self._tickets().get(ticket)
            if found is None:
                self._differ(
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
            self._differ(line.number, f"no live entry answers to position {recorded}")
        return known.get(recorded, recorded)

    # ------------------------------------------------------------- what came back

    def _compare(self, line: _Line) -> None:
        self._is_ready(line)
        recorded, live = line.recorded, line.live
        if recorded.ended and not line.over and not self._until(lambda: live.ended):
            self._differ(line.number, "the server does not end the connection, as was recorded")
        for (one, was), (two, came) in zip(recorded.replies, live.replies, strict=False):
            if difference := self._difference(was, came):
                what = f"{told(two)} came where {told(one)} was recorded"
                self._differ(
                    line.number, what + (f": {difference}" if difference != "kind" else "")
                )
                if difference == "kind":
                    return
        if len(live.replies) > len(recorded.replies) and not recorded.unreadable:
            frame, _ = live.replies[len(recorded.replies)]
            self._differ(line.number, f"{told(frame)} came, and was not recorded")
        if recorded.last is not None and live.last is None:
            self._differ(line.number, f"no Error with code {recorded.last.code} ended it")
        elif live.last is not None and (
            recorded.last is None or recorded.last.code != live.last.code
        ):
            self._differ(line.number, f"an Error with code {live.last.code} ended it")
        if not recorded.unreadable and not live.unreadable:
            self._compare_facts(line)

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
            self._differ(line.number, f"{counted(lacking.total(), 'recorded fact')} did not come")
        known = {key for each in self._lines.values() for key in self._recorded_facts(each)}
        new = [key for key in self._live_facts(line) if key not in known]
        if new and not line.was_reset:  # a client that resets does not read to the end
            self._differ(line.number, f"{counted(len(new), 'new fact')} came")

    def _await_facts(self, line: _Line) -> Counter[Key]:
        """Wait for the facts that had been recorded by now. Returns the missing ones."""

        def lacking() -> Counter[Key]:
            return self._recorded_facts(line) - self._live_facts(line)

        self._until(lambda: line.live.ended or not lacking())
        return lacking()

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
