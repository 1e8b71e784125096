"""A server that sends Pings without end and reads no Pong: what it makes a client hold.

Rule: it stops when all is sent, when the client sleeps and takes nothing more, or when it ends the
connection. None of these depends on how fast the machine is.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.raw import LOGIN, PONG, WELCOME, Frames, frame, ping, short

FLOOD = 16 << 20
"""Bytes of Pings."""
CHUNK = 1 << 16
GLANCE = 0.2
"""Seconds between two looks whether the client does anything."""
PATIENCE = 600.0
MOST = 8 << 20
"""Bytes by which a client may grow. One that keeps its Pongs grows by at least all of them."""
MOST_OF_NODE = 64 << 20
"""The same in Node.js, which collects garbage late: 16 MiB were measured, and 159 if they stay."""


def growth(command: list[str]) -> int:
    """Bytes that this client holds at most, beyond the most that it held until it was logged in.

    What it holds at a moment says less: the system takes pages of files away, and brings them back.
    `{port}` in the command becomes the port.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        listener.settimeout(PATIENCE)
        port = str(listener.getsockname()[1])
        with subprocess.Popen(
            [each.replace("{port}", port) for each in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as client:
            try:
                _say_something(client)
                with listener.accept()[0] as conn:
                    conn.settimeout(PATIENCE)
                    _log_in(conn)
                    before = _most_memory(client.pid)
                    _flood(conn, client.pid)
                    return _most_memory(client.pid) - before
            finally:
                client.kill()


def _say_something(client: subprocess.Popen[bytes]) -> None:
    """For a client that reads only while it awaits a reply."""
    assert client.stdin is not None
    client.stdin.write(b"hello\n")
    client.stdin.flush()


def _log_in(conn: socket.socket) -> None:
    """Accept its Login, and wait until it has handled the Welcome."""
    body = short("ann") + struct.pack(">QQIH", 7, 0, 65_536, 0) + short("")
    frames, types = Frames(), [0]
    while LOGIN not in types:
        types += [each.type for each in frames.receive(conn.recv(CHUNK))]
    conn.sendall(frame(WELCOME, 1, body) + ping(1))
    while PONG not in types:
        types += [each.type for each in frames.receive(conn.recv(CHUNK))]


def _flood(conn: socket.socket, pid: int) -> None:
    data = memoryview(ping(2) * (FLOOD // 16))
    with suppress(ConnectionError):  # the client has had enough
        while data:
            if select.select([], [conn], [], GLANCE)[1]:
                data = data[conn.send(data[:CHUNK], socket.MSG_DONTWAIT) :]
            elif _rests(pid):
                return


def _rests(pid: int) -> bool:
    """Whether the process has nothing to do for a while."""
    used = _processor_time(pid)
    select.select([], [], [], GLANCE)
    state = re.findall(r"^State:\s+(\S)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return state == ["S"] and _processor_time(pid) == used


def _processor_time(pid: int) -> int:
    tasks = [Path(f"/proc/{pid}/task/{each}/schedstat") for each in os.listdir(f"/proc/{pid}/task")]
    return sum(int(each.read_text().split()[0]) for each in tasks)


def _most_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024
