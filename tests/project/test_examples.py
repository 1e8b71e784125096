"""The clients in docs/examples run against the real server, as a user would start them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support import unread
from tests.support.warm import ran

from eventcodec import (
    ClientConnection,
    ConnectionEnded,
    Event,
    Joined,
    Left,
    LeftReason,
    Login,
    Message,
    Reply,
    Welcome,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
CLIENTS = ["blocking_client.py", "asyncio_client.py", "selectors_client.py"]
CHATS = ["asyncio_client.py", "selectors_client.py"]


def command(example: str, *arguments: str) -> list[str]:
    # Not with -X dev: asyncio then complains of a machine that is busy.
    return [sys.executable, "-W", "error", str(EXAMPLES / example), *arguments]


def warm(example: str, *arguments: str) -> list[str]:
    """The same, where it need not be shown that an example imports all that it needs."""
    return [sys.executable, str(EXAMPLES / example), *arguments]


class Client:
    """A member of the room in the test's own hands."""

    def __init__(self, sock: socket.socket, user: str) -> None:
        self.conn = ClientConnection()
        self.sock = sock
        self.events: list[Event | Reply] = []
        self.say(Login(user=user))
        assert isinstance(self.next(), Reply)

    def say(self, request: Event) -> None:
        self.conn.send(request)
        self.sock.sendall(self.conn.data_to_send())

    def next(self) -> Event | Reply:
        while not self.events:
            self.conn.receive_data(self.sock.recv(65536))
            for event in self.conn.events():
                assert not isinstance(event, ConnectionEnded)
                self.events.append(event)
        return self.events.pop(0)


@contextmanager
def member(port: int, user: str) -> Iterator[Client]:
    with socket.create_connection(("localhost", port), timeout=600) as sock:
        yield Client(sock, user)


@pytest.mark.parametrize("example", CLIENTS)
def test_an_example_has_less_than_seventy_lines(example: str) -> None:
    assert len((EXAMPLES / example).read_text(encoding="utf-8").splitlines()) < 70


def test_every_example_is_run_here() -> None:
    elsewhere = {"resume.py"}  # tests/refserver/test_resume_example.py breaks its connections

    assert {path.name for path in EXAMPLES.glob("*.py")} == {*CLIENTS, *elsewhere}


@pytest.mark.parametrize("end", ["\n", ""], ids=["ended", "open"])
@pytest.mark.parametrize("example", CLIENTS)
@pytest.mark.unmeasured
def test_an_example_says_its_lines_and_leaves(example: str, end: str, port: int) -> None:
    with member(port, "bob") as bob:
        done = subprocess.run(
            command(example, "ann", "localhost", str(port)),
            input=f"hello\ngrüße{end}",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=600,
        )

        assert (done.returncode, done.stderr) == (0, "")
        seen = [bob.next() for _ in range(4)]
        assert [type(event) for event in seen] == [Joined, Message, Message, Left]
        assert [e.content for e in seen if isinstance(e, Message)] == ["hello", "grüße"]
        assert [e.sender for e in seen if isinstance(e, Message)] == ["ann", "ann"]
        assert [e.why for e in seen if isinstance(e, Left)] == [LeftReason.LEFT]


@pytest.mark.parametrize("example", CLIENTS)
def test_an_example_reads_a_file_or_refuses_it_in_one_line(
    example: str, port: int, tmp_path: Path
) -> None:
    (tmp_path / "lines").write_text("hello\n")
    with (tmp_path / "lines").open() as lines:
        done = ran(
            warm(example, "ann", "localhost", str(port)),
            stdin=lines,
            capture_output=True,
            text=True,
        )

    if example == "asyncio_client.py":
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "pipes" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def chatting(example: str, port: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(example, "ann", "localhost", str(port)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as chat:
        try:
            yield chat
        finally:
            chat.kill()


@pytest.mark.parametrize("example", CHATS)
def test_a_chat_prints_what_others_say(example: str, port: int) -> None:
    with chatting(example, port) as chat, member(port, "bob") as bob:
        assert chat.stdout is not None and chat.stdin is not None
        assert Welcome.__name__ in chat.stdout.readline()
        bob.say(Message(content="hi ann"))

        received = ""
        while "hi ann" not in received:
            received = chat.stdout.readline()
            assert received, "the chat ended before it printed what was said"

        chat.stdin.close()
        assert chat.wait(timeout=600) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory in /proc")
@pytest.mark.parametrize("example", [*CLIENTS, "resume.py"])
def test_an_example_holds_little_for_a_server_that_pings_and_does_not_read(example: str) -> None:
    """asyncio's kept a Pong for each of a million Pings, while it read on."""
    assert unread.growth(command(example, "ann", "127.0.0.1", "{port}")) <= unread.MOST


@pytest.mark.parametrize("example", [*CLIENTS, "resume.py"])
def test_an_example_without_a_user_says_how_it_is_used(example: str) -> None:
    done = ran(warm(example), input="", capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"usage: {EXAMPLES / example} USER [HOST PORT]"]


@pytest.mark.parametrize("example", CLIENTS)
def test_an_example_without_a_server_fails_in_one_line(example: str) -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        address = [str(part) for part in bound.getsockname()]

        done = ran(warm(example, "ann", *address), input="", capture_output=True, text=True)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert ConnectionRefusedError.__name__ in done.stderr
