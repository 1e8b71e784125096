"""Mutants that tell wrongly what was said.

Rule: the ways of a message are changed, never its reading.

Layer: above `replying`.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from eventcodec import (
    Ack,
    ApplicationEvent,
    Message,
    encode,
)

from ..server.connection import Connection
from ..session.outbox import Reply
from ..session.sequencer import LocalSequencer
from ..session.session import Session
from .registry import Patch, mutant
from .replying import no_fast_path


class Saying(NamedTuple):
    """How a message is told; what a right server does unless a mutant says otherwise."""

    sender: str
    content: str
    data: bytes
    echo: bool = False


def on_say(patch: Patch, change: Callable[[Any, Saying], Saying | None]) -> None:
    """Tell messages otherwise; None: not at all."""
    no_fast_path(patch)

    def say(original: Any, self: Any, said: Any) -> None:
        told = change(
            said,
            Saying(self.member.user, getattr(said, "content", ""), getattr(said, "data", b"")),
        )
        if told is None:
            self.reply(self.answer(said, Ack(position=0)))
            return
        start = self.room.log.end
        fact: Any = Message(content=told.content, sender=told.sender, seq=start + 1)
        if isinstance(said, ApplicationEvent):
            fact = ApplicationEvent(
                type=said.type, data=told.data, sender=told.sender, seq=start + 1
            )
        frame = encode(fact)
        position = self.room.log.append(frame)
        ack = self.answer(said, Ack(position=position))
        self.outbox.add(Reply(start, position, frame + ack if told.echo else ack))

    patch.around(Session, "publish", say)


def say_mutant(name: str, wrong: str, change: Callable[[Any, Saying], Saying | None]) -> None:
    mutant(name, wrong)(lambda patch: on_say(patch, change))


say_mutant("sender-left-empty", "facts have no sender", lambda s, t: t._replace(sender=""))
say_mutant("echo-to-author", "the author gets its facts too", lambda s, t: t._replace(echo=True))
say_mutant(
    "text-normalised",
    "text is normalised",
    lambda s, t: t._replace(content=unicodedata.normalize("NFC", t.content)),
)
say_mutant(
    "text-trimmed",
    "spaces around a text are removed",
    lambda s, t: t._replace(content=t.content.strip(" \r\n")),
)
say_mutant(
    "mark-removed",
    "a byte order mark is removed",
    lambda s, t: t._replace(content=t.content.removeprefix("\ufeff")),
)
say_mutant(
    "plane-cut",
    "characters beyond the basic plane are replaced",
    lambda s, t: t._replace(content="".join(c if c < "\U00010000" else "?" for c in t.content)),
)
say_mutant(
    "empty-dropped",
    "an empty Message is acknowledged and not relayed",
    lambda s, t: None if isinstance(s, Message) and not t.content else t,
)
say_mutant(
    "data-as-text",
    "an application event's data is made text",
    lambda s, t: t._replace(data=t.data.decode("utf-8", "replace").encode()),
)
say_mutant(
    "empty-data-dropped",
    "an application event without data is not relayed",
    lambda s, t: None if isinstance(s, ApplicationEvent) and not t.data else t,
)
say_mutant(
    "long-text-cut",
    "a text is cut at 60,000 characters",
    lambda s, t: t._replace(content=t.content[:60_000]),
)


@mutant("entered-twice", "a message makes two entries")
def _(patch: Patch) -> None:
    no_fast_path(patch)

    def say(original: Any, self: Any, said: Any) -> None:
        original(self, said)
        own = self.outbox.replies[-1]
        frame = encode(Message(content=said.content, sender=self.member.user, seq=own.stop + 1))
        self.room.log.append(frame)

    def guarded(original: Any, self: Any, said: Any) -> None:
        (say if isinstance(said, Message) and said.content else lambda o, s, m: o(s, m))(
            original, self, said
        )

    patch.around(Session, "publish", guarded)


@mutant("position-of-the-turn", "all Acks of one turn have the position of the last entry")
def _(patch: Patch) -> None:
    def say(original: Any, self: Any, client: Any, facts: list[bytes], acks: bytes) -> None:
        last = struct.pack(">Q", self.log.end + len(facts))
        same = b"".join(acks[at : at + 16] + last for at in range(0, len(acks), 24))
        original(self, client, facts, same)

    patch.around(LocalSequencer, "say", say)


@mutant("seq-of-the-request", "a fact keeps the seq of the request")
def _(patch: Patch) -> None:
    no_fast_path(patch)

    def say(original: Any, self: Any, said: Any) -> None:
        start = self.room.log.end
        fact = replace(said, sender=self.member.user) if isinstance(said, Message) else None
        if fact is None:
            original(self, said)
            return
        position = self.room.log.append(encode(fact))
        self.outbox.add(Reply(start, position, self.answer(said, Ack(position=position))))

    patch.around(Session, "publish", say)


say_mutant(
    "application-not-told",
    "an application event is acknowledged and not relayed",
    lambda s, t: None if isinstance(s, ApplicationEvent) else t,
)


@mutant(
    "one-at-a-time",
    "a member's Message is dropped unless the member before it has sent something else",
)
def _(patch: Patch) -> None:
    def received(original: Any, self: Any, data: bytes) -> None:
        server = self.owner
        floor = getattr(server, "floor", None)
        speaks = self.session.member is not None and data[5:6] == bytes([Message.type])
        if speaks and floor not in (None, self) and not floor.closed:
            return
        if speaks or floor is self:
            server.floor = self if speaks else None
        original(self, data)

    patch.around(Connection, "received", received)
