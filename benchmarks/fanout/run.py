"""`tox -e bench-fanout`: refserver beside Redis, NATS, Mosquitto and the C floor.

Rule: the runs are interleaved, round by round and server by server, so that
what else happens on the machine hits all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import click

from benchmarks import results
from benchmarks.fanout import drawing, report
from benchmarks.fanout.build import has_openssl
from benchmarks.fanout.measure import MeasurementError, Sample, allow_connections, cores, run
from benchmarks.fanout.rows import ROWS, Row
from benchmarks.fanout.servers import REFSERVER, SERVERS, Server
from benchmarks.figures import environment
from benchmarks.progress import console, steps


def _plan(rows: list[Row], servers: list[Server], rounds: int) -> Iterator[tuple[int, Row, Server]]:
    for number in range(rounds):
        for row in rows:
            for server in servers:
                if server.name in row.servers:
                    yield number, row, server


def _installed(names: list[str]) -> list[Server]:
    chosen = [SERVERS[name] for name in names]
    for server in chosen:
        if server.find() is None:
            console.print(f"[yellow]{server.title} is not installed: its columns stay empty")
    return [server for server in chosen if server.find() is not None]


def measure(
    rows: list[Row], servers: list[Server], rounds: int, seconds: float, warmup: float
) -> results.Result:
    """All rounds of all rows."""
    samples: dict[str, dict[str, list[Sample | None]]] = {}
    failures = []
    plan = list(_plan(rows, servers, rounds))
    with steps(len(plan)) as step:
        for number, row, server in plan:
            step(f"{row.id}, {server.title}")
            sample = None
            try:
                sample = run(server, row.load, seconds=seconds, warmup=warmup)
            except MeasurementError as error:
                failure = {"round": number + 1, "row": row.id, "server": server.name}
                failures.append(failure | {"reason": str(error)})
                console.print(f"{row.id}, {server.title}: {error}", style="red", markup=False)
            samples.setdefault(row.id, {}).setdefault(server.name, []).append(sample)
    return {
        "environment": environment(),
        "servers": {server.name: server.version() for server in servers},
        "options": {"rounds": rounds, "seconds": seconds, "warmup": warmup},
        "samples": samples,
        "failures": failures,
    }


@click.command(help=__doc__.partition("\n")[0])
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.05, 60), default=1.0, show_default=True)
@click.option("--warmup", type=click.FloatRange(0, 60), default=0.5, show_default=True)
@click.option("--quick", is_flag=True, help="One short round: does it run, not how fast.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="Only this row.")
@click.option(
    "--server", "servers", multiple=True, type=click.Choice(list(SERVERS)), help="Only this server."
)
@click.option(
    "--publish",
    is_flag=True,
    help="Write docs/performance.md and its plots too; with --row, only these rows are new.",
)
def main(
    rounds: int,
    seconds: float,
    warmup: float,
    quick: bool,
    rows: tuple[str, ...],
    servers: tuple[str, ...],
    publish: bool,
) -> None:
    if quick:
        rounds, seconds, warmup = 1, 0.3, 0.2
    if len(set(cores())) == 1:
        console.print("[yellow]one core only: server and load generator share it")
    allow_connections()
    chosen = [ROWS[name] for name in rows or ROWS]
    if any(row.load.tls for row in chosen) and not has_openssl():
        console.print("[yellow]no OpenSSL: the rows over TLS stay empty")
        chosen = [row for row in chosen if not row.load.tls]
    if quick:
        chosen = [replace(row, load=replace(row.load, seconds=None)) for row in chosen]
    installed = _installed(list(servers or SERVERS))
    result = measure(chosen, installed, rounds, seconds, warmup)
    if publish and rows:  # the other rows stay as they were published
        before = results.load("fanout")
        result["samples"] = before["samples"] | result["samples"]
        result["servers"] = before["servers"] | result["servers"]
    blocks = report.blocks(result)
    folder = results.store(
        "fanout", result, blocks, lambda plots: drawing.draw(result, plots), publish=publish
    )
    click.echo("\n".join(blocks.values()))
    console.print(f"written to {folder}")
    if any(failure["server"] == REFSERVER.name for failure in result["failures"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
