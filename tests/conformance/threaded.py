"""A client in a thread instead of a process, for tests that run thousands of them."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import BinaryIO

from refserver.conformance.peer.process import Program

Play = Callable[[str, int, str, BinaryIO], None]


class InThread(Program):
    """`play` is called with the host, the port, the rest of the command, and its stdout."""

    def __init__(self, play: Play, words: Sequence[str]) -> None:
        out, self._in = os.pipe()
        super().__init__(out)
        self._status = 0
        host, port, *rest = words
        arguments = (play, host, int(port), " ".join(rest))
        self._thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self._thread.start()

    def _run(self, play: Play, host: str, port: int, rest: str) -> None:
        with open(self._in, "wb", buffering=0) as stdout:
            try:
                play(host, port, rest, stdout)
            except BaseException:
                # As a process would: the end of its stdout, a traceback and a status.
                self.errors = traceback.format_exc().encode()
                self._status = 1

    def _ended(self, deadline: float) -> int | None:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return None if self._thread.is_alive() else self._status

    def end(self) -> None:
        # Its connections are closed: a client that reads finds the end.
        self._thread.join(1.0)
        os.close(self._out)
