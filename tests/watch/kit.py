"""The kit's own traffic, recorded by a proxy, and what the judge says of it.

Rule: a server is broken in this process and serves in a thread; the proxy has a loop of its own,
so that a server that stops takes nothing with it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from tests.conformance import faulty_client
from tests.conformance.mutating import asked_of, broken
from tests.conformance.threaded import InThread

from refserver.conformance.attempt import Setting
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.run import CAPABILITIES, LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import Plan, run_suite
from refserver.mutants import MUTANTS
from refserver.watch.conversation import Ended, Item, Opened, Side
from refserver.watch.judge import judged
from refserver.watch.proxy import Proxy

THREAD_TIMEOUT = 600.0
MOST_CONNECTIONS = 10_000


@contextmanager
def forwarding(
    port: int,
    told: list[Item],
    loops: list[asyncio.AbstractEventLoop] | None = None,
    after: int = 0,
) -> Iterator[int]:
    """A proxy to a port of this machine, in a thread. Yields the port where it listens.

    Its connections have the numbers behind `after`. Its loop is added to `loops`: a kit that waits
    for the server waits for the proxy too.

    As the server does, it listens no more when the server does not: who would connect again and
    again has an end so.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    if loops is not None:
        loops.append(loop)

    def tell(item: Item) -> None:
        last = told[-1] if told else None
        told.append(replace(item, connection=item.connection + after))
        if isinstance(item, Ended) and isinstance(last, Opened):
            proxy.refuse()

    proxy = Proxy(("127.0.0.1", port), tell, time.monotonic)
    try:
        start = asyncio.run_coroutine_threadsafe(proxy.start("127.0.0.1", 0), loop)
        yield start.result(THREAD_TIMEOUT)
    finally:
        if loops is not None:
            loops.remove(loop)
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(THREAD_TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(THREAD_TIMEOUT)
        loop.close()


def traffic_of_a_mutant(name: str, ids: Sequence[str]) -> list[Item]:
    """What passes between the kit and a broken server, in these cases."""
    told: list[Item] = []
    with broken(MUTANTS[name]) as here, ExitStack() as stack:
        ports = [
            stack.enter_context(forwarding(port, told, here.between, number * MOST_CONNECTIONS))
            for number, port in enumerate(here.ports)
        ]
        asked_of(MUTANTS[name], ids, ports, here.stop)
    return told


def traffic_of_a_fault(fault: str, ids: Iterable[str]) -> list[Item]:
    """What passes between the kit's server and a client with this fault, in these cases."""
    told: list[Item] = []
    loops: list[asyncio.AbstractEventLoop] = []
    wanted = set(ids)
    setting = Setting(address=LOOPBACK, timeout=0.05, capabilities=frozenset(CAPABILITIES))

    def play(host: str, port: int, rest: str, out: object, wait: object) -> None:
        with forwarding(port, told, loops) as instead:
            faulty_client.play(host, instead, rest, out, wait)  # type: ignore[arg-type]

    driver = ClientDriver(
        command=["{host}", "{port}", fault],
        setting=setting,
        seed=7,
        start=partial(InThread, play, between=loops),
    )
    plan = Plan(
        cases=[case for case in CLIENT_CASES if case.id in wanted],
        segmentations=[Segmentation.WHOLE],
        capabilities=frozenset(CAPABILITIES),
    )
    run_suite(plan, driver)
    return told


def broken_by(side: Side, items: Iterable[Item]) -> list[str]:
    """The statements that a side is found to break, each once."""
    found = judged(items, one_room=side is Side.SERVER).notes.findings
    return sorted({finding.statement for finding in found if finding.side is side})
