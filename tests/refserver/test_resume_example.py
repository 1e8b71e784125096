"""docs/examples/resume.py says each line exactly once, wherever its connections are cut."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.refserver.process import Running
from tests.refserver.running import PATIENCE, Client, member, running

from eventcodec import (
    Ack,
    ConnectionEnded,
    Error,
    ErrorCode,
    Event,
    Left,
    LeftReason,
    Message,
    Pong,
    RemoteProtocolError,
    ServerConnection,
    Welcome,
)

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "resume.py"
LINES = ["one", "two", "two", "three", "", "grüße", *(str(n) for n in range(30))]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("resume_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cutter:
    """A proxy that cuts each connection when so many bytes have passed one way.

    `cuts` holds for each connection to come how many; after them nothing is cut. With
    `silent` the server is not told: it still has the old connection when the new one comes.
    """

    def __init__(self, server_port: int, cuts: list[int], *, upstream: bool, silent: bool) -> None:
        self._server_port = server_port
        self._cuts = deque(cuts)
        self._upstream = upstream
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = [self._listener]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut everything, for good."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        for sock in self._open:
            sock.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port), timeout=PATIENCE)
            self._open += [client, server]
            cut = self._cuts.popleft() if self._cuts else None
            up, down = (cut, None) if self._upstream else (None, cut)
            for source, to, left in ((client, server, up), (server, client, down)):
                passing = threading.Thread(
                    target=self._pass, args=(source, to, client, left), daemon=True
                )
                passing.start()

    def _pass(
        self, source: socket.socket, to: socket.socket, client: socket.socket, left: int | None
    ) -> None:
        try:
            while left is None or left > 0:
                data = source.recv(65_536 if left is None else left)
                if not data:
                    break
                to.sendall(data)
                if left is not None:
                    left -= len(data)
        except OSError:
            pass
        ended = [client] if self._silent and left == 0 else [source, to]
        for sock in ended:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutter(server: Running, cuts: list[int], **how: bool) -> Iterator[int]:
    proxy = Cutter(server.port, cuts, **how)
    try:
        yield proxy.port
    finally:
        proxy.close()


@contextmanager
def scripted(*connections: list[Event | ErrorCode]) -> Iterator[int]:
    """A server that gives these replies, one list a connection; a code is the last frame."""

    def serve(listener: socket.socket) -> None:
        for answers in map(deque, connections):
            sock, _ = listener.accept()
            conn = ServerConnection()
            with sock:
                while answers and (data := sock.recv(65_536)):
                    conn.receive_data(data)
                    for request in conn.events():
                        if isinstance(request, ConnectionEnded):
                            break
                        answer = answers.popleft()
                        if isinstance(answer, ErrorCode):
                            conn.goodbye(answer)
                        else:
                            conn.reply(request, answer)
                        sock.sendall(conn.data_to_send())

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        listener.settimeout(PATIENCE)
        served = thread.submit(serve, listener)
        yield int(listener.getsockname()[1])
        served.result(PATIENCE)


def welcome(ticket: int) -> Welcome:
    return Welcome(user="ann", ticket=ticket, position=0, max_frame=4_096, heartbeat=0)


def heard(bob: Client, user: str) -> list[str]:
    """What this user said, until it left in good order."""
    contents: list[str] = []
    while True:
        event = bob.next()
        if isinstance(event, Message) and event.sender == user:
            contents.append(event.content)
        if isinstance(event, Left) and (event.user, event.why) == (user, LeftReason.LEFT):
            return contents


@pytest.mark.proves("EP-6.4-10", "EP-6.5-1")
@pytest.mark.parametrize("silent", [False, True], ids=["lost", "taken over"])
@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_each_line_is_said_once_and_in_order_wherever_the_connection_is_cut(
    server: Running, example: ModuleType, upstream: bool, silent: bool
) -> None:
    with member(server.port, f"bob {upstream} {silent}") as bob:
        for first in range(1, 900, 13):
            user = f"ann {upstream} {silent} {first}"
            waits: list[float] = []
            speaker = example.Speaker(user, LINES, wait=waits.append, jitter=lambda: 1.0)

            with cutter(server, [first, 300, first], upstream=upstream, silent=silent) as port:
                speaker.run("127.0.0.1", port)

            assert heard(bob, user) == LINES
            assert speaker.unknown == []


@pytest.mark.proves("EP-9.3-1", "EP-9.3-2")
def test_it_waits_longer_after_each_failure_and_begins_anew_after_a_welcome(
    server: Running, example: ModuleType
) -> None:
    waits: list[float] = []
    speaker = example.Speaker("patient", ["hello"], wait=waits.append, jitter=lambda: 1.0)
    cuts = [*[1] * 8, 80, 1]  # the Welcome has less than 80 bytes, with an Ack it has more

    with cutter(server, cuts, upstream=False, silent=False) as port:
        speaker.run("127.0.0.1", port)

    assert waits[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert waits[8:] == [0.5, 1.0]


def test_what_nobody_can_know_is_said_and_not_sent_again(
    server: Running, example: ModuleType
) -> None:
    speaker = example.Speaker("late", ["new"])
    speaker.ticket, speaker.position = 1, 7
    speaker.kept.append("old")

    with member(server.port, "listener") as bob:
        speaker.run("127.0.0.1", server.port)
        assert heard(bob, "late") == ["new"]

    assert speaker.unknown == ["old"]


def test_without_lines_it_comes_and_goes_after_a_lost_history_too(
    server: Running, example: ModuleType
) -> None:
    speaker = example.Speaker("silent", [])
    speaker.ticket = 1

    with member(server.port, "other listener") as bob:
        speaker.run("127.0.0.1", server.port)
        assert heard(bob, "silent") == []


@pytest.mark.proves("EP-9.3-3")
def test_who_is_not_let_in_does_not_come_again(tmp_path: Path, example: ModuleType) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("it tried again")

    (tmp_path / "tokens").write_text("")
    speaker = example.Speaker("ann", ["hello"], wait=never)
    with (
        running(tmp_path, "--tokens", str(tmp_path / "tokens")) as server,
        pytest.raises(example.Refused) as caught,
    ):
        speaker.run("127.0.0.1", server.port)

    cause: Any = caught.value.__cause__
    assert cause.code == ErrorCode.UNAUTHORIZED


@pytest.mark.proves("EP-9.3-4")
@pytest.mark.parametrize("code", ["MALFORMED", "FRAME_TOO_LARGE", "UNSUPPORTED_VERSION"])
def test_what_would_go_wrong_again_is_not_tried_again(code: str, example: ModuleType) -> None:
    waits: list[float] = []
    speaker = example.Speaker("ann", ["hello"], wait=waits.append)

    with scripted([ErrorCode[code]]) as port, pytest.raises(example.Refused):
        speaker.run("127.0.0.1", port)

    assert waits == []


@pytest.mark.proves("EP-9.3-4")
def test_after_a_servers_fault_it_does_not_come_again(example: ModuleType) -> None:
    waits: list[float] = []
    speaker = example.Speaker("ann", ["hello"], wait=waits.append)
    out_of_order = Ack(position=7)

    with scripted([welcome(1), out_of_order]) as port, pytest.raises(RemoteProtocolError):
        speaker.run("127.0.0.1", port)

    assert waits == []


@pytest.mark.proves("EP-8.2-4")
@pytest.mark.parametrize(
    ("code", "said", "unknown"),
    [(ErrorCode.SHUTTING_DOWN, [1], []), (ErrorCode.SLOW_CONSUMER, [], ["hello"])],
)
def test_what_the_last_error_says_was_not_accepted_is_said_after_a_restart(
    code: ErrorCode, said: list[int], unknown: list[str], example: ModuleType
) -> None:
    gone = Error(code=ErrorCode.HISTORY_GONE)
    acks: list[Event | ErrorCode] = [Ack(position=position) for position in said]
    speaker = example.Speaker("ann", ["hello"], wait=lambda seconds: None)

    with scripted([welcome(1), code], [gone, Pong(), welcome(2), *acks, Ack()]) as port:
        speaker.run("127.0.0.1", port)

    assert speaker.unknown == unknown


def test_it_runs_as_a_program(server: Running) -> None:
    with member(server.port, "audience") as bob:
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLE, "program", "127.0.0.1", str(server.port)],
            input="hello\ngrüße\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )

        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert heard(bob, "program") == ["hello", "grüße"]
