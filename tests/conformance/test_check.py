"""The kit against the server that it ships with: what the reference does is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import pytest
from tests.conformance.mutating import IDENTITIES, Passwords, serving_here
from tests.conformance.serving import DECLARED, Served, serving
from tests.conformance.strangers import strangers
from tests.measuring import first_measured

from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.model import Result, Verdict
from refserver.conformance.names import Identity
from refserver.conformance.segmentation import Segmentation
from refserver.server.auth import AllowAll, Auth
from refserver.server.config import Config

WAITING = {"keepalive", "clocks"}
ALONE = {"slow consumers", "shutdown", *WAITING}
"""Sections that load the server or wait for a clock: they have tests of their own."""
IDS = [case.id for case in SERVER_CASES if case.section not in ALONE]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def told(results: list[Result]) -> dict[str, str]:
    """What is not passed or unsupported, as a failure shows it best."""
    fine = (Verdict.PASSED, Verdict.UNSUPPORTED)
    return {
        f"{each.case}/{each.segmentation}": f"{each.verdict}: {each.reason}; {each.actual}"
        for each in results
        if each.verdict not in fine
    }


def passed(results: list[Result]) -> set[str]:
    return {result.case for result in results if result.verdict is Verdict.PASSED}


def supported(can: frozenset[str]) -> set[str]:
    """Those of `IDS` that a server passes which can do this; the others are unsupported."""
    cases = [case for case in SERVER_CASES if can.issuperset(case.capabilities)]
    return {case.id for case in cases} & set(IDS)


@pytest.mark.parametrize("segmentation", first_measured(Segmentation))
def test_every_case_passes_in_every_segmentation(
    server: Served, segmentation: Segmentation
) -> None:
    results = server.run(*IDS, segmentations=(segmentation,))

    assert told(results) == {}
    assert passed(results) == supported(DECLARED)


@pytest.mark.unmeasured
def test_one_who_does_not_read_costs_nobody_anything(server: Served) -> None:
    results = server.run("SLOW-*", can=DECLARED | {"evicts"})

    assert told(results) == {}
    assert {result.verdict for result in results} == {Verdict.PASSED}


@pytest.mark.parametrize("room", first_measured([nullcontext, strangers]), ids=["empty", "busy"])
def test_silence_is_noticed_and_ended(
    room: Callable[[int], AbstractContextManager[None]],
) -> None:
    over_tcp = [case for case in SERVER_CASES if "websocket" not in case.capabilities]
    waiting = [case.id for case in over_tcp if case.section in WAITING]
    can = DECLARED | {"heartbeat", "login-timeout"}

    with (
        serving("--heartbeat", "2", "--login-timeout", "6") as served,
        room(served.port),
        ThreadPoolExecutor(len(waiting)) as pool,  # each waits, none disturbs another
    ):
        runs = list(pool.map(lambda id: served.run(id, can=can), waiting))

    results = [result for run in runs for result in run]
    assert told(results) == {}
    assert {result.verdict for result in results} == {Verdict.PASSED}


@pytest.mark.parametrize(
    ("needs", "config", "auth", "identities"),
    [
        ("credentials", Config(port=0), Passwords(), IDENTITIES),
        ("no-presence", Config(port=0, presence=False), AllowAll(), ()),
        ("shutdown", Config(port=0), AllowAll(), ()),
    ],
    ids=["credentials", "no-presence", "shutdown"],
)
def test_every_case_that_needs_another_server_passes_there(
    needs: str, config: Config, auth: Auth, identities: tuple[Identity, ...]
) -> None:
    ids = [case.id for case in SERVER_CASES if needs in case.capabilities]
    can = DECLARED - {"any-name"} if identities else DECLARED

    with serving_here(config, auth) as here:
        results = Served(here.ports[0], here.stop, identities).run(*ids, can=can | {needs})

    assert told(results) == {}
    assert [each.case for each in results if each.verdict is Verdict.PASSED] == ids


@pytest.mark.once
def test_without_presence_nothing_else_changes() -> None:
    can = DECLARED - {"presence"} | {"no-presence"}

    with serving("--no-presence") as served:
        results = served.run(*IDS, can=can)

    assert told(results) == {}
    assert passed(results) == supported(can)
    assert {"ORDER-15", "ORDER-16", "ORDER-17", "RESUME-18"} <= supported(can)
    assert "ORDER-05" not in supported(can)
