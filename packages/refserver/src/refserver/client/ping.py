"""`refserver ping`: how long a server takes to answer.

Rule: it measures from the write of a `Ping` to the read of its `Pong`, and says what it measured.

Layer: below `commands`, above `options`.
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import suppress

import click

from ..arguments import Number, Whole
from .blocking import Room
from .network import CommandError
from .options import EXIT_CODES, Target, connecting
from .shell import Watching, enter, in_room

__all__ = ["ping", "summary"]


@click.command(epilog=EXIT_CODES)
@connecting
@click.option("-c", "--count", type=Whole(min=1), help="Exit after this number of Pings.")
@click.option(
    "-i",
    "--interval",
    type=Number(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two Pings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the summary, as JSON.")
def ping(
    to: Target,
    count: int | None,
    interval: float,
    as_json: bool,
) -> None:
    """Measure how long a server takes to answer a Ping, until Ctrl-C.

    It logs in, because a server ends a connection that does not. The exit code is 1 if a Pong did
    not come within --timeout.

    \b
    Examples:
      refserver ping localhost:3000
      refserver ping localhost:3000 -c 10 -i 0.2
    """
    times = list[float]()
    sent = 0
    took: float | None = 0.0
    with in_room(to) as (room, watching):
        enter(room, watching, to.timeout)
        start = time.monotonic()
        with suppress(KeyboardInterrupt):
            for sent in itertools.count(1) if count is None else range(1, count + 1):
                took = _round_trip(room, watching, to.timeout)
                if took is None:
                    break
                times.append(took)
                if not as_json:
                    click.echo(f"pong from {to.where}: seq={sent} time={took * 1000:.3f} ms")
                if sent != count and not _pass(room, watching, interval - took):
                    break
        told = summary(times, sent, time.monotonic() - start)
        click.echo(json.dumps(told) if as_json else _lines(to.where, told))
        if watching.failure:
            raise CommandError(watching.failure)
        if took is None:
            raise CommandError(f"no Pong within {to.timeout:g} s")


def _round_trip(room: Room, watching: Watching, timeout: float) -> float | None:
    """Seconds from a Ping to its Pong, or None where none comes."""
    start = time.perf_counter()
    if not watching.failure:
        room.ping()
    while not watching.failure and (left := start + timeout - time.perf_counter()) > 0:
        room.wait(left)
        if room.answers():
            return time.perf_counter() - start
    return None


def _pass(room: Room, watching: Watching, seconds: float) -> bool:
    """Let the time pass, and read what comes. Returns whether the connection is still there."""
    until = time.monotonic() + seconds
    while not watching.failure and (left := until - time.monotonic()) > 0:
        room.wait(left)
    return not watching.failure


def summary(times: list[float], sent: int, seconds: float) -> dict[str, float]:
    """The figures of a run; times in milliseconds.

    >>> summary([0.001, 0.003], 2, 1.5)["avg"]
    2.0
    """
    figures = {"sent": sent, "received": len(times), "seconds": round(seconds, 3)}
    if not times:
        return figures
    named = {"min": min(times), "avg": sum(times) / len(times), "max": max(times)}
    return figures | {name: round(value * 1000, 3) for name, value in named.items()}


def _lines(where: str, told: dict[str, float]) -> str:
    lost = 100 * (told["sent"] - told["received"]) / max(1, told["sent"])
    lines = [
        f"--- {where} ---",
        f"{told['sent']} sent, {told['received']} received, {lost:.0f}% lost, "
        f"{told['seconds']:.1f} s",
    ]
    if "min" in told:
        lines.append(f"min/avg/max = {told['min']:.3f}/{told['avg']:.3f}/{told['max']:.3f} ms")
    return "\n".join(lines)
