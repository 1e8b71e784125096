"""A client with a fault behind a proxy that provokes it, in one thread and without sockets or time.

Rule: what a proxy does is done by its `Disturber`, what a server does by sessions of a room, what
is found by the judge; here bytes only go from one to the other, in one order. So the same
client, provocation and seed always give the same result.

`test_provoking.py` holds a real proxy to what is seen here.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from tests.conformance import faulty_client
from tests.refserver.bare_room import BareRoom
from tests.support import raw

from refserver.watch.conversation import Bytes, Ended, How, Item, Opened, Side
from refserver.watch.disturbing import Action, Disturber, End, rules_in
from refserver.watch.findings import Notes
from refserver.watch.judge import Judge

__all__ = ["Seen", "seen"]

SERVER = "127.0.0.1:3000"
SILENCE = 5.0
"""Seconds for which nothing comes."""
SILENCES = 3
"""How often a client hears that nothing comes, before it is ended."""
MOST_CONNECTIONS = 12
"""Connections of one run. A client that connects again and again has an end so."""
MOST_ITEMS = 20_000
"""What may pass in one run. A client that sends without end has one so."""
FIN = End("fin")

Disturb = Callable[[int], Disturber | None]


class EndOfRun(BaseException):
    """The user ends the client: nothing more comes."""


class Seen:
    """What the output of the proxy says about the client of one run."""

    def __init__(self, notes: Notes, crash: Exception | None) -> None:
        self.crash = crash
        """What ended the program of the client, where it did not end by itself."""
        self.statements = sorted(
            {each.statement for each in notes.findings if each.side is Side.CLIENT}
        )
        self.accused = [each for each in notes.findings if each.side is Side.SERVER]
        """What is found of the server, which is right."""
        self.observations = list(dict.fromkeys(each.what for each in notes.observations))


class Connection:
    """One connection of the client, through the proxy to the room; the client uses it as a
    socket."""

    def __init__(self, run: Run, number: int, disturber: Disturber | None) -> None:
        self.run = run
        self.number = number
        self.disturber = disturber
        self.session = run.room.enter()
        self.inbox: deque[bytes] = deque()
        self.is_reset = self.is_closed = self.server_gone = self.over = False
        self._due: dict[Side, deque[Action]] = {side: deque() for side in Side}
        self._ended: set[tuple[int, Side]] = set()
        for only in (None,) if disturber is None else Side:
            run.tell(Opened(run.now, self._leg(only or Side.CLIENT), "client:1", SERVER, only=only))

    def _leg(self, side: Side) -> int:
        return self.number + (self.disturber is not None and side is Side.SERVER)

    # ------------------------------------------------------------- as a socket

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sendall(self, data: bytes) -> None:
        if self.is_reset or self.is_closed:
            raise BrokenPipeError
        self._passed(Side.CLIENT, data)

    def recv(self, size: int) -> bytes:
        if self.inbox:
            return self.inbox.popleft()
        if self.is_reset:
            raise ConnectionResetError
        return b""

    def close(self) -> None:
        """The client closes: its proxy learns of the end, and so does the server."""
        if not self.is_closed:
            self.is_closed = True
            self._end(Side.CLIENT, Side.CLIENT)
            self._perform(Side.CLIENT, [FIN])

    @property
    def is_readable(self) -> bool:
        return bool(self.inbox) or self.is_reset or (self.over and not self.is_closed)

    # ------------------------------------------------------------- as a proxy

    def _passed(self, side: Side, data: bytes) -> None:
        """Bytes of one side have come."""
        self.run.tell(Bytes(self.run.now, self._leg(side), side, data))
        if self.disturber is None:
            self._deliver(side, data)
            return
        self._perform(side, self.disturber.take(side, data))
        if self.disturber.is_answered:
            self.disturber.is_answered = False
            self._hurry(side.other)

    def _perform(self, side: Side, actions: Sequence[Action | End]) -> None:
        self._due[side] += [
            Action(0.0, each) if isinstance(each, End) else each for each in actions
        ]
        self._go_on(side)

    def _go_on(self, side: Side, *, hurry: bool = False) -> bool:
        """Let what is due go on. Returns whether anything did."""
        due, moved = self._due[side], False
        while due and (hurry or due[0].delay <= 0):
            what = due.popleft().what
            hurry, moved = False, True
            if isinstance(what, End):
                self._end_by(side, what)
            elif self.disturber is not None:
                self.run.tell(Bytes(self.run.now, self._leg(side.other), side, what))
                self._deliver(side, what)
        return moved

    def _hurry(self, side: Side) -> bool:
        return self._go_on(side, hurry=True)

    def _deliver(self, side: Side, data: bytes) -> None:
        if side is Side.SERVER:
            if not self.is_closed:
                self.inbox.append(data)
        elif not self.server_gone:
            self.session.say(data)

    def _end(self, leg: Side, side: Side, how: How = How.FIN) -> None:
        """The stream of a side has ended, on the proxy's connection with `leg`."""
        place = self._leg(leg), side
        if place not in self._ended:
            self._ended.add(place)
            self.run.tell(Ended(self.run.now, *place, how))

    def _end_by(self, side: Side, end: End) -> None:
        """End something of what a side says, and tell it to the conversation with the other."""
        if end.how in ("reset", "close"):
            how = How.RESET if end.how == "reset" else How.FIN
            self.is_reset = end.how == "reset"
            self.over = True
            for leg in Side:  # neither side has ended it: each sees the other's end
                self._end(leg, leg.other, how)
            for leg in Side:
                self._end(leg, leg, how)
            self._lose_server()
            return
        self._end(side.other, side)
        if side is Side.SERVER:
            self.over = True
        elif not self.server_gone:
            self.session.session.receive_eof()

    def _lose_server(self) -> None:
        if not self.server_gone:
            self.server_gone = True
            self.session.session.lost()

    # ------------------------------------------------------------- what happens by itself

    def pump(self) -> bool:
        """Let the server work, and forward what it says. Returns whether anything happened."""
        if self.server_gone:
            return self._go_on(Side.SERVER)
        self.session.work()
        moved = False
        while data := self.session.take():
            moved = True
            self._passed(Side.SERVER, data)
        if self.session.session.outbox.finished and not self.server_gone:
            self.server_gone = moved = True
            self._end(Side.SERVER, Side.SERVER)
            rest = [] if self.disturber is None else self.disturber.eof(Side.SERVER)
            self._perform(Side.SERVER, [*rest, FIN])
        return moved

    def wait(self) -> bool:
        """Let the time pass until something that is held goes on. Returns whether anything was."""
        for side, due in self._due.items():
            if due:
                self.run.now += due[0].delay
                return self._hurry(side)
        return False


