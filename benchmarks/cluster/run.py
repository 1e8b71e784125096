"""Measure one room on several servers, with Redis: `tox -e bench-cluster`.

Rule: the rows take turns in each round, and a difference is computed in each round, so that what
else happens on the machine hits all of them.

Layer: beside the other benchmarks; it uses the load generator of `benchmarks.fanout`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.redis import redis_server

from benchmarks import markdown
from benchmarks.fanout.measure import MeasurementError, generate
from benchmarks.fanout.rows import Load
from benchmarks.figures import Median
from refserver.launcher import launched

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
BAR_MS = 2.0
"""How much later the median message may come than on one server without Redis."""


@dataclass(frozen=True)
class Room:
    """One room, and the servers that share it."""

    name: str
    servers: int
    redis: Sequence[str] | None = None
    """Options of its Redis; None: the log is in memory."""

    @contextmanager
    def served(self) -> Iterator[tuple[list[int], list[int]]]:
        """The ports of its servers, and the processes: theirs, and Redis'."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            options: list[str] = ["--heartbeat", "0"]
            pids = []
            if self.redis is not None:
                engine = stack.enter_context(redis_server(folder, *self.redis))
                options += ["--log", engine.url]
                pids.append(engine.process.pid)
            log = stack.enter_context((folder / "server.log").open("wb"))
            running = [
                stack.enter_context(launched(*options, log=log)) for _ in range(self.servers)
            ]
            yield [each.port for each in running], [each.process.pid for each in running] + pids


ALONE = Room("one, without Redis", 1)
LATENCY = [
    ALONE,
    Room("one", 1, ()),
    Room("two", 2, ()),
    Room("two; Redis writes each call to disk", 2, DURABLE),
]
THROUGHPUT = [ALONE, *(Room(name, n, ()) for n, name in enumerate(("one", "two", "three"), 1))]

PACED = Load(subscribers=1, publishers=1, window=10_000, rate=2_000)
"""An author on the first server, a reader on the second one."""
CROWDED = Load(subscribers=30, publishers=3, window=16)
"""Ten readers and an author on each of three servers."""

Samples = dict[str, list[dict[str, Any]]]


def measured(rooms: Sequence[Room], load: Load, rounds: int, seconds: float) -> Samples:
    """The rounds of each room, by its name. Raises MeasurementError."""
    found: Samples = {room.name: [] for room in rooms}
    for _ in range(rounds):
        for room in rooms:
            with room.served() as (ports, pids):
                sample = generate(
                    "event", load, *ports, seconds=seconds, warmup=seconds / 3, pids=pids
                )
            if sample["lost"]:
                raise MeasurementError(f"{room.name}: {sample['lost']} were lost")
            found[room.name].append(sample)
    return found


def late(samples: Samples) -> str:
    """How late a message comes, and how much later than on one server without Redis."""
    rows = []
    for name, rounds in samples.items():
        times = [[each["latency_us"][which] / 1e3 for each in rounds] for which in ("p50", "p99")]
        alone = [each["latency_us"]["p50"] / 1e3 for each in samples[ALONE.name]]
        more = Median.of(a - b for a, b in zip(times[0], alone, strict=True))
        met = "–" if name == ALONE.name else markdown.verdict(more, "≤", BAR_MS)
        rows.append([name, *(Median.of(each).show() for each in times), more.show(), met])
    return markdown.table(["servers", "p50, ms", "p99, ms", "p50 later by, ms", "≤ 2 ms"], rows)


def busy(samples: Samples) -> str:
    """What is delivered, and whose processor time it takes."""
    rows = []
    for name, rounds in samples.items():
        engines = 0 if name == ALONE.name else 1
        servers = [sum(each["cpu_s"][: len(each["cpu_s"]) - engines]) for each in rounds]
        engine = [each["cpu_s"][-1] if engines else 0.0 for each in rounds]
        messages = [each["messages"] for each in rounds]
        figures = [
            [each["messages_per_s"] / 1e3 for each in rounds],
            [each["deliveries_per_s"] / 1e3 for each in rounds],
            [1e6 * cpu / count for cpu, count in zip(servers, messages, strict=True)],
            [1e6 * cpu / count for cpu, count in zip(engine, messages, strict=True)],
        ]
        rows.append([name, *(Median.of(each).show(1) for each in figures)])
    head = ["servers", "messages, thousands/s", "deliveries, thousands/s"]
    of = ["CPU of all servers, µs a message", "CPU of Redis, µs a message"]
    return markdown.table(head + of, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    rounds, seconds = (1, 0.2) if options.quick else (options.rounds, options.seconds)
    print(late(measured(LATENCY, PACED, rounds, seconds)), flush=True)
    print(busy(measured(THROUGHPUT, CROWDED, rounds, seconds)), flush=True)


if __name__ == "__main__":
    main()
