"""Random lives of a room on several nodes, over an engine that loses, delays, repeats, rolls back.

Rule: clients see what a client can see, and do what section 6.5 of the protocol says. What they
have seen is compared: one content at each position of an epoch, each content at one position.
One `Random` decides everything, the time too.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random

from tests.refserver.engine import Engine, Id, State, copied, written

from eventcodec import Message, decode, encode
from refserver.cluster.calls import (
    Answer,
    Code,
    Enter,
    Leave,
    Mark,
    Operation,
    Resume,
    Retire,
    Say,
    Status,
)
from refserver.cluster.node import Node, Phase, Settings
from refserver.cluster.records import Record

USERS = ("ann", "bob", "eve")
Content = tuple[str, str]
"""Kind and text of an entry; a run of this program makes each once."""


@dataclass(eq=False)
class Session:
    """A connection, seen from both sides."""

    client: Client
    host: Host
    name: str
    cursor: int | None = None
    asked: deque[tuple[str, list[Content]]] = field(default_factory=deque)
    replays: bool = False
    ticket: str = ""
    over: bool = False
    abandoned: bool = False
    """Its client has gone on elsewhere, and reads no more here."""


@dataclass(eq=False)
class Client:
    """One session, over one or several connections."""

    number: int
    user: str
    digest: str = ""
    session: Session | None = None
    position: int = 0
    epoch: str = ""
    in_doubt: list[Content] = field(default_factory=list)
    resends: list[Content] = field(default_factory=list)
    attempts: int = 0


@dataclass
class Wire:
    """A call on its way to the engine, or its reply on its way back."""

    kind: str
    words: list[bytes]
    number: int
    reply: list[bytes] | None = None


class Host:
    """A node, its copy of the log, its clients, and its connection to the engine."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: dict[str, Session] = {}
        self.entries: dict[int, Content] = {}
        self.first = 1
        self.epoch = ""
        self.presence = world.presence
        self.wire: Wire | None = None
        self.node = Node(f"{world.random.getrandbits(128):032x}", world.settings, self)
        self.dead = False
        self.retiring = False
        self.stopped_until = 0

    # ------------------------------------------------------------- the copy

    def start(self, end: int, presence: bool) -> None:
        self.end = end
        self.first = end + 1

    def _append(self, content: Content) -> None:
        self.end += 1
        self.entries[self.end] = content
        self.world.saw(self.epoch, self.end, content)

    def enter(self, facts: list[bytes]) -> None:
        for fact in facts:
            event = decode(fact)
            assert isinstance(event, Message)
            assert event.seq == self.end + 1
            self._append(("say", event.content))

    def joins(self, connection: str, user: str) -> None:
        if self.presence:
            self._append(("joined", f"{user} {connection}"))

    def parts(self, connection: str, reason: int, user: str, asked: bool) -> None:
        session = self.sessions.get(connection)
        if session is not None:
            self.show(session)
            self.close(session)
        if self.presence:
            self._append(("left", f"{user} {connection}"))

    def forget(self, first: int) -> None:
        self.show_all()
        while self.first < first:
            del self.entries[self.first]
            self.first += 1

    def fenced(self) -> None:
        self.world.seen["fenced"] += 1
        self.show_all()
        self.end_all()

    def over(self, explained: bool) -> None:
        self.world.seen["over" if explained else "trimmed"] += 1
        self.end_all()

    def end_all(self) -> None:
        for session in list(self.sessions.values()):
            self.close(session)
        self.dead = True

    # ------------------------------------------------------------- clients

    def show_all(self) -> None:
        for session in self.sessions.values():
            self.show(session)

    def show(self, session: Session) -> None:
        """The connection carries everything up to the end of the copy."""
        if session.cursor is None or session.over:
            return
        assert session.cursor >= self.first - 1, "its next entry is gone"
        while session.cursor < self.end:
            session.cursor += 1
            self.world.carried(session, session.cursor, self.entries[session.cursor])

    def close(self, session: Session) -> None:
        session.over = True
        self.sessions.pop(session.name, None)
        client = session.client
        if client.session is session:
            client.session = None

    def submit(
        self, session: Session, kind: str, operation: Operation, contents: list[Content]
    ) -> None:
        session.asked.append((kind, contents))

        def placed(answer: Answer) -> None:
            assert session.asked, "an answer to nothing"
            asked = session.asked.popleft()
            assert asked == (kind, contents), "answers out of order"
            if not session.over or kind == "leave":
                self.world.placed(session, kind, contents, answer)

        self.node.submit(operation, placed)

    # ------------------------------------------------------------- the engine

    def send(self) -> None:
        """Put the next call on the wire, if the last one is over."""
        if self.wire is not None or self.dead:
            return
        node, engine = self.node, self.world.engine
        if node.phase in (Phase.CLOSED, Phase.FENCED):
            fresh = f"{self.world.random.getrandbits(128):032x}"
            words = node.open_arguments(engine.run_id.decode(), self.world.durable, fresh)
            self.wire = Wire("open", as_bytes(words), 0)
        elif node.phase is Phase.OPEN:
            call = node.next_call()
            self.wire = Wire("turn", as_bytes(call.arguments), call.number)

    def cut(self) -> None:
        """The connection to the engine breaks."""
        self.wire = None
        self.node.disconnected()

    def receive(self, wire: Wire) -> None:
        self.wire = None
        assert wire.reply is not None
        status = Status(wire.reply[0].decode())
        self.world.seen[f"{wire.kind} {status.value}"] += 1
        blob = wire.reply[1] if len(wire.reply) > 1 else b""
        if wire.kind == "open":
            if status is Status.OK and not self.epoch:
                self.epoch = blob.split(b" ")[0].decode()
            self.node.opened(status, blob)
        else:
            self.node.answered(wire.number, status, blob)

    def read(self, count: int) -> None:
        if self.dead or not self.node.reads:
            return
        place: Id = (self.node.place.position, self.node.place.sub)
        for id, fields in self.world.engine.read(place, count):
            record = Record.parse(written(id).decode(), fields)
            if self.dead or not self.node.read(record):
                break
        if not self.dead:
            self.show_all()


