"""Measure how long others wait in each storm: `tox -e bench-storms`.

Rule: it measures elapsed time from another process than the storm, so it needs a quiet machine;
the tests judge the server's processor time. The bar is 50 ms for a bystander's `Pong`.

Layer: beside the other benchmarks; `tests/refserver/storms.py` has the storms.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.refserver.storms import SECONDS, STORMS, Wait, waits_in

HEAD = "| storm | `Pong` | worst | computed | `Welcome` | worst | computed |"
"""All in milliseconds."""


def row(storm: str, rounds: int, seconds: float) -> str:
    """One storm, so many times: the median of all waits, and the median of the worst of each."""
    pongs: list[list[Wait]] = []
    welcomes: list[list[Wait]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            waits = waits_in(storm, Path(folder), seconds)
        pongs.append(waits.pongs)
        welcomes.append(waits.welcomes)
    return f"| {storm} | {figures(pongs)} | {figures(welcomes)} |"


def figures(rounds: list[list[Wait]]) -> str:
    """The median wait, and of the worst of each round the median, elapsed and computed."""
    usual = median(wait.lasted for waits in rounds for wait in waits)
    worst = median(max(wait.lasted for wait in waits) for waits in rounds)
    computed = median(max(wait.computed for wait in waits) for waits in rounds)
    return " | ".join(f"{1000 * each:.1f}" for each in (usual, worst, computed))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("storm", nargs="*", choices=[[], *STORMS], help="all, if none is given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    print(HEAD)
    print("|---|---|---|---|---|---|---|")
    for storm in options.storm or STORMS:
        seconds = 0.2 if options.quick else SECONDS
        print(row(storm, 1 if options.quick else options.rounds, seconds), flush=True)


if __name__ == "__main__":
    main()
