"""Recordings are played again: what only a live server knows is rewritten; departures are told."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.raw import (
    ACK,
    APPLICATION,
    ERROR,
    PONG,
    Client,
    frame,
    login,
    logout,
    message,
    ping,
)
from tests.watch.kit import forwarding
from tests.watch.test_commands import recording

from refserver.cli import main
from refserver.client import connect
from refserver.launcher import launched
from refserver.watch.conversation import Bytes, Ended, Item, Opened, Side

CLIENT, SERVER = Side.CLIENT, Side.SERVER


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, words)])


def converse(port: int) -> None:
    """Two members; ann is lost, and resumes behind her first words."""
    with Client(port) as bob, Client(port) as ann:
        bob.join("bob")
        welcome = ann.join()
        ann.send(message("one", 2), ping(3))
        ann.until(PONG)
        bob.send(frame(APPLICATION, 2, b"\0two"))
        bob.until(ACK)
        ann.sock.close()
        with Client(port) as again:
            again.send(login(welcome.user, ticket=welcome.ticket, position=welcome.position + 1))
            again.send(ping(2), frame(11, 3, b"?"))
            again.until(ERROR)
            again.send(logout(4))
            again.until(ACK)
            again.end()
            assert again.rest() == []
        bob.send(ping(3))
        bob.until(PONG)  # behind the Left, the Joined and the Left of ann
        bob.end()
        assert bob.rest() == []


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That, with the reference server."""
    told: list[Item] = []
    with launched("--quiet") as server, forwarding(server.port, told) as port:
        converse(port)
    return recording(tmp_path_factory.mktemp("replay") / "talk.jsonl", told)


def test_the_same_server_departs_nowhere_although_its_tickets_and_positions_differ(
    talk: Path,
) -> None:
    with launched("--quiet") as server:

        async def earlier() -> None:
            async with connect("127.0.0.1", server.port, user="zed") as room:
                for n in range(5):
                    await room.say(f"{n}")

        asyncio.run(earlier())
        done = run(talk, "--to", f"127.0.0.1:{server.port}")

    assert done.output == "3 connections played, no departures\n"
    assert done.exit_code == 0


def test_another_server_departs_and_its_fault_is_found(talk: Path) -> None:
    with launched("--quiet", "--mutant", "ack-without-position") as server:
        done = run(talk, "--to", f"127.0.0.1:{server.port}", "--timeout", "1")

    assert done.exit_code == 1
    assert "EP-3.5-2  the server of connection" in done.output
    assert "departure: connection" in done.output


def test_another_max_frame_is_told(talk: Path) -> None:
    with launched("--quiet", "--max-frame", "5000") as server:
        done = run(talk, "--to", f"127.0.0.1:{server.port}")

    assert "max_frame 5000 instead of 65536" in done.output
    assert done.exit_code == 1


def test_a_reply_that_does_not_come_is_told(talk: Path) -> None:
    with launched("--quiet", "--mutant", "unexpected-passed-over") as server:
        path = recording(
            talk.parent / "wrong.jsonl",
            [
                Opened(0.0, 1),
                Bytes(0.1, 1, CLIENT, frame(4, 1, bytes(8))),
                Bytes(0.2, 1, SERVER, frame(5, 1, b"\0\5\0")),
                Ended(0.3, 1, CLIENT),
            ],
        )
        done = run(path, "--to", f"127.0.0.1:{server.port}", "--timeout", "0.3")

    assert "no reply came where Error seq 1 UNEXPECTED_EVENT was recorded" in done.output


def test_what_has_no_beginning_or_no_ticket_is_told(tmp_path: Path) -> None:
    items: list[Item] = [
        Opened(0.0, 1, whole=False),
        Opened(0.0, 2),
        Bytes(0.1, 2, CLIENT, login("ann", ticket=2**60, position=7)),
    ]
    with launched("--quiet") as server:
        done = run(recording(tmp_path / "t", items), "--to", f"127.0.0.1:{server.port}")

    assert "connection 1: its beginning was not recorded" in done.output
    assert "connection 2: its ticket is from before the recording" in done.output


def test_a_server_that_is_not_there_is_told(talk: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run(talk, "--to", f"127.0.0.1:{free.getsockname()[1]}")

    assert done.exit_code == 4
