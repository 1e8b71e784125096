"""What several processes of a run would do alike: one does it, and the others wait for it.

Windows has no fcntl; there, each process does it by itself.

Rule: nothing here imports the packages, so that the codec's tests run where the
server is absent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """No other process is in a block for this file at the same time."""
    with path.open() as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The file `name`, which `make` has written; the first process that asks makes it."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ and fcntl is not None:
        folder = folder.parent  # which all processes of this run share
    path = folder / name
    lock = folder / f"{name}.lock"
    lock.touch()
    with alone(lock):
        if not path.exists():
            make(path)
    return path
