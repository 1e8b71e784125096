"""What is waited for, where a system waits for sockets only, as Windows does."""

from __future__ import annotations

import os
import time

import pytest

from refserver import readiness
from refserver.readiness import READ, ready, source


@pytest.fixture(autouse=True)
def only_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "WAITS_FOR_PIPES", False)


def test_a_pipe_is_read_to_its_end_by_a_socket_that_can_be_waited_for() -> None:
    out, into = os.pipe()
    piped = source(os.fdopen(out, "rb"))
    os.write(into, b"one")

    assert ready({piped.fd: READ}, 30.0) == {piped.fd}
    came = piped.read(100)
    os.write(into, b"two")
    os.close(into)
    while data := piped.read(100):
        came += data
    piped.close()

    assert came == b"onetwo"


def test_to_wait_for_nothing_is_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()

    assert ready({}, 0.01) == set()
    assert time.monotonic() - start >= 0.01
