"""A broken server in this process, for as long as a test needs it.

Rule: no verdict depends on how fast the machine is. A deadline of the kit's has passed
only when the server's loop has gone round since: what it was slow to do is done then.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.conformance.serving import DECLARED
from tests.conformance.threaded import LOOK, come_round
from tests.support.redis import redis_server

from refserver.conformance.attempt import Setting
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check import ServerDriver
from refserver.conformance.model import Result, Verdict
from refserver.conformance.names import Identity
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.streams import Wrap
from refserver.conformance.suite import Plan, run_suite, select
from refserver.conformance.wire import Wire
from refserver.mutants import MUTANTS, Mutant, Patch
from refserver.server.auth import AllowAll, Proof
from refserver.server.config import Config
from refserver.server.server import Server

IDENTITIES = tuple(Identity(name, f"{name}'s".encode()) for name in ("ann", "bob", "cyd", "dan"))
HANG_TIMEOUT = 600.0
"""Seconds until a server that does not come round fails its test."""
TIMEOUT = 0.3
"""Seconds until what must come is missed; more than any mutant is late by."""
CAN = DECLARED | {"resume", "presence"}
LOADED = (
    "waits-for-the-slowest",
    "reading-not-resumed",
    "skips-for-the-slow",
    "reads-without-limit",
)
PAGED = (
    "page-",
    "large-entry-",
    "old-loses-",
    "replay-",
    "marker-",
    "logout-cuts-",
    "end-cuts-",
    "fault-cuts-",
)
COSTLY: dict[str, Callable[[Mutant], bool]] = {
    "slow consumers": lambda mutant: mutant.name in LOADED or "evicts" in mutant.needs,
    "keepalive": lambda mutant: not {"heartbeat", "login-timeout"}.isdisjoint(mutant.needs),
    "clocks": lambda mutant: not {"heartbeat", "login-timeout"}.isdisjoint(mutant.needs),
    "paging": lambda mutant: mutant.name.startswith(PAGED),
    "shutdown": lambda mutant: "shutdown" in mutant.needs,
    "websocket": lambda mutant: "websocket" in mutant.needs,
}
"""Sections that wait for a clock, move many MiB, end the server or need another transport: run
where they concern."""


class Passwords:
    """Four names, each with its credential."""

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        names = [each.name for each in IDENTITIES if each.credential == credential]
        return Proof(names[0]) if names and user in ("", *names) else None

    def reload(self) -> Iterable[None]:
        """There is nothing to read."""
        return ()


@dataclass(frozen=True, slots=True)
class Here:
    """A server in a thread of this process."""

    ports: Sequence[int]
    loop: asyncio.AbstractEventLoop
    servers: Sequence[Server]
    """One, or several that share a room."""
    ws_port: int | None = None
    between: list[asyncio.AbstractEventLoop] = field(default_factory=list)
    """The loops of what stands between the kit and the server, in threads of this process."""

    def stop(self) -> str:
        """Let it shut down in good order."""
        for server in self.servers:
            self.loop.call_soon_threadsafe(server.stop)
        return ""

    @property
    def is_settled(self) -> bool:
        """Whether the servers have read what all of them have asked."""
        nodes = [server.engine.node for server in self.servers if server.engine is not None]
        waiting = any(node.in_flight or node.has_asked or node.lag for node in nodes)
        return not waiting and len({node.place for node in nodes}) < 2

    def come_round(self) -> None:
        """Wait until it has done what it could do by now, or has ended."""
        hangs = time.monotonic() + HANG_TIMEOUT
        while not self.is_settled:
            assert time.monotonic() < hangs
            time.sleep(LOOK)
        come_round((*self.between, self.loop, *self.between))

    def waited(self, original: Any, wire: Wire, deadline: float, events: int) -> bool:
        """As the kit waits, but for a server that is only slow."""
        is_glance = deadline <= time.monotonic()
        ready: bool = original(wire, deadline, events)
        if ready or is_glance:
            return ready
        self.come_round()
        ready = original(wire, 0.0, events)
        return ready


@contextmanager
def serving_here(config: Config, auth: Any, count: int = 1) -> Iterator[Here]:
    """A server in a thread of this process, or several."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    servers: list[Server] = []
    ports: list[int] = []
    ws_ports: list[int] = []

    async def serve() -> None:
        for _ in range(count):
            server = Server(config, auth)
            await server.connect()
            servers.append(server)
            ports.append(server.start())
            if config.ws is not None:
                ws_ports.append(server.start_websockets(config.ws))
        started.set()
        for server in servers:
            await server.ended.wait()
            await server.disconnect()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(HANG_TIMEOUT)

    def end() -> None:
        for server in servers:
            server.stop()
            server.abort()
            server.ended.set()

    try:
        yield Here(ports, loop, servers, ws_ports[0] if ws_ports else None)
    finally:
        loop.call_soon_threadsafe(end)
        thread.join(HANG_TIMEOUT)
        for listeners in (each for server in servers for each in server._listeners):
            for listener in listeners._sockets:  # that a mutant has left open
                listener.close()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def broken(mutant: Mutant) -> Iterator[Here]:
    """The mutant, serving, and a kit that waits for a slow machine. At the end all is whole."""
    replaced: list[tuple[object, str, object]] = []

    def put(owner: object, name: str, value: object) -> None:
        replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    settings = {"drain": HANG_TIMEOUT, **mutant.settings}
    auth = Passwords() if "credentials" in mutant.needs else AllowAll()
    with ExitStack() as stack:
        if mutant.servers > 1:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            settings["log"] = stack.enter_context(redis_server(folder)).url
        config = Config(port=0, **settings)
        try:
            mutant.install(put)
            with serving_here(config, auth, mutant.servers) as here:
                Patch(put).around(Wire, "wait", here.waited)
                yield here
        finally:
            for owner, name, value in reversed(replaced):
                setattr(owner, name, value)


