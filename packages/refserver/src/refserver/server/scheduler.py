"""Whose turn it is, and how much of the turn is left.

Rule: it decides and does nothing. Work of every kind is charged to one turn: frames, entries
times members, bytes in and out, and time. Who asked for little goes first, and those who have
more to do go round.

Layer: the ground of `server`. The clock is passed in; what is scheduled can be anything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["FEWEST_FRAMES", "FRAMES", "Scheduler"]

FRAMES = 256
"""Frames of one client in one turn, where others wait;"""
FRAMES_ALONE = 2_048
"""and where nobody else does: a turn costs what ten frames cost."""
FEWEST_FRAMES = 8
"""So many in a turn at least where many go round, and each has a share, so that it is short;"""
FEWEST_FIRST = 2
"""and so many where many begin to ask at once."""
DELIVERIES = 200_000
"""Entries times members in one turn: below 20 ms of work, and few turns for many messages."""
FEW_FRAMES = 1
"""A client that used no more in the turn before, and in this one, asks for little."""
IN_SECONDS = 0.006
"""Time in one turn for what came,"""
FIRST_SHARE = 0.75
"""of which those that have just begun to ask have this part, where others go round."""
IN_BYTES = 1 << 20
"""Bytes entered in one turn, which the log holds beyond its capacity until they are offered,"""
OUT_BYTES = 64 << 20
"""so that they are at most so many when each member is given them;"""
FEWEST_IN_BYTES = 65_536
"""but so many in any case: else a room of many members could not speak."""
OUT_SECONDS = 0.005
"""Time in one turn for what each client is sent of its own, a replay for example."""

C = TypeVar("C")


class Scheduler(Generic[C]):
    """Two queues for input and two for output, as in fair queueing: first, and round.

    A client stands in `first` when it begins to ask, and in `round` as long as it has more, or
    uses much in each turn.

    It has more than fifteen attributes: the four queues, and what is left of each budget of a turn.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self.frames = FRAMES
        """What the next client may use in this turn."""
        self._time = time
        self._first_in: OrderedDict[C, None] = OrderedDict()
        self._round_in: OrderedDict[C, None] = OrderedDict()
        self._first_out: OrderedDict[C, None] = OrderedDict()
        self._round_out: OrderedDict[C | None, None] = OrderedDict()  # None where `mark` stands
        self._much_now: set[C] = set()  # who used much in this turn,
        self._much_before: set[C] = set()  # and in the one before
        self._left_first = self._left_round = 0
        self._owes_round = False  # nobody of those who go round was written to in this turn
        self._frames_first = self._frames_round = FRAMES
        self._deliveries = 0
        self._bytes = 0
        self._members = 1
        self._first_until = self._until = 0.0

    def forget_output(self, client: C) -> None:
        """It cannot be written to any more. What came from it before is still worked on."""
        self._first_out.pop(client, None)
        self._round_out.pop(client, None)

    # ------------------------------------------------------------- input

    def has_input(self, client: C) -> None:
        """It has something to be validated."""
        if client in self._much_now or client in self._much_before:
            self._round_in[client] = None
        elif client not in self._round_in:
            self._first_in[client] = None

    def has_more_input(self, client: C) -> None:
        """It has used its turn up, and has more."""
        self._round_in[client] = None

    @property
    def input_waits(self) -> bool:
        """Whether somebody has input."""
        return bool(self._first_in or self._round_in)

    def begin_input(self, members: int) -> None:
        """A turn begins, in which each entry is sent to so many members."""
        self._members = members + 1
        self._much_before, self._much_now = self._much_now, set()
        self._left_first, self._left_round = len(self._first_in), len(self._round_in)
        waiting = max(1, self._left_first + self._left_round)
        share = DELIVERIES // (self._members * waiting)
        most = FRAMES if waiting > 1 else FRAMES_ALONE
        self._frames_first = min(most, max(FEWEST_FIRST, share))
        self._frames_round = min(most, max(FEWEST_FRAMES, share))
        self._deliveries = DELIVERIES
        self._bytes = max(FEWEST_IN_BYTES, min(IN_BYTES, OUT_BYTES // self._members))
        now = self._time()
        self._until = now + IN_SECONDS
        self._first_until = now + (IN_SECONDS * FIRST_SHARE if self._left_round else IN_SECONDS)

    def next_reader(self) -> C | None:
        """Who may work now; None when the turn is over."""
        if self._left_first:
            self._left_first -= 1
            self.frames = self._frames_first
            return self._first_in.popitem(last=False)[0]
        if self._left_round:
            self._left_round -= 1
            self.frames = self._frames_round
            return self._round_in.popitem(last=False)[0]
        return None

    def charge(self, client: C, frames: int, entries: int, size: int) -> None:
        """It used so many frames, and made so many entries of so many bytes.

        What it cost beside is measured as time.
        """
        if frames > FEW_FRAMES:
            self._much_now.add(client)
        self._deliveries -= entries * self._members
        self._bytes -= size
        now = self._time()
        if self._deliveries <= 0 or self._bytes < 0 or now > self._until:
            self._left_first = self._left_round = 0
        elif now > self._first_until:
            self._left_first = 0

    # ------------------------------------------------------------- output

    def has_output(self, client: C) -> None:
        """It may have something of its own to be sent."""
        if client not in self._round_out:
            self._first_out[client] = None

    def has_more_output(self, client: C) -> None:
        """It was sent its part of this turn, and there is more."""
        self._round_out[client] = None

    def has_any_output(self, client: C) -> bool:
        """Whether it waits to be written to."""
        return client in self._first_out or client in self._round_out

    @property
    def output_waits(self) -> bool:
        """Whether somebody waits to be written to."""
        return bool(self._first_out or self._round_out)

    def begin_output(self) -> None:
        """The part of the turn in which each client is sent what is its own."""
        self._left_first, self._left_round = len(self._first_out), len(self._round_out)
        self._owes_round = True
        self._until = self._time() + OUT_SECONDS

    def next_writer(self) -> C | None:
        """Who is written to now; None when this part of the turn is over.

        One of those who go round is written to in any case.
        """
        is_over = self._time() >= self._until
        if self._left_first and not is_over:
            self._left_first -= 1
            return self._first_out.popitem(last=False)[0]
        while self._left_round and (self._owes_round or not is_over):
            self._left_round -= 1
            client = self._round_out.popitem(last=False)[0]
            if client is not None:
                self._owes_round = False
                return client
        return None

    def mark(self) -> None:
        """Put a mark behind all who wait to be written to."""
        self._round_out[None] = None

    @property
    def is_marked(self) -> bool:
        """Whether somebody who waited when `mark` was called still waits."""
        return None in self._round_out
