"""A real server process: started on a free port, looked at from outside, ended.

Rule: every process that ends here has exited with 0 and has written nothing to
stderr but log records of one ASCII line each: no traceback, no warning.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REFSERVER = Path(sys.executable).with_name("refserver")

RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING) [\x20-\x7e]+")
# What a loop in debug mode says about the speed of the machine.
SLOW_TURN = re.compile(r"Executing <.*> took \d+\.\d+ seconds")
PATIENCE = 60
"""Seconds until a process that does not end fails its test."""


class Running:
    """A server process, and where it listens."""

    def __init__(self, process: subprocess.Popen[str], stderr: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.stderr = stderr
        self.stopping = False
        self.first_line = self._first_line()
        self.port = int(self.first_line.rpartition(":")[2])

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), f"{line!r}, stderr: {self.stderr.read_text()}"
        return line

    @property
    def records(self) -> list[str]:
        """What it has logged by now."""
        return self.stderr.read_text(encoding="utf-8").splitlines()

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
        self.stopping |= number in (signal.SIGINT, signal.SIGTERM)
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self.process.wait(timeout=PATIENCE)


def strange(records: list[str]) -> list[str]:
    """The lines that are no log records."""
    return [
        line for line in records if not RECORD.fullmatch(line) and not SLOW_TURN.fullmatch(line)
    ]


@contextmanager
def running(
    folder: Path, *options: str, dev: bool = True, port: str = "0", descriptors: int = 0
) -> Iterator[Running]:
    """A server with these options; stopped with SIGTERM, if the test has not stopped it.

    `dev` runs it with all of Python's own checks and with asyncio's debug mode. `descriptors`
    limits how many it may have open.
    """
    command = [sys.executable, *(["-X", "dev"] if dev else []), str(REFSERVER), "serve"]
    command += ["--port", port, *options]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    stderr = folder / "stderr"
    with (
        stderr.open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            server = Running(process, stderr)
            yield server
            if not server.stopping:
                server.signal(signal.SIGTERM)
            assert server.wait() == 0
            assert strange(server.records) == []
        finally:
            process.kill()
