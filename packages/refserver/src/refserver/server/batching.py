"""When the log is sent to the members: in this turn, or after one more poll of the loop.

Rule: waiting must gain more than it costs.

A message that comes alone is sent at once, before its Ack: its author then sends the next one
behind the fan-out and not into it. Where several come, there are more to come: their Acks go first,
so that their authors go on, and the loop is polled for what they send. A write costs what ten
entries cost, so few and large writes win.

Layer: the bottom layer of `server`. It decides and does nothing.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["FIRST", "LAST", "LATER", "NOTHING", "Batching", "Send"]

FULL = 65_536
"""So many bytes are sent without waiting for more. A write has space for half as much again; more
costs each member a second write."""
POLLS = 8
"""The most polls before the log is sent: the limit for the wait of readers. Authors that send one
message after the other bring one with each poll."""
VAIN_POLLS = 2
"""So many polls in a row without new entries end the polling. After its Ack, an author needs as
long as two polls to send its next message."""


class Send(Enum):
    """The results of `Batching.decide`."""

    NOTHING = "there is nothing to send"
    FIRST = "send the log, then each client its replies"
    LAST = "send each client its replies, then the log"
    LATER = "send the replies, then poll the loop: the log waits"


NOTHING, FIRST, LAST, LATER = Send  # as `Send.FIRST`, but without a slow look-up in each turn


class Batching:
    """Decides at the end of each turn.

    >>> batching = Batching()
    >>> batching.decide(unsent=80, alone=True).name
    'FIRST'
    >>> [batching.decide(unsent=1280, alone=False).name for _ in range(3)]
    ['LATER', 'LATER', 'LAST']
    """

    def __init__(self) -> None:
        self._polls = 0  # since the log was sent
        self._vain = 0  # the last of them in a row without new entries
        self._unsent = 0  # bytes in the turn before

    def decide(self, unsent: int, alone: bool) -> Send:
        """The log has `unsent` bytes for the members.

        `alone` says that the turn had one request, and that nobody waits for the next turn.
        """
        if not unsent:
            return NOTHING
        brought = unsent - self._unsent
        if alone and brought == unsent:
            return self._send(FIRST)
        if brought:
            self._vain = 0
        # Another poll that brings as much must fit into the same write.
        if self._vain == VAIN_POLLS or self._polls == POLLS or unsent + brought > FULL:
            return self._send(LAST)
        self._polls += 1
        self._vain += 1
        self._unsent = unsent
        return LATER

    def _send(self, when: Send) -> Send:
        self._polls = self._vain = self._unsent = 0
        return when
