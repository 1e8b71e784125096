"""Each case holds while strangers talk, come and go in the room."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from tests.conformance.serving import Served, serving

from eventcodec import ApplicationEvent, ClientConnection, Event, Login, Logout, Message
from refserver.conformance.cases import SERVER_CASES

PAUSE = 0.003
"""Seconds between two things that a stranger says: often enough for every wait of a case."""
PATIENT = ("keepalive", "shutdown")
"""Sections that wait for a clock of seconds, or end the server for all."""
CASES = [case.id for case in SERVER_CASES if case.section not in PATIENT]


def stay(port: int, visit: int, stop: threading.Event) -> None:
    """Come in, say a few things of every kind, and leave."""
    conn = ClientConnection()
    words: list[Event] = [Message(content=f"talk {n}") for n in range(9)]
    words += [ApplicationEvent(type=0x80 + n, data=b"talk") for n in range(9)]
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for event in (Login(user=f"stranger-{visit}"), *words, Logout()):
            conn.send(event)
            sock.sendall(conn.data_to_send())
            while conn.outstanding:
                if not (data := sock.recv(1 << 16)):
                    return  # a case has filled the server, and a newcomer had to go
                conn.receive_data(data)
                conn.events()
            stop.wait(PAUSE)


def talk(port: int, stop: threading.Event) -> None:
    for visit in count():
        if stop.is_set():
            return
        stay(port, visit, stop)


@contextmanager
def strangers(port: int) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=talk, args=(port, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def busy() -> Iterator[Served]:
    with serving() as server, strangers(server.port):
        yield server


@pytest.mark.parametrize("id", CASES)
def test_a_case_passes_in_a_busy_room(busy: Served, id: str) -> None:
    (result,) = busy.run(id)

    assert not result.verdict.bad, (result.reason, result.actual)
