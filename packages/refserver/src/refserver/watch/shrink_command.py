"""`refserver shrink`: make a recording short, while a server still does what is wrong.

Rule: a try counts if the same finding came again, each time from a server that was just started.
The best so far stands in the file.

Layer: above `shrinking` and `replay`, below `commands`.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import click

from ..arguments import Number, Whole
from ..exit_codes import Exit
from ..wording import counted
from .conversation import Item
from .findings import Finding, Notes
from .judge import Judge
from .options import EXIT_CODES
from .recording import Recorder, created, new_mask
from .replay import Replay
from .replay_command import credential_option, credentials_in
from .reports import complaints, print_finding
from .shrinking import Script, scripted, shrunk, summary
from .sources import items_of

__all__ = ["shrink_command"]

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
STARTING = 20.0
"""Seconds in which a server must accept connections."""
ENDING = 5.0


class TimeUp(Exception):
    """The limit is reached."""


def a_finding(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """STATEMENT or STATEMENT:SIDE."""
    if value is not None and value.partition(":")[2] not in ("", "client", "server"):
        raise click.BadParameter("it is written EP-5.2-1 or EP-5.2-1:server")
    return value


@click.command("shrink", epilog=EXIT_CODES)
@click.argument("file", type=EXISTING)
@click.option(
    "--while",
    "command",
    required=True,
    metavar="COMMAND",
    help="Command that starts a server on 127.0.0.1:{port}.",
)
@click.option(
    "--finding",
    callback=a_finding,
    help="Finding to keep, as STATEMENT or STATEMENT:SIDE; without it, the first one.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Recording to write.",
)
@click.option("--runs", type=Whole(1, 1000), default=1, show_default=True, help="Runs of each try.")
@click.option(
    "--hits", type=Whole(1, 1000), help="Runs that must show the finding; without it, all."
)
@click.option(
    "--limit", type=Number(1), default=120.0, show_default=True, help="Maximum time to shorten."
)
@click.option("--port", type=Whole(1, 65_535), help="The server's port in a capture.")
@click.option(
    "--timeout", type=Number(0.05), default=5.0, show_default=True, help="Time to wait for a reply."
)
@credential_option
def shrink_command(
    file: Path,
    command: str,
    finding: str | None,
    output: Path | None,
    runs: int,
    hits: int | None,
    limit: float,
    port: int | None,
    timeout: float,
    credential_env: str | None,
) -> None:
    """Make a recording as short as possible, so that it still shows a finding.

    Each try plays some frames of the clients of FILE to a new server, which COMMAND starts. A try
    succeeds if the same side breaks the same statement. The shortest recording is written to
    --output, with credentials and tickets masked. The default is the name of FILE with .short
    before its ending.

    \b
    Example:
      refserver shrink talk.jsonl --while './my-server --port {port}'
    """
    if "{port}" not in command:
        raise click.UsageError("--while: the command needs {port}, the port to listen on")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise click.UsageError(f"--while: {error}") from None
    tries = Tries(words, runs, hits or runs, timeout, credentials_in(credential_env))
    path = output or file.with_name(f"{file.stem}.short{file.suffix}")
    with complaints():
        script = scripted(items_of(file, port=port))
        first = tries.run(script)
        wanted = _wanted(first, finding)
        if wanted is None:
            click.echo("the server does not do it: " + (finding or "there is no finding"))
            sys.exit(Exit.NO_CASE_RAN)
        tries.wanted = wanted
        click.echo(f"{wanted[0]}, broken by the {wanted[1]}: {summary(script)}")
        tries.path = path
        ended = "nothing more of it can be left out"
        if not tries.holds(script):
            click.echo(f"it came once, and not {tries.hits} times in {runs}: see --runs and --hits")
            sys.exit(Exit.NO_CASE_RAN)
        tries.deadline = time.monotonic() + limit
        try:
            shrunk(script, tries.holds)
        except TimeUp:
            ended = f"after {limit:g} s, more of it may be left out"
    print_finding(tries.last)
    click.echo(f"{path}: {summary(tries.best)}; {ended} ({counted(tries.count, 'try', 'tries')})")


def _wanted(findings: list[Finding], asked: str | None) -> tuple[str, str] | None:
    """The statement and the side of the finding to keep."""
    for each in findings:
        if asked in (None, each.statement, f"{each.statement}:{each.side}"):
            return each.statement, str(each.side)
    return None


class Tries:
    """Runs scripts against servers of their own, and writes the best."""

    def __init__(
        self,
        command: list[str],
        runs: int,
        hits: int,
        timeout: float,
        credentials: Mapping[str, bytes],
    ) -> None:
        self.hits = min(hits, runs)
        self.deadline = inf
        self.wanted: tuple[str, str] = ("", "")
        self.path = Path()
        self.count = 0
        self.best: Script
        self.last: Finding
        self._command = command
        self._runs = runs
        self._timeout = timeout
        self._credentials = credentials
        self._told: list[Item] = []

    def holds(self, script: Script) -> bool:
        """Whether the finding comes again often enough. Raises TimeUp."""
        self.count += 1
        found = 0
        for left in range(self._runs, 0, -1):
            if time.monotonic() > self.deadline:
                raise TimeUp
            if found + left < self.hits:
                return False
            same = [each for each in self.run(script) if (each.statement, each.side) == self.wanted]
            if same:
                found += 1
                if found == self.hits:
                    self.best, self.last = script, same[0]
                    self._write()
                    return True
        return False

    def run(self, script: Script) -> list[Finding]:
        """What is found in one run."""
        self._told = []
        judge = Judge(Notes(), one_room=True)

        def tell(item: Item) -> None:
            self._told.append(item)
            judge.take(item)

        with started(self._command) as port:
            replay = Replay(
                lambda: socket.create_connection(("127.0.0.1", port), self._timeout),
                credentials=self._credentials,
                timeout=self._timeout,
                tell=tell,
            )
            with suppress(ConnectionError):  # the server has ended, maybe because of what came
                replay.play(script.items(), min(0.1, self._timeout))
        judge.close()
        return judge.notes.findings

    def _write(self) -> None:
        """What passed in the last run, as a recording."""
        mask = new_mask()
        with created(self.path) as file:
            recorder = Recorder(file, datetime.now(UTC), masked=True)
            for item in self._told:
                for each in mask(item):
                    recorder.take(each)


@contextmanager
def started(command: Iterable[str]) -> Iterator[int]:
    """A server of this command: its port, when it accepts connections. Raises UsageError."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    words = [word.replace("{port}", str(port)) for word in command]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise click.UsageError(f"--while: {words[0]}: {error.strerror}") from None
        try:
            _await(process, port)
            yield port
        except TimeoutError as error:
            said.seek(0)
            text = said.read(2000).decode(errors="backslashreplace").strip()
            raise click.UsageError(f"--while: {error}{': ' if text else ''}{text}") from None
        finally:
            _end(process)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        with suppress(subprocess.TimeoutExpired):
            raise TimeoutError(f"the server ended with {process.wait(0.02)}")
    raise TimeoutError(f"no server accepts connections on port {port}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING)
            if number is signal.SIGTERM:
                continue  # what it has started may still be there
            return
