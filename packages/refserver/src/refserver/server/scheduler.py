"""The order of clients in a turn, and the limits of a turn.

Rule: it never acts: it decides whose turn it is.

Layer: the bottom layer of `server`. The clock is passed in. The clients can be objects of any type.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["FEWEST_FRAMES", "FRAMES", "Scheduler"]

FRAMES = 256
"""The most frames of one client in one turn while others wait."""
FRAMES_ALONE = 2_048
"""The same while no other client waits. A turn costs as much as ten frames."""
FEWEST_FRAMES = 8
"""The least limit of frames for a client of `round` in a turn, if many clients share the turn."""
FEWEST_FIRST = 2
"""The same for a client of `first`."""
DELIVERIES = 200_000
"""The most entries times members in one turn: less than 20 ms of work, and few turns for many
messages."""
FEW_FRAMES = 1
"""A client that used at most so many frames in the turn before and in this one has little input."""
IN_SECONDS = 0.006
"""Seconds in one turn for input."""
FIRST_SHARE = 0.75
"""The part of it for clients with new input, if others go round."""
IN_BYTES = 1 << 20
"""The most bytes to enter in one turn; the log holds them above its capacity for a while."""
OUT_BYTES = 64 << 20
"""The most bytes to enter in one turn times members, so that writing them stays short."""
FEWEST_IN_BYTES = 65_536
"""The least bytes of this limit: otherwise a room with many members could not send."""
OUT_SECONDS = 0.005
"""Seconds in one turn for the own output of clients, for example a replay."""

C = TypeVar("C")


class Scheduler(Generic[C]):
    """Two queues for input and two for output, as in fair queueing: `first` and `round`.

    A client is in `first` when it has new input. It is in `round` as long as it has more, or uses
    much in each turn. A turn has limits for every kind of work: frames, entries times members,
    bytes in and out, and time.

    It has more than fifteen attributes: the four queues, and what is left of each budget of a turn.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self.frames = FRAMES
        """The most frames for the next client in this turn."""
        self._time = time
        self._first_in: OrderedDict[C, None] = OrderedDict()
        self._round_in: OrderedDict[C, None] = OrderedDict()
        self._first_out: OrderedDict[C, None] = OrderedDict()
        self._round_out: OrderedDict[C | None, None] = OrderedDict()  # None is the place of `mark`
        self._much_now: set[C] = set()  # clients that used much in this turn,
        self._much_before: set[C] = set()  # and in the one before
        self._left_first = self._left_round = 0
        self._owes_round = False  # no client of `round` was written to in this turn
        self._frames_first = self._frames_round = FRAMES
        self._deliveries = 0
        self._bytes = self._most_bytes = 0
        self._members = self._waiting = 0  # of the turn before
        self._first_until = self._until = 0.0

    def forget_output(self, client: C) -> None:
        """It cannot be written to any more. Its earlier input is still handled."""
        self._first_out.pop(client, None)
        self._round_out.pop(client, None)

    # ------------------------------------------------------------- input

    def has_input(self, client: C) -> None:
        """It has new input: into `first`, or into `round` if it uses much."""
        if client in self._much_now or client in self._much_before:
            self._round_in[client] = None
        elif client not in self._round_in:
            self._first_in[client] = None

    def has_more_input(self, client: C) -> None:
        """Into `round`: it has had its part of the turn, or the caller puts it after others."""
        self._round_in[client] = None

    @property
    def input_waits(self) -> bool:
        """Whether a client has input."""
        return bool(self._first_in or self._round_in)

    def begin_input(self, members: int) -> None:
        """Begin a turn. Each entry is sent to so many members."""
        self._much_before, self._much_now = self._much_now, set()
        self._left_first, self._left_round = len(self._first_in), len(self._round_in)
        waiting = self._left_first + self._left_round
        if members + 1 != self._members or waiting != self._waiting:
            self._share(members + 1, waiting)
        self._deliveries = DELIVERIES
        self._bytes = self._most_bytes
        now = self._time()
        self._until = now + IN_SECONDS
        self._first_until = now + (IN_SECONDS * FIRST_SHARE if self._left_round else IN_SECONDS)

    def _share(self, members: int, waiting: int) -> None:
        """Divide the budget of a turn. The result depends on these two numbers only."""
        self._members, self._waiting = members, waiting
        share = DELIVERIES // (members * max(1, waiting))
        most = FRAMES if waiting > 1 else FRAMES_ALONE
        self._frames_first = min(most, max(FEWEST_FIRST, share))
        self._frames_round = min(most, max(FEWEST_FRAMES, share))
        self._most_bytes = max(FEWEST_IN_BYTES, min(IN_BYTES, OUT_BYTES // members))

    def next_reader(self) -> C | None:
        """The next client to work, or None when the turn is over."""
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

        All other costs are measured as time.
        """
        if frames > FEW_FRAMES:
            self._much_now.add(client)
        if not self._left_first and not self._left_round:
            return  # nobody is left in this turn
        self._deliveries -= entries * self._members
        self._bytes -= size
        now = self._time()
        if self._deliveries <= 0 or self._bytes < 0 or now > self._until:
            self._left_first = self._left_round = 0
        elif now > self._first_until:
            self._left_first = 0

    # ------------------------------------------------------------- output

    def has_output(self, client: C) -> None:
        """It may have its own output: replies or history."""
        if client not in self._round_out:
            self._first_out[client] = None

    def has_more_output(self, client: C) -> None:
        """Into `round`: it has had its part of the turn, or the caller puts it after others."""
        self._round_out[client] = None

    def has_any_output(self, client: C) -> bool:
        """Whether it waits to be written to."""
        return client in self._first_out or client in self._round_out

    @property
    def output_waits(self) -> bool:
        """Whether a client waits to be written to."""
        return bool(self._first_out or self._round_out)

    def begin_output(self) -> None:
        """Begin the part of the turn for the own output of clients."""
        self._left_first, self._left_round = len(self._first_out), len(self._round_out)
        self._owes_round = True
        self._until = self._time() + OUT_SECONDS

    def next_writer(self) -> C | None:
        """The next client to write to, or None when this part of the turn is over. One client of
        `round` is written to in any case.
        """
        if not self._left_first and not self._left_round:
            return None
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
        """Put a mark after all clients that wait to be written to."""
        self._round_out[None] = None

    @property
    def is_marked(self) -> bool:
        """Whether a client that waited at the call of `mark` still waits."""
        return None in self._round_out
