"""A server of one's own, for as long as a test needs it.

Rule: it ends when its launcher does, however that ends. It runs the installed package with the
given options. The files in the current folder and the REFSERVER_… variables of the machine have no
effect.

Layer: beside the command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

__all__ = ["LaunchedServer", "NotOurs", "NotStarted", "RunningServer", "launched"]

TIMEOUT = 60.0
"""Seconds that a server may take to stop, far beyond what it needs."""
HERE = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""How a server is reached that listens on these."""


class NotStarted(Exception):
    """The server has ended before it listened; what was wrong stands in its log."""


class NotOurs(Exception):
    """This server was not started here, and so it is not stopped here."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections."""

    host: str
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as `socket.create_connection` takes them."""
        return self.host, self.port

    def stop(self) -> int:
        """Shut it down in good order, as SIGTERM does; its exit code. Raises NotOurs."""
        raise NotOurs(f"{self.host}:{self.port} was not started here")


@dataclass(frozen=True, slots=True)
class LaunchedServer(RunningServer):
    """A server with an empty room, on this machine: a process of ours."""

    process: subprocess.Popen[str] = field(repr=False)
    ws_port: int = 0
    """The port for WebSocket clients; 0 without `--ws`."""

    def stop(self) -> int:
        """Shut it down in good order, as SIGTERM does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)


@contextmanager
def launched(
    *options: str,
    python: Sequence[str] = (),
    log: IO[bytes] | None = None,
    under: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    start: Callable[..., subprocess.Popen[str]] = subprocess.Popen,
) -> Iterator[LaunchedServer]:
    """A server with these options on a free port. Raises NotStarted.

    `python` are options of the interpreter. Its log goes to `log`, or to the stderr of this
    process. `under` is a command that runs the server, as `nice` does; `environment` is added to
    ours. `start` takes the command and the streams as `subprocess.Popen` does.
    """
    command = [sys.executable, "-P", *python, "-m", "refserver.tethered", "serve", "--port", "0"]
    ours = {k: v for k, v in os.environ.items() if not k.startswith("REFSERVER_")}
    pipe = subprocess.PIPE
    with start(
        [*under, *command, *options],
        stdin=pipe,
        stdout=pipe,
        stderr=log,
        text=True,
        env={**ours, **(environment or {})},
    ) as process:
        assert process.stdout is not None
        try:
            host, _, port = process.stdout.readline().removeprefix("listening on ").rpartition(":")
            if not port:
                raise NotStarted(" ".join(command[-4:] + list(options)))
            ws_port = 0
            if "--ws" in options:
                ws_port = int(process.stdout.readline().rpartition(":")[2] or 0)
            host = host.strip("[]")
            if host in HERE:
                host = HERE[host]
            yield LaunchedServer(host, int(port), process, ws_port)
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
