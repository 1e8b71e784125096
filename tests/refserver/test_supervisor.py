"""systemd is told where it asks to be told, and never in the way."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from tests.support.server import running

from refserver.server.systemd import tell


@pytest.mark.parametrize("named", ["a file", "a name"])
def test_a_state_is_sent_to_the_socket(tmp_path: Path, named: str) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address if named == "a file" else "\0" + address)

        tell("READY=1", {"NOTIFY_SOCKET": address if named == "a file" else "@" + address})

        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "relative", "vsock:2:3"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    tell("READY=1", {"NOTIFY_SOCKET": address} if address else {})


def test_a_service_says_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(600)
        with running(tmp_path, NOTIFY_SOCKET=address) as server:
            assert systemd.recv(100) == b"READY=1"
            server.process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert server.process.wait(600) == 0
