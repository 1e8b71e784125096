"""Signals that end a run: each is a KeyboardInterrupt, at a moment when nothing is half done.

Rule: Ctrl-C, SIGTERM and SIGHUP mean the same. What starts or ends a program, and what
writes a report, is done to its end first.

Layer: the bottom layer of the kit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["held", "interruptible"]

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class _Interrupts:
    """Whether a signal has to wait, and whether one does."""

    def __init__(self) -> None:
        self.holders = 0
        self.waiting = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.holders:
            self.waiting = True
        else:
            raise KeyboardInterrupt

    def release(self) -> None:
        self.holders -= 1
        if self.waiting and not self.holders:
            self.waiting = False
            raise KeyboardInterrupt


_interrupts = _Interrupts()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def interruptible() -> Iterator[None]:
    """Each of the signals raises KeyboardInterrupt in here; one that is ignored stays so."""
    handled = (
        [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN] if _is_main() else []
    )
    before = {number: signal.signal(number, _interrupts.on_signal) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """A signal that comes in here raises at the end of it."""
    if not _is_main():
        yield
        return
    _interrupts.holders += 1
    try:
        yield
    finally:
        _interrupts.release()
