"""A real server process on a free port, as the README starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REFSERVER = Path(sys.executable).with_name("refserver")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    log = tmp_path / "server.log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [REFSERVER, "--port", "0"], stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as server,
    ):
        assert server.stdout is not None
        try:
            first = server.stdout.readline()
            listening = re.fullmatch(r"listening on localhost:(\d+)\n", first)
            assert listening, f"{first!r}, stderr: {log.read_text()}"

            yield int(listening[1])

            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0
        finally:
            server.kill()
