"""Write down what each conformance case sends, for `refserver explain`.

Rule: nothing is made up: every case is run once, against the reference server or the
client of the kit's own tests, without a fault, and what the kit sent then is the example.
`python -m tools record examples` runs this.

Layer: outside the packages; needs both of them.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from tools.pages import ROOT

from refserver.conformance.annotate import Begun
from refserver.conformance.attempt import Attempt, Setting
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check_command import signalled
from refserver.conformance.examples import is_noted
from refserver.conformance.model import Case, Direction, Step
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.run import LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.websocket import accepted, over_websocket
from refserver.launcher import launched

TARGET = ROOT / "packages/refserver/src/refserver/conformance/examples.json"
CLIENT = [sys.executable, str(ROOT / "tests/conformance/faulty_client.py"), "{host}", "{port}"]
TIMEOUT = 20.0
BYTES, STEPS = 96, 10
"""What is kept of one step, and how many of a case: an example, not evidence."""

Example = list[dict[str, Any]]


def example(steps: Iterable[Step]) -> Example:
    """What the kit did: the bytes it sent, and where it ended its own stream."""
    done = [
        step
        for step in steps
        if step.who != "liveness-check"
        and (step.direction is Direction.SENT or is_noted(step.note))
    ]
    kept = [_told(step) for step in done[:STEPS]]
    return kept + ([{"who": "kit", "note": "and so on"}] if len(done) > STEPS else [])


def _told(step: Step) -> dict[str, Any]:
    if step.direction is Direction.NOTE:
        return {"who": step.who, "note": step.note}
    said = {"who": step.who} | _beginning(step)
    return said | ({"begun": _beginning(step.begun)} if step.begun.size else {})


def _beginning(run: Step | Begun) -> dict[str, Any]:
    return {"data": run.data[:BYTES].hex(), "size": run.size}


def of_server_cases(cases: Iterable[Case], *options: str) -> dict[str, Example]:
    """The examples of these cases, all against one server."""
    found = {}
    with launched("--quiet", "--ws", "0", *options) as server:
        for case in cases:
            is_web = "websocket" in case.capabilities
            host, _ = server.address
            setting = Setting(
                address=(host, server.ws_port) if is_web else server.address,
                wrap=over_websocket(host, server.ws_port) if is_web else None,
                timeout=TIMEOUT,
                capabilities=frozenset(case.capabilities),
                stop=partial(signalled, server.process.pid, signal.SIGTERM),
            )
            attempt = Attempt(setting, Segmentation.WHOLE, Random(case.id), "1")
            try:
                case.script(attempt)
            finally:
                attempt.close()
            found[case.id] = example(attempt.evidence)
    return found


def of_client_cases(cases: Iterable[Case]) -> dict[str, Example]:
    setting = Setting(address=LOOPBACK, timeout=TIMEOUT, capabilities=frozenset({"resume"}))
    driver = ClientDriver(command=CLIENT, setting=setting, seed=7)
    over = ClientDriver(command=[*CLIENT, "ws"], setting=replace(setting, wrap=accepted), seed=7)
    found = {}
    for case in cases:
        is_web = "websocket" in case.capabilities
        outcome = (over if is_web else driver).attempt(case, Segmentation.WHOLE)
        if outcome.failure is not None:
            raise outcome.failure
        found[case.id] = example(outcome.steps)
    return found


def rendered(found: dict[str, Example]) -> str:
    order = [case.id for case in (*SERVER_CASES, *CLIENT_CASES) if case.id in found]
    lines = (f" {json.dumps(id)}: {json.dumps(found[id])}" for id in order)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def of_cases(wanted: Callable[[Case], bool]) -> dict[str, Example]:
    """The examples of the cases wanted, but of those that need credentials."""
    waiting = {"heartbeat", "login-timeout"}
    apart = waiting | {"no-presence", "credentials", "shutdown"}
    cases = [case for case in SERVER_CASES if wanted(case)]
    needs = {case.id: set(case.capabilities) for case in cases}
    found = of_server_cases([c for c in cases if not needs[c.id] & apart])
    waits = [c for c in cases if needs[c.id] & waiting]
    found |= of_server_cases(waits, "--heartbeat", "2", "--login-timeout", "6")
    found |= of_server_cases([c for c in cases if "no-presence" in needs[c.id]], "--no-presence")
    for case in cases:
        if "shutdown" in needs[case.id]:
            found |= of_server_cases([case])
    return found | of_client_cases(filter(wanted, CLIENT_CASES))


def record(ids: Collection[str]) -> None:
    """Run these cases, or every one, once, and write what the kit sent."""
    known = json.loads(TARGET.read_text(encoding="utf-8")) if ids else {}
    found = of_cases(lambda case: not ids or case.id in ids)
    TARGET.write_text(rendered(known | found), encoding="utf-8")
