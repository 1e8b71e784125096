"""A server, and the kit against it: for as long as a test needs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from tests.support.server import launched

from refserver.conformance.attempt import Setting
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check import CAPABILITIES, ServerDriver
from refserver.conformance.model import Result
from refserver.conformance.names import Identity
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import Plan, run_suite, select

TIMEOUT = 300.0
"""Seconds until what must come is missed; where it comes they cost nothing."""
DECLARED = frozenset(name for name, (on, _) in CAPABILITIES.items() if on) | {"any-name"}


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server is, what shuts it down, and who may log in."""

    port: int
    stop: Callable[[], str]
    """Returns what went wrong."""
    identities: tuple[Identity, ...] = ()
    """Empty where everybody may."""

    def driver(self, *, can: frozenset[str] = DECLARED, timeout: float = TIMEOUT) -> ServerDriver:
        setting = Setting(
            address=("127.0.0.1", self.port),
            timeout=timeout,
            capabilities=can,
            identities=self.identities,
            stop=self.stop,
        )
        token = f"t{Random().randrange(16**6):06x}"
        return ServerDriver(setting=setting, target=f"localhost:{self.port}", seed=7, token=token)

    def run(
        self,
        *ids: str,
        segmentations: tuple[Segmentation, ...] = (Segmentation.WHOLE,),
        can: frozenset[str] = DECLARED,
        timeout: float = TIMEOUT,
    ) -> list[Result]:
        """The results of these cases against the server."""
        cases = select(SERVER_CASES, ids)
        plan = Plan(cases=cases, segmentations=segmentations, capabilities=can)
        return run_suite(plan, self.driver(can=can, timeout=timeout))


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """`refserver serve` with these options, on a free port, in a process of its own."""
    with launched("--quiet", *options) as server:

        def stop() -> str:
            os.kill(server.process.pid, signal.SIGTERM)
            return ""

        yield Served(server.port, stop)
