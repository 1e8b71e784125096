"""What a proxy does to one connection after the other, so that a client shows what it does then.

Rule: each connection meets one thing of the table. The next connection meets one that was not met
yet, in the order of the table; when all were met, connections are left alone.

Layer: above `disturbing`, below the proxy's command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from .disturbing import Disturber, Rule, rules_in

__all__ = ["PROVOCATIONS", "Provoker"]

MOST_AT_ONCE = 1_000
"""Connections of which it is known what they have met; what an older one meets later is not."""
AND_READS_ON = "insert ping@"
"""A Ping behind a fault: a client that answers it has used what is behind the fault."""

REFUSED = "corrupt type@client.Message:1"
"""The server answers it with UNKNOWN_TYPE, a right reply to a client's request."""


def _wrong(what: str, frames: str) -> str:
    return f"{what}@{frames}\n{AND_READS_ON}{frames}"


PROVOCATIONS: tuple[str, ...] = (
    "insert ping@Welcome:1",
    "insert unknown@Welcome:1\ninsert ping@Welcome:1",
    "split bytewise\ninsert ping@Welcome:1",
    _wrong("corrupt version", "server.any:2"),
    _wrong("corrupt old", "server.any:2"),
    _wrong("corrupt reserved", "server.any:2"),
    _wrong("corrupt zero", "server.any:2"),
    _wrong("corrupt short", "server.any:2"),
    _wrong("insert unnumbered", "server.any:2"),
    _wrong("insert large", "server.any:2"),
    _wrong("insert login", "server.any:2"),
    _wrong("insert pong", "server.any:2"),
    _wrong("insert ack", "server.any:2"),
    _wrong("insert error", "server.any:2"),
    _wrong("corrupt over", "Welcome:1"),
    _wrong("corrupt less", "Welcome:1"),
    _wrong("corrupt name", "Welcome:1"),
    _wrong("corrupt seq", "Welcome:1"),
    _wrong("corrupt over", "server.Ack:1"),
    _wrong("corrupt less", "server.Ack:1"),
    _wrong("corrupt seq", "server.Ack:1"),
    _wrong("corrupt position", "server.Ack:1"),
    "duplicate server.Ack:1\ninsert ping@server.Ack:1",
    _wrong("corrupt seq", "server.Message:1"),
    "duplicate server.Message:1\ninsert ping@server.Message:1",
    _wrong("corrupt name", "server.Message:1"),
    _wrong("corrupt utf8", "server.Message:1"),
    _wrong("corrupt name", "Joined:1"),
    _wrong("corrupt over", "Left:1"),
    _wrong("corrupt name", "Left:1"),
    f"{REFUSED}\n{AND_READS_ON}server.Error:1",
    f"{REFUSED}\n{_wrong('corrupt over', 'server.Error:1')}",
    f"{REFUSED}\n{_wrong('corrupt less', 'server.Error:1')}",
    f"{REFUSED}\n{_wrong('corrupt seq', 'server.Error:1')}",
    "lose-reply 2",
    _wrong("corrupt position", "Welcome:1"),
)
"""Rules for one connection each; the last one counts for a client that resumes what was lost."""


class Provoker:
    """Gives each connection what it meets, besides `rules`, which each connection meets.

    `on_end` is called once, when a connection comes and everything was met.

    >>> provoker = Provoker(lambda: None)
    >>> met = provoker.disturber((), Random(1))
    >>> len(provoker.not_met) == len(PROVOCATIONS)
    True
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._has_ended = False
        self._left = dict.fromkeys(PROVOCATIONS, 0)
        """How many connections each was given to, of those that were not met."""
        self._given: deque[tuple[str, Disturber]] = deque(maxlen=MOST_AT_ONCE)

    @property
    def not_met(self) -> list[str]:
        """What no connection has met so far: the frames that it is about did not pass."""
        for each, disturber in self._given:
            if disturber.has_acted:
                self._left.pop(each, None)
        return list(self._left)

    def disturber(self, rules: Sequence[Rule], rng: Random) -> Disturber | None:
        """What disturbs the next connection."""
        left = self.not_met
        if not left:
            if not self._has_ended:
                self._has_ended = True
                self._on_end()
            return Disturber(rules, rng) if rules else None
        chosen = min(left, key=self._left.__getitem__)
        self._left[chosen] += 1
        made = Disturber((*rules, *rules_in(chosen)), rng)
        self._given.append((chosen, made))
        return made
