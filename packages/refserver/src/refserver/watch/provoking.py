"""What a proxy does to one connection after the other, so that a client shows what it does then.

Rule: each connection meets one thing of the table, or one part of it. The next connection meets one
that was not met yet, in the order of the table; when all were met, connections are left alone.

Layer: above `disturbing`, below the proxy's command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from .disturbing import Disturber, Rule, rules_in

__all__ = ["PROVOCATIONS", "Provocation", "Provoker", "as_options"]

MOST_AT_ONCE = 1_000
"""Connections of which it is known what they have met; what an older one meets later is not."""
AND_READS_ON = "insert ping@"
"""A Ping behind a fault: a client that answers it has used what is behind the fault."""
REFUSED = "corrupt type@client.Message:1"
"""The server answers it with UNKNOWN_TYPE, a right reply to a client's request."""
LOST = "insert ping@server.Ack:1\nlose-reply 3"
"""The connection is lost while a request is in doubt."""

Provocation = tuple[str, ...]
"""Rules for one connection; if there are more, they are for the next connections."""


def _met(*rules: str) -> Provocation:
    return ("\n".join(rules),)


def _behind(frames: str, *rules: str) -> Provocation:
    """These rules, and a Ping behind some frames.

    If a server's fault is in front of it, no right client answers it.
    """
    return _met(*rules, AND_READS_ON + frames)


def _each(verb: str, kinds: str, frames: str) -> tuple[Provocation, ...]:
    """One kind after the other, with a Ping behind it."""
    return tuple(_behind(frames, f"{verb} {kind}@{frames}") for kind in kinds.split())


def _resumed(*rules: str) -> Provocation:
    """A loss, and then rules for the connection that resumes."""
    return (LOST, "\n".join(rules))


PROVOCATIONS: tuple[Provocation, ...] = (
    # What is right, and rare.
    _met("insert ping@Welcome:1"),
    _met("insert-before ping@Welcome:1"),
    _behind("Welcome:1", "insert unknown@Welcome:1"),
    _behind("Welcome:1", "insert-before unknown@Welcome:1"),
    _behind("Welcome:1", "split bytewise"),
    _met("insert-before same@server.Ack:1"),
    _met("insert twins@server.any:2"),
    _met("insert pings@server.any:2"),
    _behind("server.any:2", "insert next@server.any:2"),
    _behind("server.any:2", "insert longest@server.any:2"),
    _behind("server.any:2", "corrupt most@Welcome:1", "insert unknown@server.any:2"),
    _met("corrupt limit@Welcome:1"),
    _behind("Welcome:1", "corrupt few@Welcome:1"),
    _behind("Joined:1", "corrupt long@Joined:1"),
    _behind("server.Message:1", "corrupt rare@server.Message:1"),
    _met("corrupt far@server.any"),
    _behind("server.Error:1", REFUSED),
    _behind("server.Error:1", REFUSED, "corrupt fatal@server.Error:1"),
    _behind("server.Error:1", REFUSED, "corrupt code@server.Error:1"),
    _met("corrupt type@client.Ping:1"),
    _met("corrupt type@client.Logout:1"),
    # Wrong in any frame, in the first one and in the Welcome.
    *_each("corrupt", "version old reserved zero short", "server.any:2"),
    *_each("insert", "unnumbered large login padded nothing", "server.any:2"),
    _met("insert stub@server.any:2"),
    _met("insert begun@server.any:2"),
    *_each("corrupt", "large over less name utf8 empty", "Welcome:1"),
    # Replies that answer nothing, or something else.
    *_each("insert", "pong ack error", "server.any:2"),
    *_each("corrupt", "seq ack", "Welcome:1"),
    *_each("corrupt", "pong welcome seq wide over less position", "server.Ack:1"),
    *_each("corrupt", "position", "server.Ack:2"),
    *_each("corrupt", "position", "server.Ack:3"),
    *_each("corrupt", "ack seq over", "server.Pong:1"),
    _behind("server.Ack:1", "duplicate server.Ack:1"),
    *(_behind("server.Pong:1", f"reorder server.Ack:{number}") for number in (1, 2, 3)),
    _behind("server.Ack:1", REFUSED, "reorder server.Error:1"),
    _behind("server.Ack:1", REFUSED, "drop server.Error:1"),
    *(
        _behind("server.Error:1", REFUSED, f"corrupt {kind}@server.Error:1")
        for kind in ("over", "less", "seq", "utf8")
    ),
    # Facts.
    _behind("server.any:2", "reorder Welcome:1"),
    _behind("server.any:2", "corrupt position@Welcome:1"),
    *_each("corrupt", "seq wide name utf8 cut surrogate overlong beyond empty", "server.Message:1"),
    _behind("server.Message:1", "duplicate server.Message:1"),
    _behind("server.any:3", "corrupt far@server.any", "duplicate server.any:3"),
    *_each("corrupt", "name empty", "server.Application:1"),
    *_each("corrupt", "name over", "Joined:1"),
    *_each("corrupt", "name over", "Left:1"),
    # Ends.
    *_each("insert", "end end-10 end-4711", "server.any:2"),
    *((f"insert end-{code}@server.Ack:1", "") for code in (1, 2, 3, 12, 13, 21, 22, 24)),
    # Losses.
    *((f"lose-reply {number}", "") for number in (2, 3, 4, 5)),
    *((f"reset client:{byte}", "") for byte in (60, 90, 120)),
    *(
        (LOST, f"corrupt {kind}@server.{frames}:1")
        for frames in ("Message", "Application")
        for kind in ("user", "event", "last")
    ),
    (LOST, "corrupt rare@server.Message:1"),
    (LOST, "corrupt user@server.Left:1"),
    (LOST, "reset server:0", ""),
    (LOST, LOST, ""),
    (LOST, "insert ping@server.Message:1\nlose-reply 2", ""),
    ("cut-at server:330", ""),
    (LOST, "insert-before end-23@Welcome:1", ""),
    ("insert end@server.Ack:1", "reset server:60", ""),
    ("insert end@server.Ack:1", "reset server:300", ""),
    ("insert end@server.Ack:1", "insert unknown@Resumed:1\ndelay server.Pong:1@1"),
    ("insert end@server.Ack:1", "insert echo@Resumed:1\ndelay server.Pong:1@1"),
    (f"{REFUSED}\nlose-reply 3", ""),
    ("insert end-over@server.Ack:1", ""),
    ("insert end-utf8@server.Ack:1", ""),
    _resumed("corrupt position@Resumed:1", AND_READS_ON + "Resumed:1"),
    _resumed("corrupt large@Resumed:1", AND_READS_ON + "Resumed:1"),
    _resumed("corrupt limit@Resumed:1"),
    _resumed("drop server.any:2", AND_READS_ON + "server.any:3"),
    (LOST, "corrupt ticket@client.Login:1", ""),
    ("corrupt ticket@Welcome:1\n" + LOST, ""),
    (LOST, "corrupt ticket@Resumed:1\n" + LOST, ""),
    ("corrupt user@Welcome:1\n" + LOST, ""),
)
"""What connections meet, in this order."""