class Run:
    """One run of a client's program, from its start to its end."""

    def __init__(self, fault: str, disturb: Disturb) -> None:
        self.now = 0.0
        self.room = BareRoom()
        self.notes = Notes()
        self._judge = Judge(self.notes)
        self._disturb = disturb
        self._connections = self._numbers = self._items = 0
        self._connection: Connection | None = None
        self._script = _script(self.room)
        self._silences = 0
        self._fault = fault

    def tell(self, item: Item) -> None:
        """Something has passed the proxy."""
        self._items += 1
        if self._items > MOST_ITEMS:
            raise EndOfRun
        self._judge.take(item)

    def seen(self) -> Seen:
        """Run the client, and see."""
        crash: Exception | None = None
        with suppress(EndOfRun):
            try:
                faulty_client.play("", 0, self._fault, io.BytesIO(), self._wait, self._client)
            except Exception as error:  # a program that crashes has ended too
                crash = error
        self._items = 0
        if self._connection is not None:
            self._connection.close()
        self._judge.close()
        return Seen(self.notes, crash)

    def _client(self, *arguments: Any) -> faulty_client.Client:
        client = _Client(*arguments)
        client.opened = self._opened
        return client

    def _opened(self) -> Connection:
        self._connections += 1
        if self._connections > MOST_CONNECTIONS:
            raise EndOfRun
        if self._connection is not None:
            self._pump()
            self._connection._lose_server()
        disturber = self._disturb(self._connections)
        self._connection = Connection(self, self._numbers + 1, disturber)
        self._numbers += 1 if disturber is None else 2
        self._silences = 0
        return self._connection

    def _pump(self) -> bool:
        assert self._connection is not None
        moved = self._connection.pump()
        for client in self.room.clients:
            if client is not self._connection.session:
                client.ask()
        return moved

    def _wait(self, connection: Any) -> bool:
        """Until the client can read; False at a silence."""
        assert isinstance(connection, Connection)
        while not connection.is_readable:
            self.now += 0.001
            if self._pump() or connection.is_readable:
                continue
            if connection.wait() or next(self._script, False):
                continue
            self._silences += 1
            self.now += SILENCE
            if self._silences > SILENCES:
                raise EndOfRun
            return False
        return True


class _Client(faulty_client.Client):
    """The client with faults, which connects to a run and does not sleep."""

    opened: Callable[[], Connection]

    def connect(self) -> Any:
        return self.opened()

    def rest(self) -> None:
        """It waits no time."""


LONG = 5_000
"""Bytes of a content that is longer than the least limit of a server allows."""


def _script(room: BareRoom) -> Iterator[bool]:
    """What happens in the room, a step whenever nothing else moves; False: nothing for a while."""
    kit = room.enter("kit")
    numbers = count(2)

    def orders(*said: str) -> None:
        kit.ask(*(raw.message(order, next(numbers)) for order in said))

    orders("hello", "resume", "say one", "say one", "event 128 00ff", "ping", "say three")
    yield True
    yield False
    bob = room.enter("bob")
    bob.ask(raw.message("good evening", 2), raw.frame(0x81, 3, b"\0data"), raw.logout(4))
    yield True
    orders(f"long {LONG}", "long 200", "say four", "say ", "event 129 00ff", "ping", "say five")
    yield True
    orders("logout", "say too late")
    yield True


def seen(fault: str, provocation: Sequence[str] = (), *, seed: str = "1") -> Seen:
    """What a client with this fault shows if its connections meet these rules, one after another.

    Connections behind the last of them meet nothing.
    """

    def disturb(number: int) -> Disturber | None:
        if number > len(provocation):
            return None
        return Disturber(rules_in(provocation[number - 1]), Random(f"{seed}/{number}"))

    return Run(fault, disturb).seen()
