"""Servers of a shared room with their sessions, and an engine that answers when a test says so.

Rule: bytes of clients go in, bytes for clients come out, and nothing happens by itself.
"""

from __future__ import annotations

import itertools

from tests.refserver.engine import Engine, written
from tests.refserver.model import Unlimited
from tests.support.raw import Frame, Frames, login

from refserver.cluster.calls import Status
from refserver.cluster.node import Phase, Settings
from refserver.cluster.records import Record
from refserver.cluster.sequencer import ClusterSequencer
from refserver.server.auth import AllowAll
from refserver.server.config import Config
from refserver.session.context import Context, Peer
from refserver.session.log import Log
from refserver.session.session import Session

NUMBERS = itertools.count(1)


class Server:
    """A node with its sessions, and an engine that answers when the test says so."""

    def __init__(
        self, engine: Engine, *, presence: bool = True, quotas: Unlimited | None = None
    ) -> None:
        self.engine = engine
        self.ends: list[str] = []
        alike = Settings("alike", presence, 1 << 24, 15.0)
        self.sequencer = ClusterSequencer(alike, self)
        self.context = Context(
            settings=Config(),
            authenticator=AllowAll(),
            quotas=quotas or Unlimited(),
            log_event=lambda kind, **fields: None,
        )
        self.pump()

    def new_ticket(self) -> int:
        return next(NUMBERS)

    def new_identity(self) -> str:
        return f"{next(NUMBERS):032x}"

    def has_asked(self) -> None:
        pass

    def began(self, log: Log) -> None:
        log.retain_after(0)

    def ended(self, *, fenced: bool) -> None:
        self.ends.append("fenced" if fenced else "lost")

    def connect(self) -> Client:
        return Client(self)

    def call(self) -> None:
        """One call goes to the engine and is answered."""
        node, engine = self.sequencer.node, self.engine
        if node.phase is Phase.OVER:
            return
        if node.phase is not Phase.OPEN:
            words = node.open_arguments(engine.run_id.decode(), False, f"{next(NUMBERS):032x}")
            status, *told = engine.open(encoded(words))
            node.opened(Status(status.decode()), *told)
        else:
            call = node.next_call()
            status, *blob = engine.turn(encoded(call.arguments))
            node.answered(call.number, Status(status.decode()), *blob)

    @property
    def record(self) -> Record:
        """The last one of the stream."""
        assert self.engine.state is not None
        id, fields = list(self.engine.state.stream.items())[-1]
        return Record.parse(written(id).decode(), fields)

    def read(self) -> None:
        """The copy has all that the stream has."""
        place = self.sequencer.node.place
        for id, fields in self.engine.read((place.position, place.sub), 1_000):
            if self.sequencer.node.reads:
                self.sequencer.node.read(Record.parse(written(id).decode(), fields))

    def pump(self) -> None:
        """Everything that was asked is answered."""
        for _ in range(4):
            self.call()
            self.read()


class Client:
    """One connection of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.session = Session(server.sequencer, server.context, Peer("127.0.0.1"), 0.0)
        self._frames = Frames()

    def ask(self, *frames: bytes) -> None:
        """Send, and let the server work."""
        if frames:
            self.session.receive(b"".join(frames), 0.0)
        while self.session.work(0.0, 100) or self.session.has_work:
            pass

    def sync(self) -> list[Frame]:
        """What came since it was asked last."""
        found: list[Frame] = []
        while data := self.session.outbox.next_chunk():
            found += self._frames.receive(bytes(data))
        return found

    def enter(self, user: str, ticket: int = 0, position: int = 0) -> list[Frame]:
        """Log in, and read what comes."""
        self.ask(login(user, ticket=ticket, position=position))
        self.server.pump()
        return self.sync()


def encoded(words: list[str | bytes | int]) -> list[bytes]:
    return [each if isinstance(each, bytes) else str(each).encode() for each in words]
