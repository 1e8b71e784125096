"""The turns of the loop: sessions with input work, then the clients get replies and new entries.

Rule: a turn carries out what others decide.

`scheduler` has the order of the clients, `batching` the time at which the log is sent. If more
waits, the turn asks for the next one.

Layer: below `server`, above `connection`, `scheduler` and `batching`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ..session.context import Counters
from ..session.log import SEGMENT, Log
from ..session.sequencer import Sequencer
from ..session.state import State
from .batching import FIRST, LAST, LATER, NOTHING, Batching
from .clock import ClientClock
from .connection import Connection, fan_out
from .scheduler import FEWEST_FRAMES, FRAMES, Scheduler

__all__ = ["Turns"]


class Turns:
    """Runs the turns of one room, over `connections`; `counters` are its sessions'."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: ClientClock,
        sequencer: Sequencer,
        connections: Collection[Connection],
        counters: Counters,
    ) -> None:
        self.scheduler: Scheduler[Connection] = Scheduler(loop.time)
        self.loop = loop
        self._clock = clock
        self._sequencer = sequencer
        self.room = sequencer.room
        self._connections = connections
        self._counters = counters
        self._is_due = False
        self._batching = Batching()
        self._sent = 0  # the end of the log when it was sent
        self._sent_bytes = 0
        self._retained_bytes = 0  # the bytes of the log that all members were offered
        self._offered: tuple[int, int] | None = None  # the position and size of the log at the mark
        self.follow(sequencer.log)

    def follow(self, log: Log) -> None:
        """Send this log from now on. Nobody was offered any of it."""
        self._sent = log.end
        self._sent_bytes = self._retained_bytes = log.total
        self._offered = None
        log.retain_after(log.end)

    # ------------------------------------------------------------- what connections say

    def has_input(self, connection: Connection) -> None:
        """A client has input: queue it for a turn. Who is no member waits behind small input."""
        if connection.is_authenticated:
            self.scheduler.has_input(connection)
        else:
            self.scheduler.has_more_input(connection)
        self.need()

    def has_output(self, connection: Connection) -> None:
        """A client has bytes to write, other than new entries."""
        self.scheduler.has_output(connection)
        self.need()

    def has_more_output(self, connection: Connection) -> None:
        """A client has much output, or can be written to again: queue it after the others."""
        self.scheduler.has_more_output(connection)
        self.need()

    def answer_now(self, connection: Connection) -> None:
        """Handle its input now and write one chunk: later it is not possible.

        After this, asyncio closes a TLS transport, and waits if the client takes no bytes.
        """
        now = self._clock.now()
        for _ in range(FEWEST_FRAMES):  # a Login ends `work`, and more requests can follow it
            self.work(connection, now)
            if not connection.session.has_work:
                break
        connection.write_some(1)
        connection.limit_close()
        connection.owner.watch(connection)

    # ------------------------------------------------------------- the turn

    def need(self) -> None:
        """Have a turn in the next round of the loop."""
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self.run)

    def _poll(self) -> None:
        """Have a turn after all present input: the loop calls its timers last."""
        if not self._is_due:
            self._is_due = True
            self.loop.call_at(self.loop.time(), self.run)

    def run(self) -> None:
        """One turn."""
        self._is_due = False
        now = self._clock.now()
        scheduler, sequencer, counters = self.scheduler, self._sequencer, self._counters
        before = counters.requests
        scheduler.begin_input(len(self.room.members))
        while not sequencer.is_full and (connection := scheduler.next_reader()) is not None:
            size, requests = sequencer.total, counters.requests
            frames = scheduler.frames if connection.is_authenticated else FEWEST_FRAMES
            entries = self.work(connection, now, frames)
            size = sequencer.total - size
            scheduler.charge(connection, counters.requests - requests, entries, size)
        alone = counters.requests == before + 1 and not scheduler.input_waits
        send = self._batching.decide(sequencer.log.total - self._sent_bytes, alone)
        if send is FIRST:
            self._send_log()
        self._write_own()
        if send is LAST:
            self._send_log()
        if send is LATER:
            self._poll()
        elif send is not NOTHING:
            self._offered_all()
        if scheduler.input_waits and not sequencer.is_full:
            self.need()

    def work(self, connection: Connection, now: float, frames: int = FRAMES) -> int:
        """Let one client's session work. Returns the number of its new entries."""
        session = connection.session
        try:
            entries = session.work(now, frames)
        except Exception as error:
            connection.fail(error)
            entries = 1
        if not connection.is_authenticated and session.state != State.UNAUTHENTICATED:
            connection.owner.logging_in(connection)
        if session.has_work:
            self.scheduler.has_more_input(connection)
        elif connection.closed:
            session.lost()
        else:
            self.scheduler.has_output(connection)
        return entries

    # ------------------------------------------------------------- output

    def _write_own(self) -> None:
        """Write to each client its own output: replies, and history that it has not read."""
        scheduler = self.scheduler
        scheduler.begin_output()
        while (connection := scheduler.next_writer()) is not None:
            self.write(connection)
            try:
                connection.update_interest()
                if not connection.is_authenticated and connection.session.state == State.MEMBER:
                    connection.owner.logging_in(connection)  # its answer came after `work`
                if connection.session.has_work:
                    scheduler.has_input(connection)
            except Exception as error:
                connection.fail(error)
        if self._offered is not None and not scheduler.is_marked:
            self._retain(*self._offered)
        if scheduler.output_waits:
            self.need()

    def write(self, connection: Connection) -> None:
        """Write to one client its part of this turn: as much as was entered since the last offer to
        all."""
        chunks = 2 + (self._sequencer.log.total - self._retained_bytes) // SEGMENT
        try:
            if connection.write_some(chunks):
                self.scheduler.has_more_output(connection)
        except Exception as error:
            connection.fail(error)

    def _send_log(self) -> None:
        """Write the entries since the log was last sent: one write for each member."""
        log = self._sequencer.log
        start, size = self._sent, log.total - self._sent_bytes
        self._sent, self._sent_bytes = log.end, log.total
        self.send_entries(start, size)

    def _offered_all(self) -> None:
        """The log was sent: its entries may go, now or after the waiting clients have got their
        part."""
        if not self.scheduler.output_waits:
            self._retain(self._sent, self._sent_bytes)
            return
        self.need()
        if self._offered is None:
            self._offered = self._sent, self._sent_bytes
            self.scheduler.mark()

    def send_entries(self, start: int, size: int) -> None:
        """Write the entries after `start`, `size` bytes, to all members that can be written to."""
        scheduler = self.scheduler
        for connection in fan_out(self._connections, self._sequencer.log, start):
            if size > 2 * SEGMENT:  # long entries: each in its turn
                scheduler.has_output(connection)
            elif not scheduler.has_any_output(connection):  # else it has had its part
                self.write(connection)

    def _retain(self, position: int, size: int) -> None:
        """All members were offered the log up to this position: entries up to it may go."""
        self._offered = None
        self._retained_bytes = size
        self._sequencer.log.retain_after(position)
