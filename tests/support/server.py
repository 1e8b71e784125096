"""A real server process: started on a free port, looked at from outside, ended.

Rule: every server that ends here has exited with 0, and has written nothing to stderr but
log records of one ASCII line each: no traceback, no warning, no error that nobody handled.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.support.warm import started

from refserver import launcher
from refserver.launcher import NotStarted

T = TypeVar("T")
launched = partial(launcher.launched, start=started)
"""A server of its own for a test: `refserver.launcher.launched`, warm where that is possible."""
GLANCE = 0.02
"""Seconds between two looks: one who looks all the time takes the processor from the server."""
EXIT_TIMEOUT = 600.0
"""Seconds until a process that does not end fails its test."""
RECORD = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) ([!-~]+)( [\x20-\x7e]+)?"
)
# What a loop in debug mode says about the speed of the machine.
SLOW_TURN = re.compile(r"Executing <.*> took \d+\.\d+ seconds")
UNHANDLED = re.compile(
    r"\binternal\b|Traceback|Exception ignored|never (retrieved|awaited)|Warning:"
)
"""What Python, asyncio and the server itself write of an error that nobody handled."""


def when(look: Callable[[], T]) -> T:
    """What this gives, once it is true; the time limit of the test ends what never is."""
    while not (found := look()):
        time.sleep(GLANCE)
    return found


class Running:
    """A server that listens; `log` has what it has written to stderr so far."""

    def __init__(
        self, process: subprocess.Popen[str], port: int, log: Path, ws_port: int = 0
    ) -> None:
        self.ws_port = ws_port
        self.process = process
        self.pid = process.pid
        self.port = port
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="ascii")

    def until_logged(self, pattern: str) -> re.Match[str]:
        """What it has logged, once this is there; fails if the server ends without it."""

        def look() -> re.Match[str] | None:
            has_ended = self.process.poll() is not None
            found = re.search(pattern, self.log)
            assert found or not has_ended, f"it ended without {pattern!r}"
            return found

        found = when(look)
        assert found is not None
        return found

    @property
    def records(self) -> list[str]:
        """What it has logged by now, line by line."""
        return self.log.splitlines()

    @property
    def metrics(self) -> int:
        """The port of its metrics."""
        return int(re.findall(r'metrics url="http://127\.0\.0\.1:(\d+)/metrics"', self.log)[0])

    @property
    def memory(self) -> int:
        """Bytes of memory that it has now."""
        return self._status("VmRSS")

    @property
    def most_memory(self) -> int:
        """The most bytes of memory that it ever had."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024

    @property
    def descriptors(self) -> int:
        """Descriptors that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self.process.wait(EXIT_TIMEOUT)

    def stop(self) -> int:
        """Send SIGTERM and give the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def strange(records: list[str], failing: Collection[str] = ()) -> list[str]:
    """The lines that are no log records, or tell of an error that is not one of `failing`."""
    return [line for line in records if not (SLOW_TURN.fullmatch(line) or is_good(line, failing))]


def is_good(line: str, failing: Collection[str]) -> bool:
    """Whether it is a record, as text or as JSON, of what may happen."""
    if UNHANDLED.search(line):
        return False
    if line.startswith("{"):
        record = json.loads(line)
        level, kind = record["level"], record["event"]
        whole = line.isascii() and line.isprintable()
    else:
        match = RECORD.fullmatch(line)
        level, kind = match.group(1, 2) if match else ("", "")
        whole = match is not None
    return whole and (level in ("INFO", "WARNING") or (level == "ERROR" and kind in failing))


@contextmanager
def running(
    folder: Path,
    *options: str,
    dev: bool = False,
    descriptors: int = 0,
    failing: Collection[str] = (),
    **environment: str,
) -> Iterator[Running]:
    """A server with these options on a free port; stopped at the end if it still runs.

    `dev` runs it with all of Python's own checks and with asyncio's debug mode. `descriptors`
    limits how many it may have open. `failing` are the kinds of records that may be errors.
    `environment` is added to ours.
    """
    log = folder / "server.log"
    limit = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []
    python = ["-X", "dev"] if dev else []
    with log.open("wb") as stderr:
        try:
            with launched(
                *options, python=python, log=stderr, under=limit, environment=environment
            ) as server:
                one = Running(server.process, server.port, log, server.ws_port)
                yield one
        except NotStarted as error:
            raise AssertionError(f"{error} did not start: {log.read_text()}") from None
    assert server.process.returncode == 0
    assert strange(one.records, failing) == []
