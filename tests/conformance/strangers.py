"""Strangers for a room: they log in, talk, leave and come again, as fast as they may.

Rule: they use names and contents of their own, and end before the test does.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from tests.support.raw import DEADLINE

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    Event,
    Login,
    Logout,
    Message,
)

PAUSE = 0.003
"""Seconds between two things that a stranger says: often enough for every wait of a case."""

VISIT = 20
"""Facts of one visit: `Joined`, nine messages, nine application events, `Left`."""


def stay(port: int, visit: int, inside: threading.Event, stop: threading.Event) -> None:
    """Log in, say a few things of every kind, and leave. Raises ConnectionError."""
    conn = ClientConnection()
    words: list[Event] = [Message(content=f"talk {n}") for n in range(9)]
    words += [ApplicationEvent(type=0x80 + n, data=b"talk") for n in range(9)]
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for event in (Login(user=f"stranger-{visit}"), *words, Logout()):
            conn.send(event)
            sock.sendall(conn.data_to_send())
            while conn.outstanding:
                if not (data := sock.recv(1 << 16)):
                    return  # the server is full or stops
                conn.receive_data(data)
                if any(isinstance(each, ConnectionEnded) for each in list(conn.events())):
                    return
            inside.set()
            stop.wait(PAUSE)


def talk(port: int, inside: threading.Event, stop: threading.Event) -> None:
    """One visit after the other; a case that stops the server ends a visit in its midst."""
    for visit in count():
        if stop.wait(PAUSE):
            return
        with suppress(ConnectionError):
            stay(port, visit, inside, stop)


@contextmanager
def strangers(port: int) -> Iterator[None]:
    """A room on this port that is never quiet, from the first stranger's Welcome on."""
    inside, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=talk, args=(port, inside, stop))
    thread.start()
    try:
        assert inside.wait(DEADLINE), "no stranger was let in"
        yield
    finally:
        stop.set()
        thread.join()