def cases_for(mutant: Mutant) -> list[str]:
    """All cases that can be run against a mutant in reasonable time.

    A mutant of the WebSocket listener is right about everything else.
    """
    if "websocket" in mutant.needs:
        alone = [case for case in SERVER_CASES if "websocket" in case.capabilities]
        return [case.id for case in alone if set(case.capabilities) <= CAN | set(mutant.needs)]
    left_out = {section for section, concerns in COSTLY.items() if not concerns(mutant)}
    return [case.id for case in SERVER_CASES if case.section not in left_out]


def asked_of(
    mutant: Mutant,
    ids: Sequence[str],
    ports: Sequence[int],
    stop: Callable[[], str],
    wrap: Wrap | None = None,
) -> list[Result]:
    """The results of these cases, asked at these ports."""
    needs = set(mutant.needs)
    cannot = {"any-name"} if "credentials" in needs else set()
    cannot |= {"presence"} if "no-presence" in needs else set()
    can = frozenset((DECLARED - cannot) | needs)
    first, *others = [("127.0.0.1", port) for port in ports]
    setting = Setting(
        address=first,
        others=tuple(others),
        wrap=wrap,
        timeout=TIMEOUT,
        capabilities=can,
        identities=IDENTITIES if "credentials" in needs else (),
        stop=stop if "shutdown" in needs else None,
    )
    driver = ServerDriver(setting=setting, target="here", seed=7, token=mutant.name[:6])
    cases = select(SERVER_CASES, ids)
    plan = Plan(cases=cases, segmentations=[Segmentation.WHOLE], capabilities=can)
    return run_suite(plan, driver)


def failing(mutant: Mutant, ids: Sequence[str]) -> set[str]:
    """The ids of the cases that fail against the mutant."""
    if "websocket" in mutant.needs:
        from refserver.conformance.websocket import over_websocket
    with broken(mutant) as here:
        if here.ws_port is None:
            results = asked_of(mutant, ids, here.ports, here.stop)
        else:
            wrap = over_websocket("127.0.0.1", here.ws_port)
            results = asked_of(mutant, ids, [here.ws_port], here.stop, wrap)
    wrong = (Verdict.FAILED, Verdict.UNSTABLE, Verdict.ERROR)
    return {result.case for result in results if result.verdict in wrong}


__all__ = ["COSTLY", "MUTANTS", "broken", "cases_for", "failing"]