def as_options(provocation: Provocation) -> str:
    """The options that do the same.

    >>> as_options(("lose-reply 3", "drop Ack:1\\ninsert ping@Ack:2", ""))
    '--lose-reply 3, then --drop Ack:1 --insert ping@Ack:2, then nothing'
    """
    parts = (" ".join(f"--{line}" for line in part.splitlines()) for part in provocation)
    return ", then ".join(part or "nothing" for part in parts)


@dataclass(slots=True)
class _Given:
    """A part of a provocation that a connection was given."""

    provocation: Provocation
    part: int
    rules: set[Rule] = field(default_factory=set)
    disturber: Disturber | None = None

    @property
    def is_met(self) -> bool:
        return self.disturber is None or self.rules <= self.disturber.acted


class Provoker:
    """Gives each connection what it meets, besides `rules`, which each connection meets.

    `on_end` is called once, when a connection comes and everything was met.

    >>> provoker = Provoker(lambda: None)
    >>> met = provoker.disturber((), Random(1))
    >>> len(provoker.not_met) == len(PROVOCATIONS)
    True
    """

    def __init__(
        self, on_end: Callable[[], None], table: Sequence[Provocation] = PROVOCATIONS
    ) -> None:
        self._on_end = on_end
        self._has_ended = False
        self._left = dict.fromkeys(table, 0)
        """How often each was begun, of those that were not met."""
        self._given: deque[_Given] = deque(maxlen=MOST_AT_ONCE)

    @property
    def latest(self) -> str:
        """The rules that the latest connection was given, besides the user's."""
        given = self._given[-1]
        return given.provocation[given.part]

    @property
    def not_met(self) -> list[Provocation]:
        """What no connection has met so far: the frames that it is about did not pass."""
        for each in self._given:
            if each.part == len(each.provocation) - 1 and each.is_met:
                self._left.pop(each.provocation, None)
        return list(self._left)

    def disturber(self, rules: Sequence[Rule], rng: Random) -> Disturber | None:
        """What disturbs the next connection."""
        given = self._next()
        if given is None:
            if not self._has_ended:
                self._has_ended = True
                self._on_end()
            return Disturber(rules, rng) if rules else None
        provoked = rules_in(given.provocation[given.part])
        self._given.append(given)
        if not provoked and not rules:
            return None
        given.rules = set(provoked)
        given.disturber = Disturber((*rules, *provoked), rng)
        return given.disturber

    def _next(self) -> _Given | None:
        """The next part of what was begun, or the first part of what was begun least often."""
        latest = self._given[-1] if self._given else None
        if latest and latest.is_met and latest.part < len(latest.provocation) - 1:
            return _Given(latest.provocation, latest.part + 1)
        left = self.not_met
        if not left:
            return None
        chosen = min(left, key=self._left.__getitem__)
        self._left[chosen] += 1
        return _Given(chosen, 0)
