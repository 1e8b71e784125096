"""Each case holds while strangers talk, come and go in the room.

The cases that wait for a clock are in test_check.py, where all of them wait at the same time.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from tests.conformance.serving import DECLARED, TIMEOUT, Served, serving
from tests.conformance.strangers import VISIT, strangers
from tests.support.raw import Bystander

from refserver.conformance import raw
from refserver.conformance.attempt import Attempt, Setting
from refserver.conformance.cases import SERVER_CASES, slow
from refserver.conformance.model import Verdict
from refserver.conformance.segmentation import Segmentation

pytestmark = pytest.mark.once

CASES = [
    case.id
    for case in SERVER_CASES
    if case.section != "shutdown" and DECLARED.issuperset(case.capabilities)
]
"""Those that a server needs no option for."""


@pytest.fixture(scope="module")
def busy() -> Iterator[Served]:
    with serving() as server, strangers(server.port):
        yield server


def test_strangers_of_every_kind_of_fact_are_heard_all_the_time(busy: Served) -> None:
    with Bystander(busy.port, "eve") as eve:
        kinds = {eve.frame().type for _ in range(3 * VISIT)}

    assert kinds == {raw.JOINED, raw.MESSAGE, raw.LEFT, *range(0x80, 0x89)}


@pytest.mark.parametrize("id", CASES)
def test_a_case_passes_in_a_busy_room(busy: Served, id: str) -> None:
    (result,) = busy.run(id)

    assert result.verdict is Verdict.PASSED, (result.reason, result.actual)


def test_a_server_that_stops_in_the_midst_of_talk_stops_in_good_order() -> None:
    with serving() as server, strangers(server.port):
        results = server.run("STOP-*", can=DECLARED | {"shutdown"})

    assert {each.case: each.actual for each in results if each.verdict is not Verdict.PASSED} == {}


# --- A stranger before each reply -------------------------------------------------


@contextmanager
def interrupting(requests: int) -> Iterator[tuple[str, int]]:
    """A server that refuses so many requests, and sends a stranger's fact before each reply."""

    def serve() -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as stream:
            stream.read(int.from_bytes(stream.read(4), "big"))
            sock.sendall(raw.welcome(1, "ann", ticket=7, position=0))
            stream.read(requests * len(raw.frame(0x0B)))
            for n in range(1, requests + 1):
                sock.sendall(raw.message(n, "talk", "stranger") + raw.error(n, raw.UNKNOWN_TYPE))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[:2]
        thread.join()


def test_facts_of_strangers_between_late_replies_are_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slow, "MANY", 50)
    (case,) = (case for case in SERVER_CASES if case.id == "SLOW-06")

    with interrupting(slow.MANY) as address:
        setting = Setting(address=address, timeout=TIMEOUT, capabilities=DECLARED)
        attempt = Attempt(setting, Segmentation.WHOLE, Random(7), "t")
        try:
            case.script(attempt)
        finally:
            attempt.close()
