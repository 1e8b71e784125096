"""Fixtures for the tests of a client: the real server, and one that follows a script.

Rule: pytest loads this in every run of an environment that has refserver; what a run
does not use costs it nothing, so the kit is imported when a fixture asks for it.

Layer: beside the command line; nothing of the package knows it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conformance.peer.script import Script

__all__ = ["RunningServer", "ScriptedPeer", "pytest_configure", "refserver", "scripted_peer"]

PATIENCE = 30.0
"""Seconds that a server may take to start or to stop, far beyond what it needs."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "refserver(*options): options of `refserver serve` for the refserver fixture"
    )


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server with an empty room, on this machine."""

    host: str
    port: int
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as `socket.create_connection` takes them."""
        return self.host, self.port

    def stop(self) -> int:
        """Shut it down in good order, as SIGTERM does; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def refserver(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A running reference server; `@pytest.mark.refserver(...)` gives it options."""
    marker = request.node.get_closest_marker("refserver")
    options = [] if marker is None else [str(option) for option in marker.args]
    command = [sys.executable, "-m", "refserver", "serve", "--port", "0", *options]
    # Its log goes where the test's stderr goes, so that pytest shows it with a failure.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            if not first:
                pytest.fail(f"the server did not start: {' '.join(command)}", pytrace=False)
            yield RunningServer("127.0.0.1", int(first.rpartition(":")[2]), process)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


class ScriptedPeer:
    """A server that does what a script says; `server` is what the script gets."""

    def __init__(self, server: Script) -> None:
        self.server = server
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as `socket.create_connection` takes them."""
        return self.server.address

    @property
    def host(self) -> str:
        return self.address[0]

    @property
    def port(self) -> int:
        return self.address[1]

    def plays(self, script: Callable[[Script], object]) -> None:
        """Play the script beside the test, from now on."""
        self._thread = threading.Thread(target=self._play, args=(script,), daemon=True)
        self._thread.start()

    def _play(self, script: Callable[[Script], object]) -> None:
        try:
            script(self.server)
        except BaseException as failure:
            self._failure = failure  # the test's thread raises it

    def done(self) -> None:
        """Wait until the script is played to its end; raises what it raised."""
        if self._thread is not None:
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


@pytest.fixture
def scripted_peer() -> Iterator[ScriptedPeer]:
    """A server that does what the test says: right, wrong, in pieces, or nothing at all."""
    from .conformance.peer.run import LOOPBACK
    from .conformance.peer.script import Script
    from .conformance.talk import Setting

    setting = Setting(address=LOOPBACK, timeout=5.0, capabilities=frozenset())
    server = Script(setting)
    try:
        peer = ScriptedPeer(server)
        yield peer
        peer.done()
    finally:
        server.close()
