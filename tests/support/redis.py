"""A real Redis for tests: its own process, port and folder.

Rule: nothing outlives the test, and a machine without `redis-server` skips and says so.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.ports import unused_port

__all__ = ["RedisServer", "redis_server"]

COMMAND = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(COMMAND is None, reason="needs redis-server")


class RedisServer:
    """One server that can be killed, stopped and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = unused_port()
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def launch(self, *options: str) -> None:
        """Start it with these options too. It may still have to load its data."""
        assert COMMAND is not None
        standard = ("--port", str(self.port), "--dir", str(self.folder), "--save", "")
        words: Sequence[str] = (COMMAND, *standard, "--bind", "127.0.0.1", *self._options, *options)
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def start(self) -> None:
        """Returns when it answers."""
        self.launch()
        while True:  # the test's time limit ends what never answers
            if self.process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "redis.log").read_text(errors="replace"))

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def kill(self) -> None:
        """As a crash: nothing is written any more."""
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run one for the time of a test."""
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
