"""A disturbed server: what reaches each side, and who is found to be wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import warnings

import pytest
from tests.support.raw import frame, short

from refserver.client import connect
from refserver.pytest_plugin import Disturb
from refserver.watch.beside import beside
from refserver.watch.conversation import Side

pytestmark = pytest.mark.usefixtures("warm_plugin")

LOGIN = frame(1, 1, short("ann") + bytes(18))
MESSAGE = frame(2, 2, b"\0hello")


def exchange(address: tuple[str, int], data: bytes) -> bytes:
    """All that comes back for these bytes; a reset ends it too."""
    with socket.create_connection(address) as sock:
        sock.sendall(data)
        came = b""
        try:
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(4096):
                came += more
        except OSError:
            pass
        return came


def types(data: bytes) -> list[int]:
    found = []
    while len(data) >= 16:
        found.append(data[5])
        data = data[4 + int.from_bytes(data[:4], "big") :]
    return found


def test_a_reply_that_was_dropped_does_not_come_and_nobody_is_accused(
    faulty_server: Disturb,
) -> None:
    faulty = faulty_server("drop Ack:1")

    assert types(exchange(faulty.address, LOGIN + MESSAGE + frame(6, 3))) == [8, 7]
    assert faulty.did == ["dropped frame 2, Ack seq 2"]
    assert faulty.findings == []


def test_the_client_is_judged_by_what_reached_it(faulty_server: Disturb) -> None:
    """It uses what comes behind a frame that the proxy broke: that is the client's fault."""
    faulty = faulty_server("corrupt position@Ack", "duplicate client.Message")
    with socket.create_connection(faulty.address) as sock:
        sock.sendall(LOGIN + MESSAGE + frame(2, 3, b"\3ann!"))
        while b"\0\0\0\0\0\0\0\3" not in sock.recv(4096)[8:]:
            pass

    assert [(each.statement, each.side) for each in faulty.findings] == [("EP-3.3-2", Side.CLIENT)]


@pytest.mark.parametrize("how", ["cut-at", "reset", "half-close"])
def test_a_stream_ends_behind_a_byte(faulty_server: Disturb, how: str) -> None:
    faulty = faulty_server(f"{how} client:{len(LOGIN)}")

    came = types(exchange(faulty.address, LOGIN + MESSAGE))

    assert 4 not in came
    assert (8 in came) or how != "half-close"
    assert len(faulty.did) == 1 and f"behind byte {len(LOGIN)}" in faulty.did[0]


@pytest.mark.parametrize("rule", ["split bytewise", "split random", "latency 0.01"])
def test_what_is_only_late_or_in_pieces_arrives_whole(faulty_server: Disturb, rule: str) -> None:
    faulty = faulty_server(rule)

    assert types(exchange(faulty.address, LOGIN + MESSAGE)) == [8, 4]
    assert faulty.findings == []


def test_a_held_end_finds_a_client_that_has_gone(
    faulty_server: Disturb, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A held Pong goes to a client that is gone, whose system resets; then the end goes there."""
    monkeypatch.setattr(logging.getLogger("asyncio"), "propagate", True)
    faulty = faulty_server("delay Pong:1@0.2")
    with socket.create_connection(faulty.address) as sock:
        sock.sendall(LOGIN + frame(6, 2))
        while b"refserver" not in sock.recv(4096):
            pass

    # Its Pong is held too, and begins to be later.
    assert types(exchange(faulty.address, frame(6, 2))) == [7]
    assert [each.message for each in caplog.records if each.name == "asyncio"] == []


def test_a_ready_client_says_each_message_once_although_its_replies_are_lost(
    faulty_server: Disturb,
) -> None:
    """Three connections lose a reply whose request was carried out; see 6.5."""
    faulty = faulty_server("lose-reply 4")
    host, port = faulty.address

    async def run() -> list[int]:
        async with connect(host, port, user="ann") as room:
            return [await room.say(f"word {n}") for n in range(5)]

    positions = asyncio.run(run())

    assert len(faulty.did) >= 1
    assert positions == sorted(set(positions)) and 0 not in positions
    assert [each for each in faulty.findings if each.side is Side.CLIENT] == []


def test_a_rule_that_makes_no_sense_fails_the_test(faulty_server: Disturb) -> None:
    with pytest.raises(pytest.fail.Exception, match="no frame 'Akc'"):
        faulty_server("drop Akc")


def test_a_proxy_that_ends_leaves_no_connection_that_has_just_come() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        for _ in range(20):
            with beside(server.getsockname()) as proxy:
                come = socket.create_connection(proxy.address)
            come.close()
        gc.collect()

    assert [str(each.message) for each in warned] == []
