"""Read the files of the settings again while the server runs.

Rule: a file that cannot be read changes nothing.

Layer: above `auth` and `tls`, below `server`.
"""

from __future__ import annotations

import asyncio
import logging

from .auth import Auth
from .config import ConfigError
from .logs import log_event
from .tls import Tls

__all__ = ["Reloading"]


class Reloading:
    """Reads the tokens and the certificates again, in steps between turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, auth: Auth, tls: Tls | None) -> None:
        self._loop = loop
        self._sources: list[Auth | Tls] = [auth] if tls is None else [auth, tls]
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; a second start during the first begins anew. The log has a line about the end."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        failures: list[str] = []
        for source in self._sources:
            try:
                for _ in source.reload():
                    await asyncio.sleep(0)
            except ConfigError as error:
                failures.append(str(error))
        log_event("reload", level=logging.ERROR if failures else logging.INFO, failures=failures)
