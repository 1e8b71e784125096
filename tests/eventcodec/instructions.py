"""Count the instructions of a few pieces of work, each in a process of its own.

Rule: run under `valgrind --tool=cachegrind`; everything is imported and prepared
once, then each piece of work has a fork to itself, which inherits the count so
far. What `nothing` counts is to be taken off. Instructions repeat to a
thousandth, where clocks do not.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from benchmarks.codec import handwritten

import eventcodec
from eventcodec import (
    IMPLEMENTATION,
    ClientConnection,
    Decoder,
    Login,
    Message,
    Welcome,
    encode,
)
from eventcodec.limits import MAX_FRAME_CEILING

ROOT = Path(__file__).resolve().parents[2]
WARM, TURNS = 5, 5
"""Turns of the work that is compared with other work: before the forks, and counted."""

Work = Callable[[], object]


def frames(count: int) -> bytes:
    """So many messages of 54 bytes."""
    said = (f"message {n:25}" for n in range(1, count + 1))
    return b"".join(encode(Message(seq=n, sender="anna", content=c)) for n, c in enumerate(said, 1))


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def take(events: Iterator[object]) -> None:
    """Take every event and keep none."""
    deque(events, maxlen=0)


def decoding(data: bytes, size: int | None = None) -> Work:
    parts = chunks(data, size or len(data))

    def work() -> None:
        decoder = Decoder(max_frame=MAX_FRAME_CEILING)
        for part in parts:
            decoder.receive_data(part)
            take(decoder.events())

    return work


def connecting(data: bytes) -> Work:
    def member() -> ClientConnection:
        connection = ClientConnection()
        connection.send(Login(user="bob"))
        welcome = Welcome(seq=1, user="bob", ticket=1, position=0, max_frame=65_536, heartbeat=0)
        connection.receive_data(encode(welcome))
        take(connection.events())
        return connection

    members = [member() for _ in range(WARM + TURNS)]

    def work() -> None:
        connection = members.pop()
        connection.receive_data(data)
        take(connection.events())

    return work


def large(size: int) -> bytes:
    return encode(Message(seq=1, content="x" * size))


def compared() -> dict[str, Work]:
    """Work that is compared with other work; it is warm, and done `TURNS` times."""
    thousand = frames(1_000)
    return {
        "decode": decoding(thousand),
        "decode by hand": lambda: handwritten.decode(thousand),
        "through a connection": connecting(thousand),
    }


def doubled() -> dict[str, Work]:
    """Work that is compared with twice as much of its own."""
    return {
        "1,000 frames in one chunk": decoding(frames(1_000)),
        "2,000 frames in one chunk": decoding(frames(2_000)),
        "64 KiB in chunks of 64 bytes": decoding(large(1 << 16), 64),
        "128 KiB in chunks of 64 bytes": decoding(large(1 << 17), 64),
        "50 frames byte by byte": decoding(frames(50), 1),
        "100 frames byte by byte": decoding(frames(100), 1),
    }


def times(count: int, work: Work) -> Work:
    def turns() -> None:
        for _ in range(count):
            work()

    return turns


def main(wanted: Collection[str]) -> None:
    """In valgrind: a fork for each piece of work, its process id and name on stdout."""
    gc.disable()  # when it strikes is nobody's doing
    works = {"nothing": times(0, compared)}
    for name, work in compared().items():
        if name in wanted:
            times(WARM, work)()
            works[name] = times(TURNS, work)
    works |= {name: work for name, work in doubled().items() if name in wanted}
    for name, work in works.items():
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        print(pid, IMPLEMENTATION, name, flush=True)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


BOTH = """
import json, os, sys
import construct  # under valgrind its import takes as long as all of eventcodec's
is_pure = os.fork() == 0
os.environ["EVENTCODEC_PURE"] = str(int(is_pure))
from tests.eventcodec.instructions import main
main(json.loads(sys.argv[1 if is_pure else 2]))
"""


def count(*, pure: Collection[str], native: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """Instructions for these pieces of work, by `IMPLEMENTATION`; `native` as it is installed."""
    command = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
        *(sys.executable, "-S", "-c", BOTH, json.dumps([*pure]), json.dumps([*native])),
    ]
    # Nothing else of our environment: coverage would count itself.
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"}
    path = [str(Path(eventcodec.__file__).parents[1]), *sys.path]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    collected = dict(re.findall(r"^==(\d+)== I +refs: +([\d,]+)$", done.stderr, re.MULTILINE))
    counts: dict[str, dict[str, int]] = {}
    for pid, kind, name in re.findall(r"^(\d+) (\S+) (.+)$", done.stdout, re.MULTILINE):
        counts.setdefault(kind, {})[name] = int(collected[pid].replace(",", ""))
    return {
        kind: {name: counted - each["nothing"] for name, counted in each.items()}
        for kind, each in counts.items()
    }
