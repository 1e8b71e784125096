"""A client in a thread instead of a process, for tests that run thousands of them.

Rule: no verdict depends on how fast the machine is. A deadline of the kit's passes only
while the client waits for something to read and there is nothing: as long as it is at
work, the kit goes on waiting. A deadline that has passed so is what a silence is.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO

from refserver.conformance.peer.process import Program
from refserver.readiness import source

Play = Callable[[str, int, str, BinaryIO, Callable[[socket.socket], bool]], None]

GLANCE = 0.01
"""Seconds between two looks at a client that is at work."""
HANG_TIMEOUT = 600.0
"""Seconds that a client may be at work; then it hangs."""
ROUNDS = 16
"""Turns of a loop in which what has come is read, handled, and answered; in ten of them a server
may wait for more to send (`server.batching`)."""
LOOK = 0.05
"""Seconds between two looks whether a loop runs at all."""


def come_round(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Wait until each of these loops has done what it could do by now, or has ended."""
    hangs = time.monotonic() + HANG_TIMEOUT
    for _ in range(ROUNDS):
        for loop in tuple(loops):
            been_there = threading.Event()
            with suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(been_there.set)
                while loop.is_running() and not been_there.wait(LOOK):
                    assert time.monotonic() < hangs


class InThread(Program):
    """`play` gets the host, the port, the rest of the command, its stdout, and `_input`."""

    def __init__(
        self, play: Play, words: Sequence[str], between: Sequence[asyncio.AbstractEventLoop] = ()
    ) -> None:
        """`between` are the loops of what stands between the client and the kit by now."""
        self._between = between
        out, self._in = os.pipe()
        super().__init__(source(os.fdopen(out, "rb", buffering=0)))
        self._status = 0
        self._heard, self._silence = os.pipe()
        self._waits_at: int | None = None
        host, port, *rest = words
        arguments = (play, host, int(port), " ".join(rest))
        self._thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self._thread.start()

    def _run(self, play: Play, host: str, port: int, rest: str) -> None:
        with open(self._in, "wb", buffering=0) as stdout:
            try:
                play(host, port, rest, stdout, self._input)
            except BaseException:
                # As a process would: the end of its stdout, a traceback and a status.
                self.errors = traceback.format_exc().encode()
                self._status = 1

    def _input(self, sock: socket.socket) -> bool:
        """For the client: wait until there is something to read; False at a silence."""
        self._waits_at = sock.fileno()
        ready = _readable(self._waits_at, self._heard, timeout=None)
        self._waits_at = None
        if self._heard in ready:
            os.read(self._heard, 1)
            return False
        return True

    def _rests(self) -> bool:
        """Whether the client can do nothing before it gets something to read."""
        at = self._waits_at
        return not self.talking or (
            at is not None and not _readable(at, timeout=0) and self._waits_at == at
        )

    def wait(self, deadline: float, fd: int = -1, events: int = 0) -> bool | None:
        hangs = time.monotonic() + HANG_TIMEOUT
        rests = False
        while (ready := super().wait(deadline, fd, events)) is None:
            now = time.monotonic()
            if rests or now > hangs:
                os.write(self._silence, b"\0")
                return None
            # What it did before it came to rest is still to be looked at.
            rests = self._rests()
            if rests and self._between:
                # It could still get what is there already.
                come_round(self._between)
                rests = self._rests()
            deadline = now if rests else now + GLANCE
        return ready

    def _ended(self, deadline: float) -> int | None:
        # The end of its stdout was the last that it did.
        self._thread.join(HANG_TIMEOUT)
        return None if self._thread.is_alive() else self._status

    def end(self) -> None:
        # Its connections are closed: a client that reads finds the end.
        self._thread.join(HANG_TIMEOUT)
        self._out.close()
        for fd in (self._heard, self._silence):
            os.close(fd)


def _readable(*fds: int, timeout: float | None) -> set[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(timeout)}
