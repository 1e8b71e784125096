"""The kit over WebSocket: a server's whole catalogue, and what no WebSocket is."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner
from tests.conformance.serving import DECLARED
from tests.refserver.conftest import Authority
from tests.support.server import launched

from refserver.cli import main
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check import DECLARED_BY
from refserver.conformance.check_command import Where
from refserver.exit_codes import Exit
from refserver.readiness import READ

pytest.importorskip("websockets", reason="the extra ws is not installed")

from websockets.protocol import Protocol, Side

from refserver.conformance import streams, websocket

TIMEOUT = 120.0
HALF_CLOSE = "needs half-closed connections, which WebSocket does not have"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def check(target: str, *words: str) -> tuple[int, str, str]:
    patient = ("--segmentation", "whole", "--timeout", "20")
    done = CliRunner().invoke(main, ["check", target, *patient, *words])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.once
def test_a_server_passes_the_catalogue_over_websocket_as_far_as_that_carries_it(
    tmp_path: Path,
) -> None:
    with launched("--ws", "0", "--quiet") as server:
        target = f"ws://localhost:{server.ws_port}"
        code, out, _ = check(target, "--json", str(tmp_path / "report"))

    assert code == Exit.DONE, out
    [run] = json.loads((tmp_path / "report").read_text())["runs"]
    assert run["target"] == target
    unsupported = {r["reason"] for r in run["results"] if r["verdict"] == "unsupported"}
    others = {f"needs {name}" for name in {*DECLARED_BY} - DECLARED - {"websocket"}}
    assert {r["verdict"] for r in run["results"]} == {"passed", "unsupported"}
    assert HALF_CLOSE in unsupported and unsupported <= {HALF_CLOSE, *others}


def test_over_tcp_the_cases_of_websocket_are_unsupported() -> None:
    with launched("--quiet") as server:
        code, out, _ = check(f"localhost:{server.port}", "WS-*", "MSG-01")

    cases = sum("websocket" in case.capabilities for case in SERVER_CASES if case.id[:2] == "WS")
    assert code == Exit.DONE
    assert f"1 passed, {cases} unsupported" in out


CLOCKS = [
    case.id
    for case in SERVER_CASES
    if case.section == "clocks" and "websocket" in case.capabilities
]


@pytest.mark.proves("EP-16.1-3", "EP-16.2-7")
@pytest.mark.parametrize("id", CLOCKS)
def test_a_clock_of_a_server_passes_over_websocket(id: str) -> None:
    can = ("--can", "heartbeat", "--can", "login-timeout")
    with launched("--ws", "0", "--quiet", "--heartbeat", "2", "--login-timeout", "6") as server:
        code, out, _ = check(f"ws://localhost:{server.ws_port}", id, *can)

    assert (code, "1 passed" in out) == (Exit.DONE, True), out


def test_a_server_is_tested_over_wss(authority: Authority) -> None:
    with launched("--ws", "0", "--quiet", "--tls-cert", str(authority.issue())) as server:
        target = f"wss://localhost:{server.ws_port}"
        trusting = check(target, "FRAME-01", "MSG-01", "WS-*", "--ca", str(authority.file))
        strange = check(target, "FRAME-01")
        plain = check(f"ws://localhost:{server.ws_port}", "FRAME-01", "--tls")

    assert trusting[0] == Exit.DONE, trusting[1]
    assert strange[0] == Exit.UNREACHABLE
    assert (plain[0], "wss://" in plain[2]) == (Exit.USAGE, True)


def answering(answer: Callable[[bytes], bytes]) -> tuple[int, str]:
    """What `check` says of a server that answers the handshake so, and then ends its stream."""

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += sock.recv(65_536)
            sock.sendall(answer(asked))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        wrap = websocket.over_websocket("127.0.0.1", listener.getsockname()[1])
        serving = thread.submit(serve, listener)
        try:
            stream = streams.dial(listener.getsockname()[:2], 5.0, wrap=wrap)
        finally:
            serving.result()
        try:
            data = b""
            while stream.wait(time.monotonic() + TIMEOUT, READ) and (more := stream.receive()):
                data += more
            return len(data), data.decode()
        finally:
            stream.close()


def upgraded(asked: bytes, *fields: str) -> bytes:
    from websockets.utils import accept_key

    lines = dict(line.split(": ") for line in asked.decode().split("\r\n")[1:-2])
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Accept: {accept_key(lines['Sec-WebSocket-Key'])}", *fields]
    return "\r\n".join([*head, "", ""]).encode()


SELECTED = "Sec-WebSocket-Protocol: event-protocol.1"


def test_what_comes_with_the_answer_is_not_lost() -> None:
    answer = b"\x02\x02he" + b"\x89\x00" + b"\x80\x03llo" + b"\x82\x01!" + b"\x88\x00"

    assert answering(lambda asked: upgraded(asked, SELECTED) + answer) == (6, "hello!")


class Gone:
    """A socket of a peer that said something, closed, and takes nothing more."""

    def __init__(self, said: bytes) -> None:
        self.said = [said]

    def recv(self, _: int) -> bytes:
        return self.said.pop() if self.said else b""

    def send(self, _: bytes) -> int:
        raise BrokenPipeError

    def setblocking(self, _: bool) -> None:
        pass

    def setsockopt(self, *_: int) -> None:
        pass


def test_what_a_peer_said_before_it_went_is_read_though_it_takes_no_close() -> None:
    peer = Protocol(Side.SERVER, max_size=None)
    peer.send_binary(b"the last frame")
    peer.send_close(1000)
    gone = Gone(b"".join(peer.data_to_send()))

    stream = websocket.WebSocketStream(cast("socket.socket", gone), Protocol(Side.CLIENT), [])

    assert [stream.receive(), stream.receive()] == [b"the last frame", b""]


@pytest.mark.proves("EP-16.2-3")
def test_a_server_that_selects_no_subprotocol_is_not_spoken_to() -> None:
    with pytest.raises(ConnectionRefusedError, match="did not select"):
        answering(upgraded)


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: b"HTTP/1.1 403 Forbidden\r\n\r\n",
        lambda asked: b"\x00\x00\x00\x0f",
        lambda asked: b"",
        lambda asked: upgraded(asked, SELECTED) + b"\x81\x02hi",
        lambda asked: upgraded(asked, SELECTED) + b"\xff\x02hi",
        lambda asked: upgraded(asked, SELECTED, "Sec-WebSocket-Extensions: permessage-deflate"),
    ],
)
def test_what_is_no_websocket_is_a_failure(answer: Callable[[bytes], bytes]) -> None:
    with pytest.raises(OSError):
        answering(answer)


@pytest.mark.parametrize("text", ["ws://", "ws://localhost:x", "http://localhost", "ws://[::1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Where.of(text)
