"""Mutants that only several servers of one room can be: run two of them over one Redis.

Rule: each is right on a server alone, and wrong where something came from another server, or has a
place that another server decides. `refserver check A B` finds them.

Layer: above `registry`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eventcodec import Left, LeftReason, decode, encode

from ..cluster.calls import Answer, Enter, Leave, Resume, Say
from ..cluster.node import Node
from ..cluster.records import SEQ
from ..cluster.sequencer import ClusterSequencer
from ..session.session import Session
from .registry import Patch, mutant

SERVERS = 2
Reader = Callable[[], bool]


def whether_foreign(patch: Patch) -> Reader:
    """Tells whether the record that is being read was made by another server."""
    foreign = [False]

    def read(original: Any, self: Node, record: Any) -> bool:
        foreign[0] = record.node != self.identity
        follows: bool = original(self, record)
        return follows

    patch.around(Node, "read", read)
    return lambda: foreign[0]


def submits(patch: Patch, change: Callable[[Node, Any], Any]) -> None:
    """Let a node ask for something else."""

    def submit(original: Any, self: Node, operation: Any, placed: Any) -> None:
        original(self, change(self, operation), placed)

    patch.around(Node, "submit", submit)


# ------------------------------------------------------------- own entries

Placing = Callable[[Any, bytes, Answer], None]


def placing(name: str, wrong: str, change: Placing) -> None:
    """A mutant that does something with the `Acks` of a run when the run has its place."""

    def apply(patch: Patch) -> None:
        said: list[tuple[Any, bytes]] = []

        def say(original: Any, self: Any, client: Any, facts: list[bytes], acks: bytes) -> None:
            said.append((client, acks))
            original(self, client, facts, acks)
            said.clear()

        def submit(original: Any, self: Node, operation: Any, placed: Any) -> None:
            if not isinstance(operation, Say):
                return original(self, operation, placed)  # type: ignore[no-any-return]
            [(client, acks)] = said

            def then(answer: Answer) -> None:
                placed(answer)
                if answer.code is None and client.outbox.replies:
                    change(client, acks, answer)

            original(self, operation, then)

        patch.around(ClusterSequencer, "say", say)
        patch.around(Node, "submit", submit)

    mutant(name, wrong, servers=SERVERS)(apply)


def unmatched(client: Any, acks: bytes, answer: Answer) -> None:
    replies = client.outbox.replies
    replies[-1] = replies[-1]._replace(start=replies[-1].stop)


placing("own-entry-read-back", "what a member said comes back to it as a fact", unmatched)


def as_guessed(client: Any, acks: bytes, answer: Answer) -> None:
    replies = client.outbox.replies
    replies[-1] = replies[-1]._replace(data=acks)


placing("ack-of-guessed-place", "an Ack has the place that was free when it was asked", as_guessed)


@mutant("run-entered-twice", "each run of messages is entered twice", servers=SERVERS)
def _(patch: Patch) -> None:
    def submit(original: Any, self: Node, operation: Any, placed: Any) -> None:
        original(self, operation, placed)
        if isinstance(operation, Say):
            original(self, operation, lambda answer: None)

    patch.around(Node, "submit", submit)


# ------------------------------------------------------------- what the others did


def enters(name: str, wrong: str, change: Callable[[bytes, bytes], bytes]) -> None:
    """A mutant that tells something else for the second message of a member of another server;
    `change` gets its first one too."""

    def apply(patch: Patch) -> None:
        is_foreign = whether_foreign(patch)
        told: dict[tuple[str, str], list[bytes]] = {}

        def changed(place: str, fact: bytes) -> bytes:
            said = told.setdefault((place, getattr(decode(fact), "sender", "")), [])
            said.append(fact)
            return change(*said) if len(said) == 2 else fact

        def enter(original: Any, self: Any, facts: list[bytes]) -> None:
            place = self.node.identity
            original(self, [changed(place, each) for each in facts] if is_foreign() else facts)

        patch.around(ClusterSequencer, "enter", enter)

    mutant(name, wrong, servers=SERVERS)(apply)


enters(
    "gap-skipped",
    "the second message of a member of another server is left out",
    lambda first, second: b"",
)
enters(
    "others-told-again",
    "in place of the second message of a member of another server, the first is told again",
    lambda first, second: first[: SEQ.start] + second[SEQ] + first[SEQ.stop :],
)


@mutant(
    "joined-elsewhere-untold", "nobody is told of a `Joined` on another server", servers=SERVERS
)
def _(patch: Patch) -> None:
    is_foreign = whether_foreign(patch)

    def joins(original: Any, self: Any, connection: str, user: str) -> None:
        if is_foreign() and self.presence:
            self.log.append(b"")
        else:
            original(self, connection, user)

    patch.around(ClusterSequencer, "joins", joins)


@mutant("left-elsewhere-lost", "every `Left` of another server is told as lost", servers=SERVERS)
def _(patch: Patch) -> None:
    is_foreign = whether_foreign(patch)

    def parts(original: Any, self: Any, connection: str, reason: int, *more: Any) -> None:
        original(self, connection, LeftReason.LOST if is_foreign() else reason, *more)

    patch.around(ClusterSequencer, "parts", parts)


@mutant("left-of-both", "a `Left` is entered by the other server too", servers=SERVERS)
def _(patch: Patch) -> None:
    is_foreign = whether_foreign(patch)

    def parts(
        original: Any, self: Any, connection: str, reason: int, user: str, *more: Any
    ) -> None:
        original(self, connection, reason, user, *more)
        if is_foreign() and self.presence and self.members:
            left = encode(Left(user=user, reason=LeftReason(reason), seq=1))
            self.node.submit(Say(next(iter(self.members)), [left]), lambda answer: None)

    patch.around(ClusterSequencer, "parts", parts)


@mutant(
    "superseded-elsewhere-stays",
    "a connection is not told that another server has its session now",
    servers=SERVERS,
)
def _(patch: Patch) -> None:
    is_foreign = whether_foreign(patch)

    def superseded(original: Any, self: Any) -> None:
        if not is_foreign():
            original(self)

    patch.around(Session, "superseded", superseded)


# ------------------------------------------------------------- what all must know


@mutant("ticket-of-one-server", "a ticket is known where it was made only", servers=SERVERS)
def _(patch: Patch) -> None:
    made: set[tuple[str, str]] = set()

    def change(node: Node, operation: Any) -> Any:
        if isinstance(operation, Enter):
            made.add((node.identity, operation.digest))
        elif isinstance(operation, Resume) and (node.identity, operation.digest) not in made:
            return replace(operation, digest="")
        return operation

    submits(patch, change)


@mutant("name-of-one-server", "a name is taken on its server only", servers=SERVERS)
def _(patch: Patch) -> None:
    def change(node: Node, operation: Any) -> Any:
        if isinstance(operation, Enter) and operation.user:
            return replace(operation, key=f"{node.identity} {operation.key}")
        return operation

    submits(patch, change)


@mutant("guests-of-one-server", "each server counts its guests by itself", servers=SERVERS)
def _(patch: Patch) -> None:
    guests: Counter[str] = Counter()

    def change(node: Node, operation: Any) -> Any:
        if isinstance(operation, Enter) and not operation.user:
            guests[node.identity] += 1
            user = f"guest-{guests[node.identity]}"
            return replace(operation, user=user, key=f"{node.identity} {user}")
        return operation

    submits(patch, change)


# ------------------------------------------------------------- the places of replies


@mutant("pong-at-own-end", "a Pong comes before what this server has not read", servers=SERVERS)
def _(patch: Patch) -> None:
    def mark(original: Any, self: Any, client: Any, reply: bytes) -> None:
        client.outbox.add_here(reply)

    patch.around(ClusterSequencer, "mark", mark)


@mutant("goodbye-before-leave", "a Logout is answered before its `Left` is there", servers=SERVERS)
def _(patch: Patch) -> None:
    leaving: list[Callable[[], None]] = []

    def leave(original: Any, self: Any, client: Any, reason: LeftReason, last: Any) -> None:
        leaving.append(lambda: client.left(self.log.end, last(self.log.end + self.presence)))
        original(self, client, reason, last)
        leaving.clear()

    def submit(original: Any, self: Node, operation: Any, placed: Any) -> None:
        if not isinstance(operation, Leave) or operation.reason != LeftReason.LEFT:
            return original(self, operation, placed)  # type: ignore[no-any-return]
        original(self, operation, lambda answer: None)
        [say_goodbye] = leaving
        say_goodbye()

    patch.around(ClusterSequencer, "leave", leave)
    patch.around(Node, "submit", submit)
