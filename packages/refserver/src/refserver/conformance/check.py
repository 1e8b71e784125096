"""Test a server: reach it, run the cases against it, gather a run.

Rule: whether the server is reached at all is settled before the first case, so that a
wrong address is no failed case.

Layer: above `attempt` and `suite`, below `commands`.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from ..arguments import spelled
from .attempt import Attempt, Setting
from .model import Case, Report, Result
from .raw import Frame
from .segmentation import Segmentation
from .suite import CaseFailed, NotReached, Outcome, Plan, UsageError, report_of

__all__ = ["CAPABILITIES", "DECLARED_BY", "ServerDriver", "check", "probe", "resolve"]

CAPABILITIES = {
    "presence": (True, "enters Joined and Left"),
    "resume": (True, "keeps sessions, and resumes them"),
    "heartbeat": (False, "has a heartbeat of a few seconds, so that cases can wait for it"),
    "login-timeout": (False, "ends clients that do not log in within 10 seconds"),
    "evicts": (False, "ends a member that lags behind by 40 MiB"),
}
"""What may be declared about a server: whether it is unless told otherwise, and what it means."""


def resolve(host: str, port: int, timeout: float) -> tuple[str, int]:
    """An address under which the server is reached. Raises NotReached."""
    reason = "the name has no address"
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotReached(f"cannot reach {host}: {error.strerror}") from error
    for family, kind, proto, _, address in infos:
        with socket.socket(family, kind, proto) as sock:
            sock.settimeout(timeout)
            try:
                sock.connect(address)
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            return str(address[0]), int(address[1])
    raise NotReached(f"cannot reach {spelled(host, port)}: {reason}")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the server says to a login."""

    frame: Frame | None = None
    """Its Welcome or another frame, if anything."""
    failure: str = ""
    """What came where no frame came, and what it looks like."""


def probe(setting: Setting, token: str) -> Greeting:
    """Log in once, and look at what comes, also while the connection is closed."""
    attempt = Attempt(setting, Segmentation.WHOLE, Random(0), f"{token}-probe")
    failure = ""
    try:
        conn = attempt.connect("probe")
        try:
            conn.login()
        except CaseFailed as failed:
            failure = failed.actual
    finally:
        attempt.close()
    return Greeting(conn.seen[-1]) if conn.seen else Greeting(None, conn.failure or failure)


@dataclass(slots=True)
class ServerDriver:
    """Makes attempts against one server; `token` keeps this run's names apart from others'."""

    setting: Setting
    target: str
    seed: int
    token: str
    options: Sequence[str] = ()
    """What a command line must repeat to run a case again."""
    attempts: int = 0

    def attempt(self, case: Case, segmentation: Segmentation) -> Outcome:
        """Run the case once; where it sends what is wrong, others must be served after it."""
        self.attempts += 1
        rng = Random(f"{self.seed}/{case.id}/{segmentation}")
        attempt = Attempt(self.setting, segmentation, rng, f"{self.token}-{self.attempts}")
        failure = None
        try:
            case.script(attempt)
            if case.negative:
                attempt.liveness_check()
        except CaseFailed as failed:
            failure = failed
        finally:
            attempt.close()
        try:
            attempt.validate_streams()
        except CaseFailed as failed:
            failure = failure or failed
        return Outcome(failure=failure, steps=attempt.evidence)

    def rerun(self, case: Case, segmentation: Segmentation) -> str:
        """The command line that runs only this."""
        words = [
            "refserver",
            "check",
            *self.target.split(),
            case.id,
            "--segmentation",
            str(segmentation),
        ]
        return shlex.join([*words, "--seed", str(self.seed), *self.options])


def check(
    plan: Plan,
    driver: ServerDriver,
    *,
    name: str,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Run the plan against the driver's server; returns the report of it."""
    for case in plan.cases:
        if unknown := set(case.capabilities) - set(DECLARED_BY):
            raise UsageError(f"{case.id} needs {sorted(unknown)}, which nobody can declare")
    return report_of(
        plan,
        driver,
        name=name,
        subject="server",
        target=driver.target,
        seed=driver.seed,
        on_result=on_result,
    )


DECLARED_BY = {
    **{name: f"--can {name}" for name, (is_on, _) in CAPABILITIES.items() if not is_on},
    **{name: f"no --cannot {name}" for name, (is_on, _) in CAPABILITIES.items() if is_on},
    "no-presence": "--cannot presence",
    "any-name": "no --credential-env",
    "credentials": "--credential-env",
    "shutdown": "--pid or --stop-command",
    "websocket": "an address ws://HOST:PORT",
}
"""What a case may need, and the options of `check` that say so."""
