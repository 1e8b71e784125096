"""The server of a recording is played to live clients: what follows from them is rewritten."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.raw import (
    ACK,
    ERROR,
    JOINED,
    LEFT,
    MESSAGE,
    PING,
    PONG,
    WELCOME,
    Client,
    Frame,
    error,
    frame,
    login,
    message,
    ping,
    short,
)
from tests.support.server import launched
from tests.watch.kit import forwarding
from tests.watch.test_commands import recording
from tests.watch.test_replay import converse

from refserver.cli import main
from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from refserver.watch.judge import judged
from refserver.watch.replay_server import ServerReplay

CLIENT, SERVER = Side.CLIENT, Side.SERVER
PATIENCE = 600.0
TICKET = 7


def place(number: int) -> bytes:
    return number.to_bytes(8, "big")


def welcome(seq: int, user: str, position: int, ticket: int = TICKET) -> bytes:
    return frame(
        WELCOME, seq, short(user) + place(ticket) + place(position) + b"\0\1\0\0\0\0" + short("s")
    )


def said(seq: int, sender: str, content: str) -> bytes:
    return frame(MESSAGE, seq, short(sender) + content.encode())


@contextmanager
def played(
    items: list[Item], *, timeout: float = PATIENCE, pipelined: bool = False
) -> Iterator[tuple[int, ServerReplay, list[Item]]]:
    """The port of a server that plays this, what came of it, and what passed."""
    passed: list[Item] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        replay = ServerReplay(listener, timeout=timeout, pipelined=pipelined, tell=passed.append)
        thread = threading.Thread(target=replay.run, args=(items,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], replay, passed
        thread.join(PATIENCE)
        assert not thread.is_alive()


def told(replay: ServerReplay) -> list[str]:
    return [str(each) for each in replay.departures]


@pytest.mark.parametrize("pipelined", [False, True])
def test_the_same_clients_depart_nowhere(pipelined: bool) -> None:
    items: list[Item] = []
    with launched("--quiet") as server, forwarding(server.port, items) as port:
        converse(port)

    with played(items, pipelined=pipelined) as (port, replay, passed):
        converse(port)

    assert told(replay) == []
    assert replay.played == 3
    judge = judged(passed, one_room=True)
    assert judge.notes.findings == []
    assert judge.frames == judged(items, one_room=True).frames


def test_numbers_names_tickets_and_positions_follow_the_live_client() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, login("ann", seq=5, ticket=9, position=100)),
        Bytes(0.2, 1, SERVER, welcome(5, "ann", 100, ticket=9)),
        Bytes(0.3, 1, SERVER, said(101, "ann", "mine") + frame(JOINED, 102, short("ann"))),
        Bytes(0.3, 1, SERVER, frame(0x80, 103, short("bob") + b"data")),
        Bytes(0.4, 1, CLIENT, message("hi", 6)),
        Bytes(0.5, 1, SERVER, frame(ACK, 6, place(104)) + frame(LEFT, 105, short("bob") + b"\1")),
        Bytes(0.6, 1, CLIENT, frame(0x0B, 7)),
        Bytes(0.7, 1, SERVER, error(7, 4) + frame(PING, 3)),
    ]
    with played(items) as (port, replay, _), Client(port) as zoe:
        zoe.send(login("zoë", seq=1, ticket=55, position=20))
        came = [zoe.frame() for _ in range(4)]
        zoe.send(message("something else", 2))
        came += [zoe.frame(), zoe.frame()]
        zoe.send(frame(0x0B, 3))
        came += [zoe.frame(), zoe.frame()]
        zoe.send(frame(PONG, 3))

    assert told(replay) == []
    assert came == [
        whole(welcome(1, "zoë", 20, ticket=55)),
        whole(said(21, "zoë", "mine")),
        whole(frame(JOINED, 22, short("zoë"))),
        whole(frame(0x80, 23, short("bob") + b"data")),
        whole(frame(ACK, 2, place(24))),
        whole(frame(LEFT, 25, short("bob") + b"\1")),
        whole(error(3, 4)),
        whole(frame(PING, 3)),
    ]


def whole(data: bytes) -> Frame:
    return Frame(data[5], int.from_bytes(data[8:16], "big"), data[16:])


def test_what_was_wrong_goes_out_wrong_and_in_the_same_pieces() -> None:
    wrong = frame(PONG, 9) + b"\0\0\0\x02?"
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1)),
        *(Bytes(0.2, 1, SERVER, wrong[n : n + 1]) for n in range(len(wrong))),
        Ended(0.3, 1, SERVER),
    ]
    with (
        played(items) as (port, replay, _),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
    ):
        sock.sendall(ping(1))
        came = b""
        while data := sock.recv(100):
            came += data

    assert came == wrong
    assert told(replay) == []


def test_a_reset_is_played() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1)),
        Ended(0.2, 1, SERVER, How.RESET),
    ]
    with (
        played(items) as (port, _, _),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
    ):
        sock.sendall(ping(1))
        with pytest.raises(ConnectionResetError):
            sock.recv(100)


def test_another_request_and_one_more_are_departures() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1)),
        Bytes(0.2, 1, SERVER, frame(PONG, 1)),
        Ended(0.3, 1, CLIENT),
    ]
    with played(items) as (port, other, _), Client(port) as client:
        client.send(login("ann"))
    with played(items) as (port, more, _), Client(port) as client:
        client.send(ping(8), ping(9))
        client.end()
        assert client.rest() == [Frame(PONG, 8)]

    assert told(other) == ["connection 1: Login seq 1 came where Ping seq 1 was recorded"]
    assert told(more) == ["connection 1: Ping seq 9 came, and was not recorded"]


def test_behind_a_departure_nothing_more_goes_out() -> None:
    """Also not of the same write."""
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1) + ping(2)),
        Bytes(0.2, 1, SERVER, frame(PONG, 1) + frame(PONG, 2) + frame(PING, 9)),
    ]
    with played(items, pipelined=True) as (port, replay, _), Client(port) as client:
        client.send(ping(1), login("ann"))
        assert client.rest() == [Frame(PONG, 1)]

    assert told(replay) == ["connection 1: Login seq 1 came where Ping seq 2 was recorded"]


def test_what_does_not_come_is_told_after_a_time() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1)),
        Bytes(0.2, 1, SERVER, frame(PONG, 1)),
        Opened(0.3, 2),
    ]
    with played(items, timeout=0.1) as (port, replay, _), Client(port):
        pass

    assert told(replay) == [
        "connection 1: no Ping came where Ping seq 1 was recorded",
        "connection 2: no client came for it",
    ]


def test_a_client_that_does_not_end_is_told() -> None:
    items: list[Item] = [Opened(0.0, 1), Ended(0.1, 1, CLIENT), Ended(0.2, 1, SERVER)]
    with played(items, timeout=0.1) as (port, replay, _), Client(port) as client:
        assert client.rest() == []

    assert told(replay) == ["connection 1: the client does not end its stream, as was recorded"]


def test_what_cannot_be_played_is_told() -> None:
    items: list[Item] = [
        Opened(0.0, 1, whole=False),
        Opened(0.0, 2),
        Bytes(0.1, 2, CLIENT, ping(1)),
        Missing(0.2, 2, SERVER, 16),
    ]
    with played(items) as (port, replay, _), Client(port) as client:
        client.send(ping(1))

    assert told(replay) == [
        "connection 1: its beginning was not recorded: it is not played",
        "connection 2: bytes of the server's are missing: it ends here",
    ]


def test_a_reply_that_nobody_asked_for_goes_out_as_it_was() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, SERVER, frame(ERROR, 4, b"\0\5" + short(""))),
    ]
    with played(items) as (port, replay, _), Client(port) as client:
        assert client.frame() == Frame(ERROR, 4, b"\0\5\0")

    assert told(replay) == []


# ----------------------------------------------------------------- the command


@pytest.mark.measured_processes
def test_the_command_says_where_it_listens_and_judges_the_client(tmp_path: Path) -> None:
    path = recording(
        tmp_path / "talk.jsonl",
        [
            Opened(0.0, 1),
            Bytes(0.1, 1, CLIENT, login("ann")),
            Bytes(0.2, 1, SERVER, welcome(1, "ann", 3)),
            Bytes(0.3, 1, CLIENT, message("hi", 2)),
            Bytes(0.4, 1, SERVER, frame(ACK, 2, place(4))),
        ],
    )
    command = [sys.executable, "-m", "refserver", "replay", str(path), "--listen", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        with Client(port) as client:
            client.send(login("ann"), frame(MESSAGE, 2, short("ann") + b"hi"))
            client.until(ACK)
        said = process.stdout.read()

    assert process.returncode == 1
    assert "EP-3.3-2  the client of connection 1" in said
    assert said.endswith("1 connection played, no departures\n")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "--to or --listen, one of them"),
        (["--to", "localhost:1", "--listen", "0"], "--to or --listen, one of them"),
        (["--listen", "0", "--tls"], "are for --to"),
        (["--listen", "localhost:99999"], "a port is 1 to 65535"),
        (["--listen", "192.0.2.1:0"], "192.0.2.1:0: "),
    ],
)
def test_what_cannot_be_played_at_all_is_explained(
    tmp_path: Path, words: list[str], reason: str
) -> None:
    path = recording(tmp_path / "talk.jsonl", [])
    done = CliRunner().invoke(main, ["replay", str(path), *words])

    assert done.exit_code == 2
    assert reason in done.output
