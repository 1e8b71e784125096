"""Say lines exactly once over connections that break: resume.py USER [HOST PORT] < lines

`ClientSession` decides what to say on which connection; this program connects when it wants to,
carries bytes, and tells what became of each line that was not accepted.
"""

import socket
import sys
import time
from collections.abc import Callable, Iterable

from eventcodec import (
    ClientSession,
    Fate,
    Message,
    Offline,
    Outcome,
    Paused,
    SessionFullError,
    SessionState,
)


class Stopped(Exception):
    """The session waits for a decision that this program leaves to its user."""


def say_all(
    session: ClientSession,
    lines: Iterable[str],
    host: str,
    port: int,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Outcome]:
    """Say the lines and leave; gives the outcomes other than acknowledged. Raises Stopped."""
    waiting = [Message(content=line) for line in reversed(list(lines))]
    bad: list[Outcome] = []
    while session.state is not SessionState.CLOSED:
        if (due := session.connect_at) is not None:
            sleep(max(0.0, due - time.monotonic()))
        try:
            with socket.create_connection((host, port), timeout=10) as sock:
                session.connected(time.monotonic())
                while session.is_connected:
                    fill(session, waiting)
                    sock.settimeout(10)
                    sock.sendall(session.data_to_send())
                    receive(session, sock)
                    bad += take(session)
        except OSError as error:
            session.connection_lost(time.monotonic(), error)
            bad += take(session)
    return bad


def fill(session: ClientSession, waiting: list[Message]) -> None:
    """Hand the session as much as it takes, and the end."""
    try:
        while waiting:
            session.say(waiting[-1])
            waiting.pop()
        session.logout()
    except SessionFullError:
        pass  # there is room again when outcomes have come


def receive(session: ClientSession, sock: socket.socket) -> None:
    """Wait for bytes, or for the session's own time."""
    due = session.next_timer
    sock.settimeout(None if due is None else max(0.001, due - time.monotonic()))
    try:
        if data := sock.recv(65536):
            session.receive_data(data, time.monotonic())
        else:
            session.receive_eof(time.monotonic())
    except TimeoutError:
        session.handle_timer(time.monotonic())


def take(session: ClientSession) -> list[Outcome]:
    """Take what has happened; gives the outcomes that are bad."""
    bad = []
    for event in session.events():
        match event:
            case Outcome(fate=fate) if fate is not Fate.ACKNOWLEDGED:
                bad.append(event)
            case Offline(error=error):
                print(f"offline: {error}", file=sys.stderr)
            case Paused(reason=reason):
                raise Stopped(reason.value)
    return bad


def main(user: str, host: str = "localhost", port: str = "3000") -> None:
    lines = (line.rstrip("\n") for line in sys.stdin)
    for outcome in say_all(ClientSession(user), lines, host, int(port)):
        print(f"{outcome.fate.value}: {outcome.request}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(f"usage: {sys.argv[0]} USER [HOST PORT]")
    try:
        main(*sys.argv[1:])
    except Stopped as error:
        sys.exit(f"stopped: {error}")
