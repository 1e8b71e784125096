"""A case's connections: what is written, what is read meanwhile, what a failure says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

import pytest

from refserver.conformance import expect as e
from refserver.conformance import raw, wire
from refserver.conformance.attempt import Attempt, Setting
from refserver.conformance.connection import Connection
from refserver.conformance.model import Direction
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import CaseFailed

MUCH = raw.message(1, b"x" * 65_000) * 256
"""More than the sockets of a connection hold."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def attempt_at(listener: socket.socket, timeout: float = 20.0) -> Attempt:
    setting = Setting(address=listener.getsockname()[:2], timeout=timeout, capabilities=frozenset())
    return Attempt(setting, Segmentation.WHOLE, Random(7), "t")


def test_what_a_server_said_before_it_closed_is_read_by_one_who_still_writes(
    listener: socket.socket,
) -> None:
    attempt = attempt_at(listener)
    conn = attempt.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(raw.error(0, raw.TIMEOUT))

    conn.send(MUCH)

    conn.ends(raw.TIMEOUT)
    attempt.close()


def test_who_takes_nothing_of_what_is_sent_fails(listener: socket.socket) -> None:
    attempt = attempt_at(listener, timeout=0.05)
    conn = attempt.connect()
    server, _ = listener.accept()

    with server, pytest.raises(CaseFailed) as caught:
        conn.send(MUCH)

    assert caught.value.expected == ("what is sent is taken",)
    attempt.close()


def test_bytes_can_be_what_came_instead(listener: socket.socket) -> None:
    attempt = attempt_at(listener)

    with pytest.raises(CaseFailed) as caught:
        attempt.check(False, "the name ann", b"b\xf6b")

    assert caught.value.actual == r"b'b\xf6b'"


def test_a_reset_that_only_the_writer_notices_is_no_end_in_stages(listener: socket.socket) -> None:
    attempt = attempt_at(listener)
    conn = attempt.connect()
    server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    conn.send_piece(raw.ping(1))

    with pytest.raises(CaseFailed) as caught:
        conn.ends_unbroken()

    assert caught.value.expected == ("no reset",)
    attempt.close()


def test_each_acceptable_outcome_is_told_by_itself(listener: socket.socket) -> None:
    attempt = attempt_at(listener)
    conn = attempt.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(raw.pong(1))

    with pytest.raises(CaseFailed) as caught:
        conn.expect(e.either(e.welcome(1), e.error(raw.BAD_USER, 1), e.END))

    wanted = ("Welcome seq 1", "Error BAD_USER seq 1", "the end of the stream")
    assert caught.value.expected == wanted
    attempt.close()


ZEROS = bytes(4)


def test_good_frames_before_what_is_none_are_given_first(listener: socket.socket) -> None:
    attempt = attempt_at(listener)
    conn = attempt.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(raw.pong(1) + ZEROS)

    conn.expect(e.pong(1))

    with pytest.raises(CaseFailed, match="a length of 0"):
        conn.expect(e.END)
    attempt.close()


def test_what_comes_while_a_case_closes_is_judged_and_is_evidence(
    listener: socket.socket,
) -> None:
    attempt = attempt_at(listener)
    attempt.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(ZEROS)

    attempt.close()

    with pytest.raises(CaseFailed, match="frames, and nothing else"):
        attempt.validate_streams()
    assert attempt.evidence[-2].data == ZEROS


def flooding(server: socket.socket, data: bytes) -> threading.Thread:
    """Send this again and again, until nobody takes it."""

    def flood() -> None:
        with server, suppress(OSError):
            while True:
                server.sendall(data)

    thread = threading.Thread(target=flood)
    thread.start()
    return thread


FLOODS = {
    "facts of strangers": raw.message(1, b"x" * 4000, "stranger") * 16,
    "small facts of strangers": raw.joined(1, "stranger") * 4096,
    "pings": raw.ping(1) * 4096,
    "one frame without end": b"\0\xff\xff\xff" * 4096,
    "what is no frame": b"\0" * 65_536,
}


@pytest.mark.unmeasured
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("way", [Connection.login, Connection.sync, lambda conn: conn.send(MUCH)])
def test_no_flood_keeps_the_kit(
    listener: socket.socket,
    flood: bytes,
    way: Callable[[Connection], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "MOST_FRAMES", 5_000)
    attempt = attempt_at(listener, timeout=0.05)
    conn = attempt.connect()
    server, _ = listener.accept()
    thread = flooding(server, flood)

    with pytest.raises(CaseFailed):
        way(conn)

    attempt.close()
    thread.join()


def test_a_server_that_always_says_something_ends_no_attempt_too_late(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = attempt_at(listener)
    conn = attempt.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(raw.pong(1) * 1000)
        monkeypatch.setattr(attempt, "_last", 0.0)

        with pytest.raises(CaseFailed, match="the case comes to its end"):
            conn.to_the_end()
    attempt.close()


def test_of_very_many_steps_the_first_and_the_last_are_kept(listener: socket.socket) -> None:
    attempt = attempt_at(listener)

    for number in range(5000):
        attempt.step("ann", Direction.NOTE, note=str(number))

    notes = [step.note for step in attempt.evidence]
    assert notes == [*map(str, range(40)), "4800 steps left out", *map(str, range(4840, 5000))]
    assert len(attempt.steps) < 1000


@pytest.mark.parametrize(
    ("answer", "name"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"), (b"\x15\x03\x03\0\x02\x02F", "TLS")],
)
def test_the_answer_of_another_protocol_is_named(
    listener: socket.socket, answer: bytes, name: str
) -> None:
    attempt = attempt_at(listener)
    conn = attempt.connect()
    server, _ = listener.accept()
    with server:
        server.sendall(answer)

    with pytest.raises(CaseFailed) as caught:
        conn.login()

    _, _, perhaps = caught.value.actual.partition("; perhaps: ")
    assert name in perhaps
    attempt.close()