class World:
    """Nodes, clients and the engine."""

    def __init__(self, random: Random, seen: Counter[str]) -> None:
        self.random = random
        self.seen = seen
        self.presence = random.random() < 0.6
        self.durable = False
        log_bytes = random.choice((600, 5_000, 1 << 24))
        self.settings = Settings("alike", self.presence, log_bytes, 15.0)
        self.engine = Engine()
        self.hosts = [Host(self), Host(self)]
        self.clients = [Client(n, USERS[n % 3]) for n in range(4)]
        self.log: dict[tuple[str, int], Content] = {}
        self.places: dict[tuple[str, Content], int] = {}
        self.said = 0
        self.dumps: list[State | None] = []
        self.acked: set[Content] = set()
        self.tickets = 0
        self.now = 0

    # ------------------------------------------------------------- what is held against all

    def saw(self, epoch: str, position: int, content: Content) -> None:
        """A node's copy has this there: all nodes of an epoch have the same."""
        assert self.log.setdefault((epoch, position), content) == content, "two orders"
        assert self.places.setdefault((epoch, content), position) == position, "twice"

    def carried(self, session: Session, position: int, content: Content) -> None:
        """A client has read this entry."""
        client = session.client
        if session.abandoned:
            return
        assert position == client.position + 1, "a gap"
        client.position = position
        if content in client.in_doubt and session.replays:
            assert content == client.in_doubt[0], "not a prefix"
            client.in_doubt.pop(0)
            self.acked.add(content)

    def placed(self, session: Session, kind: str, contents: list[Content], answer: Answer) -> None:
        """The server has an answer for this connection's oldest request."""
        client, host = session.client, session.host
        if answer.code is Code.GONE:
            assert session.over or kind == "leave", "gone, but not superseded"
            return
        if session.abandoned:
            return
        if kind == "say":
            first = answer.number - len(contents) + 1
            for position, content in enumerate(contents, first):
                assert host.entries[position] == content, "an Ack of another's entry"
                assert client.in_doubt.pop(0) == content
                self.acked.add(content)
            host.show(session)
        elif kind == "mark":
            assert host.end >= answer.number, "a reply before entries that were there"
            host.show(session)
            if session.replays:
                session.replays = False
                client.resends, client.in_doubt = client.in_doubt, []
        elif kind == "leave":
            self.seen["logout"] += 1
            assert client.session is None
            client.digest, client.in_doubt = "", []
        elif answer.code is not None:
            self.seen[answer.code.value] += 1
            if answer.code is Code.HISTORY_GONE:
                client.digest, client.in_doubt, client.resends = "", [], []
            host.close(session)
        else:
            self.seen[kind] += 1
            if kind == "enter":
                client.position = answer.number
                client.epoch, client.digest = host.epoch, session.ticket
            else:
                assert client.epoch == host.epoch, "resumed in another room"
            assert host.end == answer.number, "the Welcome does not stand at its place"
            session.cursor = client.position
            host.show(session)

    # ------------------------------------------------------------- what happens

    def login(self, client: Client, host: Host) -> None:
        if client.session is not None:
            client.session.abandoned = True
        name = host.node.new_connection()
        session = Session(client, host, name)
        host.sessions[name] = client.session = session
        if client.digest:
            session.replays = True
            resume = Resume(name, client.digest, client.user, client.position)
            host.submit(session, "resume", resume, [])
            host.submit(session, "mark", Mark(), [])
        else:
            self.tickets += 1
            session.ticket = f"ticket-{self.tickets}"
            host.submit(session, "enter", Enter(name, client.user, session.ticket, client.user), [])

    def act(self, client: Client) -> None:
        random, session = self.random, client.session
        if session is None or (random.random() < 0.05 and session.cursor is not None):
            host = random.choice(self.hosts)
            if not host.dead and not host.retiring and (client.digest or not client.in_doubt):
                self.login(client, host)
        elif session.cursor is None or session.replays:
            return
        elif client.resends:
            contents, client.resends = client.resends, []
            self.seen["resent"] += 1
            self.say(session, contents)
        elif random.random() < 0.8:
            contents = []
            for _ in range(random.randrange(1, 4)):
                self.said += 1
                contents.append(("say", f"{self.said}"))
            self.say(session, contents)
        elif random.random() < 0.7:
            session.host.submit(session, "mark", Mark(), [])
        elif not client.in_doubt:
            session.host.submit(session, "leave", Leave(session.name, 0), [])

    def say(self, session: Session, contents: list[Content]) -> None:
        session.client.in_doubt += contents
        frames = [encode(Message(content=text, sender="x", seq=1)) for _, text in contents]
        session.host.submit(session, "say", Say(session.name, frames), contents)

    def deliver(self, host: Host) -> None:
        """Bring a call to the engine, or its reply back; some are lost, some come twice."""
        wire, chance = host.wire, self.random.random()
        if wire is None:
            host.send()
        elif chance < 0.06:
            host.cut()
        elif wire.reply is None:
            carry = self.engine.open if wire.kind == "open" else self.engine.turn
            wire.reply = carry(wire.words)
            if chance < 0.1:
                wire.reply = carry(wire.words)
        elif chance < 0.12:
            host.cut()
        else:
            host.receive(wire)

    def replace_dead(self) -> None:
        self.hosts = [host for host in self.hosts if not host.dead]
        while len(self.hosts) < 2:
            self.hosts.append(Host(self))

    def kill(self, host: Host) -> None:
        self.seen["killed"] += 1
        host.end_all()

    def stop(self, host: Host) -> None:
        """A node does nothing for a while, perhaps longer than its lease."""
        self.seen["stopped"] += 1
        host.stopped_until = self.now + self.random.choice((30, 300, 600))

    def disaster(self) -> None:
        """The engine stops, and comes back with all it had, with less, or with nothing."""
        random, engine = self.random, self.engine
        chance = random.random()
        if chance < 0.5:
            self.seen["restart"] += 1
        elif chance < 0.9 and self.dumps:
            self.seen["roll-back"] += 1
            engine.state = copied(random.choice(self.dumps))
        else:
            self.seen["empty"] += 1
            engine.state = None
            if random.random() < 0.5:  # FLUSHALL: nobody is cut off
                return
        engine.restart()
        for host in self.hosts:
            host.cut()

    def step(self) -> None:
        random = self.random
        self.now += 1
        chance = random.random()
        runs = [host for host in self.hosts if host.stopped_until < self.now]
        if chance < 0.25:
            self.act(random.choice(self.clients))
        elif chance < 0.65 and runs:
            self.deliver(random.choice(runs))
        elif chance < 0.95 and runs:
            random.choice(runs).read(random.randrange(1, 5))
        elif chance < 0.955:
            self.stop(random.choice(self.hosts))
        elif chance < 0.98:
            self.engine.time += random.choice((10, 1_000, 1_000, 6_000))
        elif chance < 0.985:
            self.dumps = [*self.dumps[-3:], copied(self.engine.state)]
        elif chance < 0.99:
            self.kill(random.choice(self.hosts))
        elif chance < 0.991:
            host = random.choice(self.hosts)
            if host.retiring or random.random() < 0.5:  # some say no more than that they stop
                host.node.submit(Retire(), lambda answer: None)
            host.retiring = True
            host.node.submit(Retire(), lambda answer: None)
        elif chance < 0.997 and len(self.hosts) < 3:
            self.hosts.append(Host(self))
        elif chance < 0.998:
            self.disaster()
        self.replace_dead()

    def carry_on(self) -> None:
        """Every node makes some calls, all of which arrive, and reads what there is."""
        for host in self.hosts:
            for _ in range(4):
                host.send()
                wire = host.wire
                if wire is not None:
                    if wire.reply is None:
                        carry = self.engine.open if wire.kind == "open" else self.engine.turn
                        wire.reply = carry(wire.words)
                    host.receive(wire)
                host.read(1_000)

    def run_until_idle(self) -> None:
        """Nothing goes wrong any more: everything that was asked is answered, on every node."""
        for _ in range(60):
            for host in list(self.hosts):
                if host.retiring:
                    self.kill(host)
            self.replace_dead()
            self.engine.time += 1_000
            self.carry_on()
        served: list[Answer] = []
        for host in self.hosts:
            host.node.submit(Mark(), served.append)
        self.carry_on()
        assert len(served) == len(self.hosts), "a node serves nobody"
        state = self.engine.state
        assert state is not None
        members: set[str] = set()
        for host in self.hosts:
            assert host.node.phase is Phase.OPEN
            assert host.end == state.end, "a node has not read to the end"
            assert host.node.unplaced == 0
            for session in host.sessions.values():
                assert not session.asked, "a request without an answer"
                if session.cursor is not None:
                    members.add(session.name)
        assert {each.decode() for each in state.connections} == members, "who is there"
        if self.presence:
            self.check_presence(state.epoch.decode())

    def check_presence(self, epoch: str) -> None:
        """One `Joined` and one `Left` of each connection, and no name twice at a time."""
        state = self.engine.state
        assert state is not None
        present: dict[str, str] = {}
        for position in range(1, state.end + 1):
            content = self.log.get((epoch, position))
            if content is None:  # gone before a node of ours came
                present.clear()
                continue
            kind, text = content
            user, _, connection = text.partition(" ")
            if kind == "joined":
                assert user not in present, "a name twice"
                present[user] = connection
            elif kind == "left":
                assert present.pop(user, connection) == connection
        assert set(present.values()) <= {each.decode() for each in state.connections}


def as_bytes(words: list[str | bytes | int]) -> list[bytes]:
    return [each if isinstance(each, bytes) else str(each).encode() for each in words]


def live(random: Random, steps: int, seen: Counter[str]) -> None:
    """One life of a room, from two nodes that come to an end at which all agree."""
    world = World(random, seen)
    for _ in range(steps):
        world.step()
    world.run_until_idle()
