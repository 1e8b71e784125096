"""Nothing that a server or a client says is the kit's fault: each attempt has its verdict."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.hostile import hostile_client, hostile_server
from tests.conformance.threaded import InThread

from refserver.conformance.attempt import Setting
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check import CAPABILITIES, ServerDriver, probe
from refserver.conformance.model import Case
from refserver.conformance.names import Identity
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.run import LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import NotReached, Unsupported

TIMEOUT = 0.05
PATIENT = {"keepalive", "clocks", "slow consumers", "shutdown"}
"""Sections that wait for a clock, move many MiB, or end the server."""
OVER_TCP = [case for case in SERVER_CASES if "websocket" not in case.capabilities]
QUICK = [case for case in OVER_TCP if case.section not in PATIENT]
FOR_CLIENTS = [case for case in CLIENT_CASES if "websocket" not in case.capabilities]
SEEDS = st.integers(0, 2**32)


IDENTITIES = tuple(Identity(name, f"{name}'s".encode()) for name in ("ann", "bob", "cyd", "dan"))


def setting(address: tuple[str, int], case: Case | None = None) -> Setting:
    needs = () if case is None else case.capabilities
    return Setting(
        address=address,
        timeout=TIMEOUT,
        capabilities=frozenset(CAPABILITIES),
        identities=IDENTITIES if "credentials" in needs else (),
    )


def attempted(driver: ServerDriver | ClientDriver, case: Case) -> None:
    """Make an attempt; any exception but these is the kit's fault."""
    try:
        outcome = driver.attempt(case, Segmentation.WHOLE)
    except (NotReached, Unsupported):
        return
    assert outcome.failure is None or outcome.failure.actual
    assert outcome.steps


@pytest.mark.hypothesis
@given(SEEDS, st.sampled_from(QUICK))
def test_whatever_a_server_says_is_a_verdict(seed: int, case: Case) -> None:
    with hostile_server(seed) as server:
        driver = ServerDriver(setting=setting(server.address, case), target="it", seed=7, token="t")

        attempted(driver, case)


@pytest.mark.hypothesis
@given(SEEDS)
def test_whatever_a_server_says_first_can_be_looked_at(seed: int) -> None:
    with hostile_server(seed) as server:
        probe(setting(server.address), "t")


@pytest.mark.hypothesis
@given(SEEDS, st.sampled_from(FOR_CLIENTS))
def test_whatever_a_client_says_is_a_verdict(seed: int, case: Case) -> None:
    driver = ClientDriver(
        command=["{host}", "{port}"],
        setting=setting(LOOPBACK),
        seed=7,
        start=partial(InThread, hostile_client(seed)),
    )

    attempted(driver, case)
