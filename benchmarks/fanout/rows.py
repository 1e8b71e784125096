"""What is measured, and the bar that each measure has to reach.

Rule: data only. The runner, the tables and the plots walk these rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.fanout.servers import (
    FLOOR,
    FLOOR_BATCHED,
    MOSQUITTO,
    NATS,
    PURE,
    REDIS,
    REFSERVER,
    SERVERS,
)

Measure = Literal[
    "deliveries_per_s",
    "messages_per_s",
    "cpu_us_per_delivery",
    "cpu_ns_per_byte",
    "everybody_has_it_s",
    "memory_per_member",
    "server_cpu_share",
    "p50_us",
    "p90_us",
    "p99_us",
]


@dataclass(frozen=True)
class Load:
    """What the load generator does in one run."""

    subscribers: int
    publishers: int = 1
    window: int = 1
    size: int = 64
    bursts: int = 0
    """Single messages into a quiet room, instead of a steady flow."""
    closed: bool = False
    """The next message is sent when the last one has reached everybody."""
    tls: bool = False
    rate: int = 0
    """Messages a second, whatever has arrived; 0: as many as the window lets out."""
    seconds: float | None = None
    """How long to measure; None: what the command line says."""

    @property
    def name(self) -> str:
        name = f"{self.subscribers} × {self.publishers} × {self.window}"
        return name + ", closed loop" * self.closed + ", TLS" * self.tls


@dataclass(frozen=True)
class Bar:
    """A bound on a measure of refserver, or on its ratio to another server's in the same round.

    `pure` is the bound without the native module of eventcodec, where there is one.
    """

    measure: Measure
    sense: Literal["≥", "≤"]
    bound: float
    against: str | None = None
    pure: float | None = None


@dataclass(frozen=True)
class Row:
    """One load, the servers that meet it, and what is asked of refserver."""

    id: str
    load: Load
    servers: tuple[str, ...]
    bars: tuple[Bar, ...] = ()


ALL = tuple(SERVERS)
ALONE = (REFSERVER.name,)


def _latency(bound: float, pure: float) -> tuple[Bar, ...]:
    measures: tuple[Measure, ...] = ("p50_us", "p90_us", "p99_us")
    return tuple(Bar(measure, "≤", bound, REDIS.name, pure) for measure in measures)


FLOWS = (
    Row(
        "many-to-many",
        Load(100, 8, 16),
        ALL,
        (
            Bar("deliveries_per_s", "≥", 3.3, REDIS.name, 2.5),
            Bar("deliveries_per_s", "≥", 20, MOSQUITTO.name),
        ),
    ),
    Row(
        "large-room",
        Load(1000, 4, 32),
        ALL,
        (
            Bar("deliveries_per_s", "≥", 4.5, REDIS.name, 4),
            Bar("deliveries_per_s", "≥", 20, MOSQUITTO.name),
        ),
    ),
    Row("one-speaker", Load(100, 1, 64), ALL, (Bar("deliveries_per_s", "≥", 2, REDIS.name, 1.7),)),
    Row("one-by-one", Load(100, 1, 1), ALL, _latency(1, 1.1)),
    Row(
        "closed-loop",
        Load(100, 1, 1, closed=True),
        (REFSERVER.name, PURE.name, REDIS.name, NATS.name, FLOOR.name, FLOOR_BATCHED.name),
        (
            Bar("cpu_us_per_delivery", "≤", 1, REDIS.name, 1.1),
            Bar("cpu_us_per_delivery", "≤", 1.1, FLOOR.name),
        ),
    ),
    Row(
        "pair",
        Load(1, 1, 1000),
        ALL,
        (
            Bar("messages_per_s", "≥", 1.3, REDIS.name, 0.75),
            Bar("messages_per_s", "≥", 1, NATS.name),
        ),
    ),
    Row(
        "everybody-speaks",
        Load(10, 10, 100),
        ALL,
        (
            Bar("deliveries_per_s", "≥", 1.7, REDIS.name, 1.35),
            Bar("deliveries_per_s", "≥", 1.3, NATS.name, 1.1),
        ),
    ),
    Row(
        "over-tls",
        Load(100, 8, 16, tls=True),
        (REFSERVER.name, PURE.name, REDIS.name),
        (Bar("deliveries_per_s", "≥", 1.5, REDIS.name),),
    ),
)

HEARTBEAT = 20.0
"""Seconds: the default. A silent member is pinged once in that time, so idle includes it."""

CROWD = Row(
    "crowd",
    Load(10_000, bursts=10),
    ALONE,
    (Bar("everybody_has_it_s", "≤", 1), Bar("memory_per_member", "≤", 16 * 1024)),
)
IDLE = Row(
    "idle",
    Load(1000, publishers=0, seconds=HEARTBEAT),
    ALONE,
    (Bar("server_cpu_share", "≤", 0.01),),
)

_BASE = FLOWS[0].load
SCALING: dict[str, tuple[Row, ...]] = {
    "members": tuple(
        Row(f"members-{n}", replace(_BASE, subscribers=n), ALONE) for n in (50, 100, 200, 400, 800)
    ),
    "publishers": tuple(
        Row(f"publishers-{n}", replace(_BASE, publishers=n), ALONE) for n in (2, 4, 8, 16, 32)
    ),
    "message size": tuple(
        Row(f"size-{n}", replace(_BASE, size=n), ALONE) for n in (64, 128, 256, 512, 1024)
    ),
}
DOUBLING = Bar("cpu_ns_per_byte", "≤", 1.15)
"""For each doubling in SCALING, against the row before it."""

ROWS = {
    row.id: row
    for row in (*FLOWS, CROWD, IDLE, *(row for series in SCALING.values() for row in series))
}
