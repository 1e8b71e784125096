"""Processes that start warm: forked from one that has loaded the command line already.

Rule: what runs is `python -P -m refserver…` in a process of its own, with its own arguments,
environment, folder, streams, limit of descriptors, signals and end. Only the start of Python and
the imports are shared: 130 of the 160 ms of processor time of a server that starts and stops.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

if sys.platform == "linux":
    import resource

__all__ = ["ran", "started"]

POSSIBLE = sys.platform == "linux"
"""Elsewhere each process starts by itself."""
SCRIPT = str(Path(sys.executable).with_name("refserver"))
FORK_SERVER = Path(__file__).with_name("fork_server.py")
AT_START = ("PYTHON", "COVERAGE", "LANG", "LC_")
"""How the variables begin that Python and coverage read when they start."""
STREAMS = 3
Start = frozenset[tuple[str, str]]


def started(command: Sequence[str | Path], **settings: Any) -> subprocess.Popen[str]:
    """As `subprocess.Popen`, of which it takes the streams, `env`, `text` and `process_group`.

    It is warm if the command is the script `refserver`, or Python with a module of refserver and
    without an option of its own except `-P`, or with a file, which finds nothing that is beside it.
    """
    match [str(word) for word in command]:
        case [sys.executable, "-P", "-m", module, *words] | [
            sys.executable,
            "-m",
            module,
            *words,
        ] if POSSIBLE and module.partition(".")[0] == "refserver":
            pass
        case [script, *words] if POSSIBLE and script == SCRIPT:
            module = "refserver"
        case [sys.executable, module, *words] if POSSIBLE and module.endswith(".py"):
            pass
        case _:
            return subprocess.Popen(command, **settings)
    return cast("subprocess.Popen[str]", Warm(module, words, **settings))


def ran(command: Sequence[str | Path], **settings: Any) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run`, of which it takes `input` and `capture_output` too.

    It has no timeout: the time limit of the test ends a process that does not end.
    """
    given = settings.pop("input", None)
    if given is not None:
        settings["stdin"] = subprocess.PIPE
    if settings.pop("capture_output", False):
        settings["stdout"] = settings["stderr"] = subprocess.PIPE
    with started(command, **settings) as process:
        out, err = process.communicate(given)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


class ForkServer:
    """One for each set of these variables."""

    _all: dict[Start, ForkServer] = {}  # noqa: RUF012
    _making = threading.Lock()

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    Path(__file__).with_name("fork_server.py"),
                    str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self.control.close()
        self._process.wait()

    @classmethod
    def like(cls, environment: Mapping[str, str]) -> ForkServer:
        """The one whose Python has started with these."""
        start = frozenset(
            (name, value) for name, value in environment.items() if name.startswith(AT_START)
        )
        with cls._making:
            if start not in cls._all:
                cls._all[start] = cls(environment)
            return cls._all[start]


class Warm:
    """A forked process, with what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        module: str,
        words: Sequence[str],
        *,
        stdin: IO[Any] | int | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
        text: bool = False,
        env: Mapping[str, str] | None = None,
        process_group: int | None = None,
    ) -> None:
        self.args = ["python", "-m", module, *words]
        self.returncode: int | None = None
        self._collecting = threading.Lock()
        environment = dict(os.environ if env is None else env)
        request = {
            "module": module,
            "words": list(words),
            "environment": environment,
            "folder": os.getcwd(),
            "group": process_group,
            "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        }
        self._end, teller = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mode = "" if text else "b"
        opened: list[int] = []
        self.stdin, reader = ends(stdin, 0, f"w{mode}", opened)
        self.stdout, writer = ends(stdout, 1, f"r{mode}", opened)
        if stderr == subprocess.STDOUT:
            self.stderr, errors = None, writer
        else:
            self.stderr, errors = ends(stderr, 2, f"r{mode}", opened)
        descriptors = [teller.fileno(), reader, writer, errors]
        with teller:
            control = ForkServer.like(environment).control
            socket.send_fds(control, [json.dumps(request).encode()], descriptors)
        for descriptor in opened:
            os.close(descriptor)
        self.pid = int(self._end.recv(20))

    def poll(self) -> int | None:
        """Its exit code, or the number of the signal that ended it, below 0; None while it runs."""
        return self._ended_within(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended. Raises subprocess.TimeoutExpired."""
        code = self._ended_within(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def communicate(self, given: str | bytes | None = None) -> tuple[Any, Any]:
        """What it says on stdout and on stderr until it has ended, once it has read this."""
        with ThreadPoolExecutor(max_workers=STREAMS) as pool:
            if self.stdin is not None:
                pool.submit(self._write, given)
            out, err = (
                pool.submit(stream.read) if stream is not None else None
                for stream in (self.stdout, self.stderr)
            )
            try:
                self.wait()
            except BaseException:
                self.kill()
                raise
        return (None if out is None else out.result(), None if err is None else err.result())

    def _write(self, text: str | bytes | None) -> None:
        assert self.stdin is not None
        with suppress(BrokenPipeError), self.stdin:
            if text:
                self.stdin.write(text)

    def _ended_within(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._has_ended(timeout)
        with self._collecting:
            if self.returncode is None and self._has_ended(0.0):
                self.returncode = int(self._end.recv(20))
                self._end.close()
            return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        told = select.poll()
        told.register(self._end, select.POLLIN)
        return bool(told.poll(None if timeout is None else 1000 * timeout))

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                stream.close()
        self.wait()


def ends(
    of: IO[Any] | int | None, number: int, mode: str, opened: list[int]
) -> tuple[IO[Any] | None, int]:
    """Our end of a stream, if it is a pipe, and its descriptor for the process.

    What is opened for the process is added to `opened`.
    """
    if of is None:
        return None, number
    if of == subprocess.PIPE:
        reader, writer = os.pipe()
        ours, theirs = (writer, reader) if number == 0 else (reader, writer)
        opened.append(theirs)
        return open(ours, mode), theirs
    if of == subprocess.DEVNULL:
        opened.append(os.open(os.devnull, os.O_RDWR))
        return None, opened[-1]
    return None, of if isinstance(of, int) else of.fileno()
