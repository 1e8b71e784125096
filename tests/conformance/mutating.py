"""A broken server in this process, for as long as a test needs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.conformance.serving import DECLARED

from refserver.auth import OpenDoor, Proof
from refserver.config import Config
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check import ServerDriver
from refserver.conformance.model import Verdict
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import Plan, run_suite, select
from refserver.conformance.talk import Identity, Setting
from refserver.mutants import MUTANTS, Mutant
from refserver.server import Server

IDENTITIES = tuple(Identity(name, f"{name}'s".encode()) for name in ("ann", "bob", "cyd", "dan"))
LOADED = ("waits-for-the-slowest", "deaf-for-ever", "skips-for-the-slow")


class Passwords:
    """Four names, each with its credential."""

    def judge(self, user: str, credential: bytes, certified: str) -> Proof | None:
        names = [each.name for each in IDENTITIES if each.credential == credential]
        return Proof(names[0]) if names and user in ("", *names) else None

    def reload(self) -> None:
        """Nothing to read."""


@contextmanager
def serving_here(config: Config, auth: Any) -> Iterator[tuple[int, Callable[[], None]]]:
    """A server in a thread of this process; gives its port and what stops it."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    found: list[tuple[Server, int]] = []

    async def serve() -> None:
        server = Server(config, auth)
        found.append((server, server.start()))
        started.set()
        await server.ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    (server, port) = found[0]

    def stop() -> None:
        loop.call_soon_threadsafe(server.stop)

    def end() -> None:
        server.stop()
        server.abort()
        server.ended.set()

    try:
        yield port, stop
    finally:
        loop.call_soon_threadsafe(end)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def broken(mutant: Mutant) -> Iterator[tuple[int, Callable[[], None]]]:
    """The mutant, serving; afterwards everything is whole again."""
    replaced: list[tuple[object, str, object]] = []

    def put(owner: object, name: str, value: object) -> None:
        replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    config = Config(port=0, **{"drain": 1.0, **mutant.settings})
    auth = Passwords() if "credentials" in mutant.needs else OpenDoor()
    try:
        mutant.install(put)
        with serving_here(config, auth) as served:
            yield served
    finally:
        for owner, name, value in reversed(replaced):
            setattr(owner, name, value)


def cases_for(mutant: Mutant) -> list[str]:
    """All cases that can be run against a mutant in reasonable time."""
    sections = {"slow consumers": mutant.name in LOADED or "evicts" in mutant.needs}
    sections["keepalive"] = bool({"heartbeat", "login-timeout"} & set(mutant.needs))
    sections["shutdown"] = "shutdown" in mutant.needs
    return [case.id for case in SERVER_CASES if sections.get(case.section, True)]


def failing(mutant: Mutant, ids: list[str], timeout: float = 0.5) -> set[str]:
    """The ids of the cases that fail against the mutant."""
    needs = set(mutant.needs)
    cannot = {"any-name"} if "credentials" in needs else set()
    cannot |= {"presence"} if "no-presence" in needs else set()
    can = (DECLARED - cannot) | needs
    with broken(mutant) as (port, stop):
        setting = Setting(
            address=("127.0.0.1", port),
            timeout=timeout,
            capabilities=frozenset(can),
            identities=IDENTITIES if "credentials" in needs else (),
            stop=stop if "shutdown" in needs else None,
        )
        driver = ServerDriver(setting=setting, target="here", seed=7, token=mutant.name[:6])
        plan = Plan(
            cases=select(SERVER_CASES, ids),
            segmentations=[Segmentation.WHOLE],
            capabilities=frozenset(can),
        )
        results = run_suite(plan, driver)
    wrong = (Verdict.FAILED, Verdict.UNSTABLE, Verdict.ERROR)
    return {result.case for result in results if result.verdict in wrong}


__all__ = ["MUTANTS", "broken", "cases_for", "failing"]
