"""The client's command: started, read without ever blocking it, and ended.

Rule: its stdout and stderr are taken whenever they have something, so that a client
that talks much never waits for the kit. Only this very process group is ended.

Layer: the ground of `peer`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from ..suite import NotReached

__all__ = ["Process", "Program"]

ERRORS_KEPT = 4096
"""Bytes of stderr that are kept, the last ones."""


class Program(ABC):
    """A running client, as far as its output tells. `lines` are those that nobody took yet."""

    def __init__(self, out: int, err: int | None = None) -> None:
        self._out, self._err = out, err
        self._open = {out} if err is None else {out, err}
        self._held = b""
        self.lines: deque[bytes] = deque()
        self.errors = b""
        self.said = b""
        """All of stdout, for those who look for secrets in it."""

    @property
    def talking(self) -> bool:
        """Whether its stdout is open still."""
        return self._out in self._open

    def wait(self, deadline: float, fd: int = -1, events: int = 0) -> bool | None:
        """Wait until something is there: True for `fd`, False for output, None for the deadline.

        What the program wrote is taken on the way.
        """
        poll = select.poll()
        for each in self._open:
            poll.register(each, select.POLLIN)
        if fd >= 0:
            poll.register(fd, events)
        ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
        for each in self._open & set(ready):
            self._read(each)
        return fd in ready if ready else None

    def _read(self, fd: int) -> None:
        data = os.read(fd, 1 << 16)
        if not data:
            self._open.discard(fd)
        if fd == self._err:
            self.errors = (self.errors + data)[-ERRORS_KEPT:]
            return
        self.said += data
        *lines, self._held = (self._held + data).split(b"\n")
        if not data and self._held:
            lines.append(self._held)
            self._held = b""
        self.lines += lines

    def exit_code(self, deadline: float) -> int | None:
        """How it ended; None where it runs on until the deadline."""
        while self._open:
            if self.wait(deadline) is None:
                return None
        return self._ended(deadline)

    @abstractmethod
    def _ended(self, deadline: float) -> int | None: ...

    @abstractmethod
    def end(self) -> None:
        """End it, whatever it is doing."""


class Process(Program):
    """A client's command."""

    def __init__(self, words: Sequence[str]) -> None:
        try:
            self._popen = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise NotReached(f"cannot start {words[0]}: {error.strerror}") from error
        assert self._popen.stdout is not None and self._popen.stderr is not None
        super().__init__(self._popen.stdout.fileno(), self._popen.stderr.fileno())

    def _ended(self, deadline: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(max(0.0, deadline - time.monotonic()))
        return None

    def end(self) -> None:
        """End it, and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        for stream in (self._popen.stdout, self._popen.stderr):
            assert stream is not None
            stream.close()
