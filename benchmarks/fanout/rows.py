"""What is measured, and the bar that each measure has to reach.

Rule: data only. The runner, the tables and the plots walk these rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.fanout.servers import FLOOR, MOSQUITTO, REDIS, REFSERVER, SERVERS

Measure = Literal[
    "deliveries_per_s",
    "messages_per_s",
    "cpu_us_per_delivery",
    "cpu_ns_per_byte",
    "everybody_has_it_s",
    "memory_per_member",
    "server_cpu_share",
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
    seconds: float | None = None
    """How long to measure; None: what the command line says."""

    @property
    def name(self) -> str:
        return f"{self.subscribers} × {self.publishers} × {self.window}"


@dataclass(frozen=True)
class Bar:
    """A bound on a measure of refserver, or on its ratio to another server's in the same round."""

    measure: Measure
    sense: Literal["≥", "≤"]
    bound: float
    against: str | None = None


@dataclass(frozen=True)
class Row:
    """One load, the servers that meet it, and what is asked of refserver."""

    id: str
    load: Load
    servers: tuple[str, ...]
    bars: tuple[Bar, ...] = ()


ALL = tuple(SERVERS)
ALONE = (REFSERVER.name,)

FLOWS = (
    Row(
        "many-to-many",
        Load(100, 8, 16),
        ALL,
        (
            Bar("deliveries_per_s", "≥", 3, REDIS.name),
            Bar("deliveries_per_s", "≥", 20, MOSQUITTO.name),
        ),
    ),
    Row(
        "large-room",
        Load(1000, 4, 32),
        ALL,
        (
            Bar("deliveries_per_s", "≥", 3, REDIS.name),
            Bar("deliveries_per_s", "≥", 20, MOSQUITTO.name),
        ),
    ),
    Row("one-speaker", Load(100, 1, 64), ALL, (Bar("deliveries_per_s", "≥", 1.3, REDIS.name),)),
    Row("one-by-one", Load(100, 1, 1), ALL, (Bar("cpu_us_per_delivery", "≤", 1.2, FLOOR.name),)),
    Row("pair", Load(1, 1, 1000), ALL, (Bar("messages_per_s", "≥", 0.6, REDIS.name),)),
    Row("everybody-speaks", Load(10, 10, 100), ALL),
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
