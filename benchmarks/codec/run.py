"""`tox -e bench-codec`: eventcodec beside construct, hand-written code, json, msgpack and msgspec.

Rule: contenders take turns within each round, and CPU time is counted rather
than the clock, so that other work on the machine hits all of them little and alike.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from importlib.metadata import version
from time import process_time

import click

from benchmarks import results
from benchmarks.codec import drawing, report
from benchmarks.codec.contenders import GROUPS, Prepare, check
from benchmarks.codec.rows import TASKS, Task
from benchmarks.figures import environment
from benchmarks.progress import console, steps


def seconds(prepare: Prepare, least: float) -> float:
    """CPU seconds for one turn of the work, the mean of as many as fill `least` seconds."""
    spent, turns = 0.0, 0
    gc.collect()
    while spent < least:
        work = prepare()
        start = process_time()
        result = work()
        spent += process_time() - start
        turns += 1
        del result
    return spent / turns


IMPORTS = """
from time import process_time
start = process_time()
import construct
between = process_time()
import eventcodec
print(between - start, process_time() - between)
"""


def import_times() -> dict[str, float]:
    """Milliseconds of CPU in a fresh interpreter: construct, and eventcodec behind it.

    Python may keep the bytecode of what it imports, as it does for a user.
    """
    command = [sys.executable, "-c", IMPORTS]
    environ = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    found = (float(seconds) * 1000 for seconds in done.stdout.split())
    return dict(zip(("construct", "eventcodec"), found, strict=True))


def measure(rounds: int, least: float) -> results.Result:
    """All rounds of all tasks."""
    times: dict[str, dict[str, list[float]]] = {task: {} for task in TASKS}
    imports: dict[str, list[float]] = {}
    plan: list[tuple[Task, str, Prepare]] = [
        (task, name, prepare)
        for task in TASKS.values()
        for name, prepare in GROUPS[task.id].contenders.items()
    ]
    with steps((rounds + 1) * len(plan) + rounds) as step:
        for _, name, prepare in plan:
            step(f"warming up: {name}")
            seconds(prepare, least)
        import_times()
        for _ in range(rounds):
            for task, name, prepare in plan:
                step(f"{task.id}: {name}")
                microseconds = seconds(prepare, least) / task.items * 1e6
                times[task.id].setdefault(name, []).append(microseconds)
            step("import")
            for name, milliseconds in import_times().items():
                imports.setdefault(name, []).append(milliseconds)
    return {
        "environment": environment(),
        "versions": {name: version(name) for name in ("construct", "msgpack", "msgspec")},
        "options": {"rounds": rounds},
        "times": times,
        "import_ms": imports,
    }


@click.command(help=__doc__.partition("\n")[0])
@click.option("--rounds", type=click.IntRange(1, 100), default=15, show_default=True)
@click.option("--quick", is_flag=True, help="Three short rounds: does it run, not how fast.")
@click.option("--publish", is_flag=True, help="Write docs/performance.md and its plot too.")
def main(rounds: int, quick: bool, publish: bool) -> None:
    check()
    result = measure(3, 0.005) if quick else measure(rounds, 0.05)
    blocks = report.blocks(result)
    folder = results.store(
        "codec", result, blocks, lambda plots: drawing.draw(result, plots), publish=publish
    )
    click.echo("\n".join(blocks.values()))
    console.print(f"written to {folder}")


if __name__ == "__main__":
    main()
