"""Recordings are played again: what only a live server knows is rewritten; departures are told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from unittest.mock import ANY

import pytest
import trustme
from click.testing import CliRunner, Result
from tests.support.raw import (
    ACK,
    APPLICATION,
    ERROR,
    JOINED,
    LEFT,
    MESSAGE,
    PONG,
    WELCOME,
    Client,
    error,
    frame,
    frames_of,
    login,
    logout,
    message,
    ping,
    short,
)
from tests.support.server import launched
from tests.watch.kit import forwarding
from tests.watch.test_commands import recording

from refserver.cli import main
from refserver.client import connect
from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from refserver.watch.replay import Replay

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

    told = "departure: connection 1: no reply came where Error seq 1 UNEXPECTED_EVENT was recorded"
    assert done.output.endswith(f"\n{told}\n1 connection played, 1 departure\n")


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


@pytest.mark.parametrize("value", ["", "ann", "ann:", ":sesame", "ann:sesame bob"])
def test_credentials_that_are_none_are_refused_before_anything_is_sent(
    talk: Path, value: str
) -> None:
    done = CliRunner().invoke(
        main,
        ["replay", str(talk), "--to", "localhost:1", "--credential-env", "KEYS"],
        env={"KEYS": value},
    )

    assert done.exit_code == 2
    assert "the environment variable KEYS has no name:credential" in done.output


# ----------------------------------------------------------------- what a server of ours is told


def place(number: int) -> bytes:
    return number.to_bytes(8)


def welcome(user: str, position: int = 2, ticket: int = 9) -> bytes:
    return frame(
        WELCOME, 1, short(user) + place(ticket) + place(position) + b"\0\1\0\0\0\0" + short("s")
    )


class Scripted:
    """A server that answers each connection as it is told; what came is kept."""

    def __init__(self, *answers: dict[int, bytes], authority: trustme.CA | None = None) -> None:
        self.came: list[list[bytes]] = []
        self._authority = authority
        self._secured = threading.Semaphore(0)
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self._listener.getsockname(), 30.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn, _ = self._listener.accept()
        came: list[bytes] = []
        self.came.append(came)
        answers = self._answers[len(self.came) - 1]
        thread = threading.Thread(target=self._serve, args=(conn, came, answers), daemon=True)
        thread.start()
        self._threads.append(thread)
        if self._authority is None:
            return sock
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        secure = context.wrap_socket(sock, server_hostname="localhost")
        assert self._secured.acquire(timeout=30.0)
        return secure

    def _serve(self, conn: socket.socket, came: list[bytes], answers: dict[int, bytes]) -> None:
        """Answer the frame of a number with these bytes; behind the last, end the connection."""
        if self._authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert("localhost").configure_cert(context)
            conn = context.wrap_socket(conn, server_side=True)
            self._secured.release()
        buffer = bytearray()
        number = 0
        with conn, suppress(OSError):
            conn.sendall(answers.get(0, b""))
            while max(answers, default=0) > number and (data := conn.recv(65_536)):
                buffer += data
                for whole in frames_of(buffer):
                    number += 1
                    came.append(whole)
                    conn.sendall(answers.get(number, b""))

    def stop(self) -> None:
        for thread in self._threads:
            thread.join(600)
        self._listener.close()


def replayed(
    items: list[Item],
    *answers: dict[int, bytes],
    authority: trustme.CA | None = None,
    credentials: dict[str, bytes] | None = None,
    pipelined: bool = False,
    recorded_pongs: bool = False,
    timeout: float = 30.0,
) -> tuple[list[str], list[list[bytes]]]:
    """The departures, and what the server of each connection got."""
    server = Scripted(*answers, authority=authority)
    replay = Replay(
        server.connect,
        credentials=credentials or {},
        timeout=timeout,
        pipelined=pipelined,
        recorded_pongs=recorded_pongs,
    )
    replay.run(items)
    server.stop()
    return [str(each) for each in replay.departures], server.came


def test_a_ping_is_answered_live_or_as_it_was_recorded() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, SERVER, ping(7)),
        Bytes(0.2, 1, CLIENT, frame(PONG, 7)),
        Bytes(0.3, 1, CLIENT, ping(1)),
        Bytes(0.4, 1, SERVER, frame(PONG, 1)),
    ]

    live = replayed(items, {0: ping(99), 1: b"", 2: frame(PONG, 1)})
    recorded = replayed(items, {0: ping(99), 1: b"", 2: frame(PONG, 1)}, recorded_pongs=True)

    assert live == ([], [[frame(PONG, 99), ping(1)]]) or live == ([], [[ping(1), frame(PONG, 99)]])
    assert recorded == ([], [[frame(PONG, 7), ping(1)]])


def test_credentials_are_those_that_were_given() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, login("ann", credential=b"******")),
        Bytes(0.2, 1, SERVER, welcome("ann")),
    ]

    known = replayed(items, {1: welcome("ann")}, credentials={"ann": b"sesame"})
    unknown = replayed(items, {1: welcome("ann")}, credentials={"bob": b"other"})

    assert known == ([], [[login("ann", credential=b"sesame")]])
    assert unknown == (
        ["connection 1: no credential of 'ann' was given"],
        [[login("ann", credential=b"******")]],
    )


def test_a_resume_follows_the_entry_and_not_the_number() -> None:
    facts = [frame(JOINED, 3, short("bob")), frame(LEFT, 4, short("bob") + b"\0")]
    app = frame(0x80, 5, short("bob") + b"data")
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, login("ann")),
        Bytes(0.2, 1, SERVER, welcome("ann") + b"".join(facts) + app),
        Ended(0.3, 1, CLIENT, How.RESET),
        Opened(0.4, 2),
        Bytes(0.5, 2, CLIENT, login("ann", ticket=9, position=4)),
        Bytes(0.6, 2, SERVER, welcome("ann", 4)),
    ]
    said = b"".join(
        [
            frame(JOINED, 13, short("bob")),
            frame(LEFT, 14, short("bob") + b"\0"),
            frame(0x80, 15, short("bob") + b"data"),
        ]
    )

    told, came = replayed(
        items, {1: welcome("ann", 12, 55) + said, 99: b""}, {1: welcome("ann", 14, 55)}
    )

    assert told == []
    assert came[1] == [login("ann", ticket=55, position=14)]


def test_a_position_that_nothing_corresponds_to_is_told() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, login("ann")),
        Bytes(0.2, 1, SERVER, welcome("ann")),
        Ended(0.3, 1, CLIENT, How.RESET),
        Opened(0.4, 2),
        Bytes(0.5, 2, CLIENT, login("ann", ticket=9, position=7)),
        Bytes(0.6, 2, SERVER, welcome("ann", 7)),
    ]

    told, came = replayed(items, {1: welcome("ann"), 99: b""}, {1: welcome("ann", 7)})

    assert told == ["connection 2: no live entry answers to position 7"]
    assert came[1] == [login("ann", ticket=9, position=7)]


def test_frames_go_out_in_the_recorded_pieces_and_wrong_ones_wrong() -> None:
    wrong = frame(MESSAGE, 2, b"\0hi")[:-2] + b"\xff\xff"
    passed: list[Item] = []
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1) + wrong[:5]),
        Bytes(0.2, 1, CLIENT, wrong[5:9]),
        Bytes(0.3, 1, CLIENT, wrong[9:] + b"\0\0\0\2?"),
        Bytes(0.4, 1, CLIENT, b"more"),
    ]
    server = Scripted({2: b""})
    replay = Replay(server.connect, credentials={}, tell=passed.append)
    replay.run(items)
    server.stop()

    written = [each.data for each in passed if isinstance(each, Bytes)]
    assert written == [
        ping(1),
        *(wrong[:5], wrong[5:9], wrong[9:] + b"\0\0\0\2?"),
        b"more",
    ]
    assert server.came[0][:2] == [ping(1), wrong]


def test_missing_bytes_end_a_client_and_leave_a_server_unjudged() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1)),
        Missing(0.2, 1, SERVER, 16),
        Bytes(0.3, 1, CLIENT, ping(2)),
        Missing(0.4, 1, CLIENT, 16),
        Bytes(0.5, 1, CLIENT, ping(3)),
    ]

    told, came = replayed(items, {1: frame(PONG, 1), 2: frame(PONG, 2)})

    assert told == ["connection 1: bytes of the client's are missing: it ends here"]
    assert came == [[ping(1), ping(2)]]


ASKED: list[Item] = [Opened(0.0, 1), Bytes(0.1, 1, CLIENT, ping(1))]
DEPARTURES: dict[str, tuple[list[Item], dict[int, bytes], str]] = {
    "one reply more": (
        [*ASKED, Ended(0.3, 1, SERVER)],
        {1: frame(PONG, 1)},
        "Pong seq 1 came, and was not recorded",
    ),
    "another reply": (
        [*ASKED, Bytes(0.2, 1, SERVER, frame(PONG, 1))],
        {1: frame(ACK, 1, place(0))},
        "Ack seq 1 (position 0) came where Pong seq 1 was recorded",
    ),
    "another error": (
        [*ASKED, Bytes(0.2, 1, SERVER, error(1, 5))],
        {1: error(1, 4)},
        "Error seq 1 UNKNOWN_TYPE came where Error seq 1 UNEXPECTED_EVENT was recorded",
    ),
    "a position that is 0": (
        [*ASKED, Bytes(0.2, 1, SERVER, frame(ACK, 1, place(5)))],
        {1: frame(ACK, 1, place(0))},
        "Ack seq 1 (position 0) came where Ack seq 1 (position 5) was recorded",
    ),
    "no last error": (
        [*ASKED, Bytes(0.2, 1, SERVER, error(0, 24)), Ended(0.3, 1, SERVER)],
        {1: b""},
        "no Error with code 24 ended it",
    ),
    "another last error": (
        [*ASKED, Bytes(0.2, 1, SERVER, error(0, 24)), Ended(0.3, 1, SERVER)],
        {1: error(0, 30)},
        "an Error with code 30 ended it",
    ),
    "a fact more": (
        [*ASKED, Bytes(0.2, 1, SERVER, frame(PONG, 1)), Ended(0.3, 1, SERVER)],
        {1: frame(JOINED, 4, short("zoe")) + frame(PONG, 1)},
        "1 new fact came",
    ),
    "a fact less": (
        [
            *ASKED,
            Bytes(0.2, 1, SERVER, frame(JOINED, 4, short("zoe")) + frame(PONG, 1)),
            Ended(0.3, 1, SERVER),
        ],
        {1: frame(PONG, 1)},
        "1 recorded fact did not come",
    ),
}


@pytest.mark.parametrize("name", DEPARTURES)
def test_each_difference_is_told(name: str) -> None:
    items, answers, what = DEPARTURES[name]

    assert replayed(items, answers)[0] == [f"connection 1: {what}"]


def test_behind_what_cannot_be_read_nothing_is_compared() -> None:
    asked = [*ASKED, Bytes(0.2, 1, SERVER, frame(PONG, 1) + frame(JOINED, 4, short("zoe")))]

    assert replayed(asked, {1: frame(JOINED, 4, b"\xff")})[0] == []


def test_a_server_may_be_heard_until_it_is_quiet_and_nothing_is_compared() -> None:
    """As the smallest conversation with a finding is looked for: there may be less in it."""
    passed: list[Item] = []
    server = Scripted({1: frame(PONG, 9) + frame(JOINED, 3, short("zoe"))})
    items = [
        *ASKED,
        Bytes(0.2, 1, SERVER, frame(JOINED, 3, short("bob")) + frame(PONG, 1)),
        Ended(0.3, 1, CLIENT),
    ]
    replay = Replay(server.connect, credentials={}, tell=passed.append)
    replay.play(items, 0.01)
    server.stop()

    assert replay.departures == []
    assert Bytes(ANY, 1, SERVER, frame(PONG, 9) + frame(JOINED, 3, short("zoe"))) in passed


def test_a_server_that_does_not_end_is_told_after_a_time() -> None:
    items: list[Item] = [Opened(0.0, 1), Ended(0.1, 1, SERVER)]

    told, _ = replayed(items, {1: b""}, timeout=0.05)

    assert told == ["connection 1: the server does not end the connection, as was recorded"]


def test_a_server_that_is_gone_ends_what_is_said_to_it() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, ping(1)),
        *(Bytes(0.2, 1, CLIENT, frame(MESSAGE, n, bytes(60_000))) for n in range(2, 40)),
    ]

    told, came = replayed(items, {1: frame(PONG, 1)}, pipelined=True)

    # Its reset can overtake its Pong.
    assert told in ([], ["connection 1: Pong seq 1 came, and was not recorded"])
    assert came[0][0] == ping(1)


def test_over_tls_a_record_without_data_is_no_end_and_nothing_is_lost_behind_the_own_end() -> None:
    """The first record from a server has a ticket of TLS: there is something to read, and nothing.

    It comes while the other connection is awaited.
    """
    more = frame(MESSAGE, 3, short("bob") + bytes(60_000)) + error(0, 24)
    items: list[Item] = [
        Opened(0.0, 1),
        Opened(0.0, 2),
        Bytes(0.1, 2, CLIENT, ping(1)),
        Bytes(0.2, 2, SERVER, frame(PONG, 1)),
        Bytes(0.3, 1, CLIENT, ping(1)),
        Bytes(0.4, 1, SERVER, frame(PONG, 1)),
        Ended(0.5, 1, CLIENT),
        Bytes(0.6, 1, SERVER, more),
        Ended(0.7, 1, SERVER),
    ]

    told, came = replayed(
        items, {1: frame(PONG, 1) + more}, {1: frame(PONG, 1)}, authority=trustme.CA()
    )

    assert told == []
    assert came == [[ping(1)], [ping(1)]]


def test_more_than_the_network_holds_arrives_whole() -> None:
    long = frame(MESSAGE, 1, bytes(12_000_000))
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, long),
        Bytes(0.2, 1, SERVER, error(1, 10)),
    ]

    told, came = replayed(items, {1: error(1, 10)})

    assert told == []
    assert came == [[long]]
