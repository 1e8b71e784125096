"""Medians with their spread, and the machine they belong to.

Rule: a figure never travels without its spread, nor a ratio made from figures
of different rounds: other work on the machine then hits both sides alike.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Median:
    """The median of some rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Median:
        """The median of at least one value."""
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1])

    def show(self, digits: int = 2, scale: float = 1) -> str:
        """`median (low–high)` with so many digits behind the point."""
        middle, low, high = (f"{v * scale:.{digits}f}" for v in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low}–{high})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Median:
    """Ours over theirs, round by round."""
    return Median.of(a / b for a, b in zip(ours, theirs, strict=True))


def interpreter() -> str:
    """The interpreter and whether its build was optimised, which is worth 12–25 %."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    built = "profile-guided build" if "--enable-optimizations" in options else "plain build"
    return f"{platform.python_implementation()} {platform.python_version()}, {built}"


def processor() -> str:
    """The processor's own name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def environment() -> dict[str, str]:
    """What a reader has to know to compare these figures with others."""
    return {
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "interpreter": interpreter(),
    }
