"""The client's command: started, read without ever blocking it, and ended.

Rule: its stdout and stderr are taken whenever they have something, so that a client
that talks much never waits for the kit; what is kept of them is bounded. Only this very
process group is ended.

Layer: the bottom layer of `peer`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

from ...readiness import READ, Source, ready, source
from ..deadlines import LastLook
from ..suite import CaseFailed, NotReached

__all__ = ["Process", "Program"]

ERRORS_KEPT = 4096
"""Bytes of stderr that are kept, the last ones."""
OUTPUT = 64 << 20
"""Bytes of stdout that a client may write in one case."""
AFTER_DEADLINE = 4 << 20
"""Bytes of output that were there when a deadline passed, and are still taken."""


class Program(ABC):
    """A running client, as far as its output tells."""

    def __init__(self, out: Source, err: Source | None = None) -> None:
        self._out, self._err = out, err
        self._open = {each.fd: each for each in (out, err) if each is not None}
        self._last_look = LastLook(AFTER_DEADLINE)
        self._taken = self._searched = 0
        self.errors = b""
        self.said = bytearray()
        """All of stdout, for a case that looks for secrets in it."""

    @property
    def talking(self) -> bool:
        """Whether its stdout is open still."""
        return self._out.fd in self._open

    def next_line(self) -> bytes | None:
        """The next line of stdout that nobody took; None where it is not whole yet."""
        end = self.said.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self.said)
            if self.talking or self._taken == len(self.said):
                return None
            end = len(self.said)
        line = bytes(self.said[self._taken : end])
        self._taken = self._searched = min(end + 1, len(self.said))
        return line

    def wait(self, deadline: float, fd: int = -1, events: int = 0) -> bool | None:
        """Wait until something is there: True for `fd`, False for output, None for the deadline.

        What the program wrote is taken on the way. Raises CaseFailed where that is too much.
        """
        wanted = dict.fromkeys(self._open, READ)
        if fd >= 0:
            wanted[fd] = events
        came = ready(wanted, max(0.0, deadline - time.monotonic()))
        size = sum([self._read(self._open[each]) for each in came & set(self._open)])
        if fd in came:
            return True
        return None if not came or self._last_look.is_over(deadline, size) else False

    def _read(self, stream: Source) -> int:
        data = stream.read(1 << 16)
        if not data:
            del self._open[stream.fd]
        if stream is self._err:
            self.errors = (self.errors + data)[-ERRORS_KEPT:]
        elif len(self.said) + len(data) > OUTPUT:
            raise CaseFailed((f"at most {OUTPUT >> 20} MiB on stdout in one case",), "more")
        else:
            self.said += data
        return len(data)

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
        super().__init__(source(self._popen.stdout), source(self._popen.stderr))

    def _ended(self, deadline: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(max(0.0, deadline - time.monotonic()))
        return None

    def end(self) -> None:
        """End it, and whatever it started."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()
        for stream in (self._out, self._err):
            assert stream is not None
            stream.close()
