"""One attempt of a case against a client's command, and a whole run.

Rule: every attempt is a new process and a new listening socket, so that nothing is
left from the one before.

Layer: above the cases, below `commands`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..attempt import Setting
from ..model import Case, Report, Result
from ..segmentation import Segmentation
from ..suite import CaseFailed, Outcome, Plan, report_of
from .peer import opened
from .process import Process, Program

__all__ = ["CAPABILITIES", "DECLARED_BY", "LOOPBACK", "ClientDriver", "check_client"]

LOOPBACK = ("127.0.0.1", 0)
CAPABILITIES = {"resume": "resumes its session when its connection is lost"}
"""What may be declared about a client, and what it means."""
DECLARED_BY = {**{name: f"--can {name}" for name in CAPABILITIES}, "websocket": "--ws"}
"""What a case may need, and the options of `peer` that say so."""


@dataclass(slots=True)
class ClientDriver:
    """Makes attempts against one command; `has_printed` tells whether it has said anything at
    all."""

    command: Sequence[str]
    setting: Setting
    seed: int
    options: Sequence[str] = ()
    """What a command line must repeat to run a case again."""
    start: Callable[[Sequence[str]], Program] = Process
    """What makes a running client of the words of its command."""
    has_printed: bool = False

    def attempt(self, case: Case, segmentation: Segmentation) -> Outcome:
        """Run the command once, against the case's server."""
        seed = f"{self.seed}/{case.id}/{segmentation}"
        failure = None
        with opened(self.setting, segmentation, seed, self.command, self.start) as peer:
            try:
                case.script(peer)
            except CaseFailed as failed:
                failure = failed
            self.has_printed = self.has_printed or bool(peer.process.said)
        return Outcome(failure=failure, steps=peer.evidence)

    def rerun(self, case: Case, segmentation: Segmentation) -> str:
        """The command line that runs only this."""
        words = ["refserver", "peer", case.id, "--segmentation", str(segmentation)]
        words += ["--seed", str(self.seed), *self.options, "--", *self.command]
        return shlex.join(words)


def check_client(
    plan: Plan,
    driver: ClientDriver,
    *,
    name: str,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Run the plan against the driver's command; returns the report of it."""
    return report_of(
        plan,
        driver,
        name=name,
        subject="client",
        target=shlex.join(driver.command),
        seed=driver.seed,
        on_result=on_result,
    )
