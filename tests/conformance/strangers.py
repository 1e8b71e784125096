"""Strangers for a room: they log in, talk, leave and come again, as fast as they may.

Rule: they use names and contents of their own, and end before the test does.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from eventcodec import ApplicationEvent, ClientConnection, Event, Login, Logout, Message

PAUSE = 0.003
"""Seconds between two things that a stranger says: often enough for every wait of a case."""


def stay(port: int, visit: int, stop: threading.Event) -> None:
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
                conn.events()
            stop.wait(PAUSE)


def talk(port: int, stop: threading.Event) -> None:
    """One visit after the other; a case that stops the server ends a visit in its midst."""
    for visit in count():
        if stop.wait(PAUSE):
            return
        with suppress(ConnectionError):
            stay(port, visit, stop)


@contextmanager
def strangers(port: int) -> Iterator[None]:
    """A room on this port that is never quiet."""
    stop = threading.Event()
    thread = threading.Thread(target=talk, args=(port, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
