"""A proxy in a thread of this process, for tests.

Rule: what it tells is judged here, while it passes; the test reads what was found.

Layer: above `proxy` and `judge`, beside the commands.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

from .conversation import Did, Item
from .disturbing import Disturber, Rule
from .findings import Finding, Notes
from .judge import Judge
from .proxy import Proxy

__all__ = ["FaultyServer", "beside"]

THREAD_TIMEOUT = 60.0
"""Seconds that the thread may take to begin or to end, far beyond what it needs."""


class FaultyServer:
    """Where a disturbed server is reached, and what was done and found so far."""

    def __init__(self, to: tuple[str, int], rules: Sequence[Rule], seed: int) -> None:
        self.host, self.port = "127.0.0.1", 0
        self._judge = Judge(Notes())
        self._did: list[str] = []
        self._lock = threading.Lock()
        self.proxy = Proxy(
            to,
            self._take,
            time.monotonic,
            disturb=lambda number: Disturber(rules, Random(f"{seed}/{number}")),
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as `socket.create_connection` takes them."""
        return self.host, self.port

    @property
    def did(self) -> list[str]:
        """What was done to the conversations, in words."""
        with self._lock:
            return list(self._did)

    @property
    def findings(self) -> list[Finding]:
        """What the client broke, by what reached it; and the server, by what reached that."""
        with self._lock:
            return list(self._judge.notes.findings)

    def _take(self, item: Item) -> None:
        with self._lock:
            if isinstance(item, Did):
                self._did.append(item.what)
            self._judge.take(item)


@contextmanager
def beside(
    to: tuple[str, int], rules: Sequence[Rule] = (), *, seed: int = 0
) -> Iterator[FaultyServer]:
    """A proxy to `to` that disturbs by these rules, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    faulty = FaultyServer(to, rules, seed)
    proxy = faulty.proxy
    try:
        start = asyncio.run_coroutine_threadsafe(proxy.start(faulty.host, 0), loop)
        faulty.port = start.result(THREAD_TIMEOUT)
        yield faulty
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(THREAD_TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(THREAD_TIMEOUT)
        loop.close()
