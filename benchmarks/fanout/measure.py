"""One run: a fresh server on one core, the load generator on the other.

Rule: a run ends within its own time limit, and a run that went wrong is a
`MeasurementError` with its reason, never a figure.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.fanout.build import program
from benchmarks.fanout.rows import Load, Measure
from benchmarks.fanout.servers import CannotStart, Server, pinned, running

Sample = dict[str, Any]
"""What the load generator printed."""

SETUP_AND_DRAIN_SECONDS = 400.0


class MeasurementError(Exception):
    """A run gave no figures; the argument says why."""


def cores() -> tuple[int, int]:
    """One core for the server and one for the load generator, the same where there is one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def allow_connections() -> None:
    """Raise the soft limit on open files to the hard one, for us and for what we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _arguments(protocol: str, load: Load, seconds: float, warmup: float) -> list[str]:
    options = {
        "protocol": protocol,
        "subscribers": load.subscribers,
        "publishers": load.publishers,
        "window": load.window,
        "size": load.size,
        "seconds": round(seconds * 1000),
        "warmup": round(warmup * 1000),
    }
    if load.bursts:
        options["bursts"] = load.bursts
    if load.rate:
        options["rate"] = load.rate
    flags = ["--closed"] * load.closed + ["--tls"] * load.tls
    return [f"--{name}={value}" for name, value in options.items()] + flags


def generate(
    protocol: str,
    load: Load,
    *ports: int,
    seconds: float,
    warmup: float,
    pids: Sequence[int] = (),
) -> Sample:
    """What the load generator counts against servers that listen on these ports; `pids` are the
    processes whose CPU it counts too."""
    command = [str(program("loadgen")), *_arguments(protocol, load, seconds, warmup)]
    command += [f"--port={port}" for port in ports] + [f"--server-pid={pid}" for pid in pids]
    limit = SETUP_AND_DRAIN_SECONDS + seconds + warmup
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(str(error)) from error
    if done.returncode != 0:
        raise MeasurementError(done.stderr.strip())
    sample: Sample = json.loads(done.stdout)
    if load.publishers and not sample["deliveries"]:
        raise MeasurementError("nothing arrived in the time that was measured")
    return sample


def run(server: Server, load: Load, *, seconds: float, warmup: float) -> Sample:
    """What one run against a fresh server counted."""
    server_core, generator_core = cores()
    seconds = load.seconds or seconds
    try:
        with running(server, server_core, tls=load.tls) as (port, pid), pinned(generator_core):
            return generate(server.protocol, load, port, seconds=seconds, warmup=warmup, pids=[pid])
    except CannotStart as error:
        raise MeasurementError(str(error)) from error


def _memory(sample: Sample) -> float:
    grown = float(sample["server_rss"] - sample["server_rss_alone"])
    members: int = sample["subscribers"] + sample["publishers"]
    return grown / members


MEASURES: dict[Measure, Callable[[Sample], float]] = {
    "deliveries_per_s": lambda sample: sample["deliveries_per_s"],
    "messages_per_s": lambda sample: sample["messages_per_s"],
    "cpu_us_per_delivery": lambda sample: sample["server_cpu_s"] * 1e6 / sample["deliveries"],
    "cpu_ns_per_byte": lambda sample: sample["server_cpu_s"] * 1e9 / sample["member_bytes"],
    "everybody_has_it_s": lambda sample: max(sample["everybody_has_it_s"]),
    "memory_per_member": _memory,
    "server_cpu_share": lambda sample: sample["server_cpu_share"],
    "p50_us": lambda sample: sample["latency_us"]["p50"],
    "p90_us": lambda sample: sample["latency_us"]["p90"],
    "p99_us": lambda sample: sample["latency_us"]["p99"],
}
