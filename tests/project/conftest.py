"""A real server process on a free port, with its defaults; it pings nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.server import running


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with running(tmp_path, "--heartbeat", "0") as server:
        yield server.port
