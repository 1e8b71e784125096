"""Measure what a proxy moves, with a judge beside it and without: `tox -e bench-watch`.

Rule: plain forwarding and forwarding with the judge are measured in turns, in one run, and only
their ratio is a result. The bytes are right: a room's facts, as fast as they are taken.

Layer: beside the other benchmarks.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLAIN = """
import asyncio, sys, time
from refserver.watch.proxy import Proxy
async def main():
    proxy = Proxy(("127.0.0.1", int(sys.argv[1])), lambda item: None, time.monotonic)
    print("x 127.0.0.1:%d" % await proxy.start("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
TICKET, POSITION = b"\x01" * 8, 1
WELCOME = b"\x03ann" + TICKET + struct.pack(">QIH", POSITION, 65_536, 0) + b"\x00"
LOGIN = struct.pack(">IBBHQ", 12 + 22, 1, 1, 0, 1) + b"\x03ann" + bytes(18)
AT_ONCE = 200


def facts(count: int, content: bytes) -> Iterator[list[bytes]]:
    """The facts of a room, some at a time."""
    body = b"\x03bob" + content
    for start in range(0, count, AT_ONCE):
        pieces = []
        for position in range(start, min(start + AT_ONCE, count)):
            pieces.append(struct.pack(">IBBHQ", 12 + len(body), 1, 2, 0, position + 2))
            pieces.append(body)
        yield pieces


def serve(listener: socket.socket, count: int, content: bytes) -> None:
    """Let one client in, and tell it everything."""
    conn, _ = listener.accept()
    with conn:
        conn.recv(100)
        conn.sendall(struct.pack(">IBBHQ", 12 + len(WELCOME), 1, 8, 0, 1) + WELCOME)
        for pieces in facts(count, content):
            conn.sendall(b"".join(pieces))


def moved(port: int, count: int, content: bytes, listener: socket.socket) -> float:
    """Seconds that it takes until the client has everything."""
    size = count * (16 + 4 + len(content))
    server = threading.Thread(target=serve, args=(listener, count, content))
    server.start()
    view = memoryview(bytearray(1 << 18))
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(LOGIN)
        sock.recv(100)
        start = time.perf_counter()
        came = 0
        while came < size - 100:
            came += sock.recv_into(view)
        seconds = time.perf_counter() - start
    server.join()
    return seconds


@dataclass
class Load:
    """What is moved."""

    name: str
    count: int
    content: bytes

    @property
    def size(self) -> int:
        return self.count * (20 + len(self.content))


def once(load: Load, *, judge: bool) -> tuple[float, float]:
    """Seconds, and the share of the bytes that was judged."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryDirectory() as folder,
    ):
        to = listener.getsockname()[1]
        report = Path(folder) / "report.json"
        command = [sys.executable, "-c", PLAIN, str(to)]
        if judge:
            where = ["--to", f"127.0.0.1:{to}", "--json", str(report)]
            command = [sys.executable, "-m", "refserver", "proxy", "127.0.0.1:0", *where]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as proxy:
            assert proxy.stdout is not None
            port = int(proxy.stdout.readline().split()[1].rpartition(":")[2])
            seconds = moved(port, load.count, load.content, listener)
            proxy.send_signal(signal.SIGINT if judge else signal.SIGTERM)
            proxy.stdout.read()
            proxy.wait()
        if not judge:
            return seconds, 0.0
        said = json.loads(report.read_text())
        assert said["findings"] == [], said["findings"][0]
        return seconds, 1 - said["not_judged"] / load.size


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    scale = 50 if options.quick else 1
    loads = [
        Load("facts of 60,000 bytes", 10_000 // scale, b"x" * 60_000),
        Load("facts of 31 bytes", 1_000_000 // scale, b"hello world, how are you today?"),
    ]
    print("| what is moved | | plain | with the judge | time × | judged |")
    print("|---|---|---|---|---|---|")
    for load in loads:
        pairs = [
            (once(load, judge=False)[0], *once(load, judge=True))
            for _ in range(1 if options.quick else options.rounds)
        ]
        plain = statistics.median(pair[0] for pair in pairs)
        judged = statistics.median(pair[1] for pair in pairs)
        ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
        share = statistics.median(pair[2] for pair in pairs)
        for unit, amount in (("MB/s", load.size / 1e6), ("frames/s", load.count)):
            print(
                f"| {load.name} | {unit} | {amount / plain:,.0f} | {amount / judged:,.0f} "
                f"| {ratio:.2f} | {share:.0%} |"
            )


if __name__ == "__main__":
    main()
