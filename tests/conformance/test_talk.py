"""A case's connections: what is written, what is read meanwhile, what a failure says."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from random import Random

import pytest

from refserver.conformance import expect as e
from refserver.conformance import raw
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import CaseFailed
from refserver.conformance.talk import Setting, Talk

MUCH = raw.ping(1) * (1 << 20)
"""More than the sockets of a connection hold."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def talk_to(listener: socket.socket, timeout: float = 20.0) -> Talk:
    setting = Setting(address=listener.getsockname()[:2], timeout=timeout, capabilities=frozenset())
    return Talk(setting, Segmentation.WHOLE, Random(7), "t")


def test_what_a_server_said_before_it_closed_is_read_by_one_who_still_writes(
    listener: socket.socket,
) -> None:
    talk = talk_to(listener)
    conn = talk.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(raw.error(0, raw.TIMEOUT))

    conn.send(MUCH)

    conn.ends(raw.TIMEOUT)
    talk.close()


def test_who_takes_nothing_of_what_is_sent_fails(listener: socket.socket) -> None:
    talk = talk_to(listener, timeout=0.05)
    conn = talk.connect()
    server, _ = listener.accept()

    with server, pytest.raises(CaseFailed) as caught:
        conn.send(MUCH)

    assert caught.value.expected == ("what is sent is taken",)
    talk.close()


def test_bytes_can_be_what_came_instead(listener: socket.socket) -> None:
    talk = talk_to(listener)

    with pytest.raises(CaseFailed) as caught:
        talk.check(False, "the name ann", b"b\xf6b")

    assert caught.value.actual == r"b'b\xf6b'"


def test_a_reset_that_only_the_writer_notices_is_no_end_in_stages(listener: socket.socket) -> None:
    talk = talk_to(listener)
    conn = talk.connect()
    server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    conn.send_piece(raw.ping(1))

    with pytest.raises(CaseFailed) as caught:
        conn.ends_unbroken()

    assert caught.value.expected == ("no reset",)
    talk.close()


def test_each_acceptable_outcome_is_told_by_itself(listener: socket.socket) -> None:
    talk = talk_to(listener)
    conn = talk.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(raw.pong(1))

    with pytest.raises(CaseFailed) as caught:
        conn.expect(e.either(e.welcome(1), e.error(raw.BAD_USER, 1), e.END))

    wanted = ("Welcome seq 1", "Error BAD_USER seq 1", "the end of the stream")
    assert caught.value.expected == wanted
    talk.close()


@pytest.mark.parametrize(
    ("answer", "name"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"), (b"\x15\x03\x03\0\x02\x02F", "TLS")],
)
def test_the_answer_of_another_protocol_is_named(
    listener: socket.socket, answer: bytes, name: str
) -> None:
    talk = talk_to(listener)
    conn = talk.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(answer)

    with pytest.raises(CaseFailed) as caught:
        conn.login()

    _, _, perhaps = caught.value.actual.partition("; perhaps: ")
    assert name in perhaps
    talk.close()
