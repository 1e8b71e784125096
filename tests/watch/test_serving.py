"""`refserver serve --watch`: the server's own connections are judged, and it works as without."""

from __future__ import annotations

import asyncio
import dis
import inspect
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest
import trustme
from tests.refserver.clients import client, member, refused
from tests.support.raw import frame, short
from tests.support.server import running
from tests.support.stopped import StoppedLoop, hosting

from eventcodec import Login, Message
from refserver.server import batching, connection, scheduler, server, turn
from refserver.server.connection import Connection
from refserver.session import log, outbox, room, sequencer, state
from refserver.session import session as one_session
from refserver.watch.conversation import Ended, How, Item, Opened, Side
from refserver.watch.judge import judged
from refserver.watch.sources import items_of

CLIENT, SERVER = Side.CLIENT, Side.SERVER
LOGIN = frame(1, 1, short("ann") + bytes(18))
NAMED = frame(2, 2, short("ann") + b"hello")


def broken(items: list[Item]) -> list[tuple[str, Side]]:
    findings = judged(items, one_room=True).notes.findings
    return [(finding.statement, finding.side) for finding in findings]


def read_to_the_end(sock: socket.socket) -> bytes:
    came = b""
    while data := sock.recv(65_536):
        came += data
    return came


def test_what_a_client_breaks_is_found_on_the_servers_own_connections(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    with running(tmp_path, "--watch", "--record", str(path)) as server:
        with member(server.port, "bob") as bob:
            with socket.create_connection(("127.0.0.1", server.port)) as ann:
                ann.sendall(LOGIN + NAMED + frame(3, 3))
                ann.shutdown(socket.SHUT_WR)
                read_to_the_end(ann)
            bob.ask(Message(content="well?"))
        assert server.stop() == 0
        assert server.process.stdout is not None
        said = server.process.stdout.read()

    items = list(items_of(path))
    assert broken(items) == [("EP-3.3-2", CLIENT)]
    assert "EP-3.3-2  the client of connection 2 broke it at frame 2, byte 38" in said
    assert said.endswith("\n1 finding\n")
    opened = [item for item in items if isinstance(item, Opened)]
    assert [item.secure for item in opened] == [None, None]
    assert opened[0].server == f"localhost:{server.port}"


@pytest.mark.measured_processes
def test_ends_are_told_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    with running(tmp_path, "--watch", "--record", str(path)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as leaver:
            leaver.sendall(LOGIN + frame(3, 2))
            read_to_the_end(leaver)
        with socket.create_connection(("127.0.0.1", server.port)) as lost:
            lost.sendall(frame(6, 1))
            lost.recv(100)
            lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.stop()

    ends = [
        (each.connection, each.side, each.how) for each in items_of(path) if isinstance(each, Ended)
    ]
    assert ends == [
        (1, SERVER, How.FIN),
        (1, CLIENT, How.FIN),
        (2, CLIENT, How.RESET),
        (2, SERVER, How.RESET),
    ]


def test_over_tls_the_frames_are_judged_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = tmp_path / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    path = tmp_path / "talk.jsonl"
    options = ("--tls-cert", str(certificate), "--watch", "--record", str(path))
    with running(tmp_path, *options) as server:
        with client(server.port, context) as ann:
            ann.ask(Login(user="ann"))
            ann.sock.sendall(NAMED)
            assert ann.sock.recv(100)
        server.stop()

    items = list(items_of(path))
    assert broken(items) == [("EP-3.3-2", CLIENT)]
    assert [item.secure for item in items if isinstance(item, Opened)] == [True]


@pytest.mark.measured_processes
def test_over_websocket_the_payloads_are_judged(tmp_path: Path) -> None:
    sync = pytest.importorskip("websockets.sync.client", reason="the extra ws is not installed")
    path = tmp_path / "talk.jsonl"
    with running(tmp_path, "--ws", "0", "--watch", "--record", str(path)) as server:
        url = f"ws://127.0.0.1:{server.ws_port}/"
        with sync.connect(url, subprotocols=["event-protocol.1"]) as ann:
            ann.send(LOGIN[:20])
            ann.send(LOGIN[20:] + NAMED)
            ann.recv(timeout=600)
        server.stop()

    items = list(items_of(path))
    assert broken(items) == [("EP-3.3-2", CLIENT)]


def test_a_server_that_cannot_listen_ends_as_without(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused("serve", "--host", "127.0.0.1", "--port", str(port), "--watch")

    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in said


@pytest.mark.measured_processes
def test_what_needs_the_watch_says_so() -> None:
    assert refused("serve", "--record", "x") == (
        2,
        "refserver: --record and --page need --watch. Try refserver serve --help.\n",
    )


# ----------------------------------------------------------------- what it costs without

HOT: tuple[ModuleType, ...] = (
    *(batching, connection, scheduler, server, turn),
    *(log, outbox, room, sequencer, one_session, state),
)
"""What a message passes on its way (CONTRIBUTING.md)."""


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


async def kinds() -> list[type[Connection]]:
    """The classes of the connections of a server that nobody watches."""
    async with hosting() as host:
        await host.member("ann")
        return [type(each) for each in host.server.connections]


def test_without_a_watch_not_one_instruction_of_the_hot_path_is_about_it() -> None:
    with asyncio.Runner(loop_factory=StoppedLoop) as runner:
        assert runner.run(kinds()) == [Connection]

    names = {
        instruction.argval
        for module in HOT
        for code in codes(compile(inspect.getsource(module), module.__name__, "exec"))
        for instruction in dis.get_instructions(code)
        if isinstance(instruction.argval, str)
    }
    assert "fan_out" in names
    assert not {name for name in names if re.search("(^|_|[.])tap|Watched", name)}
