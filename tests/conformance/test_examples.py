"""What `explain` shows of a case's bytes is what the case sends."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from tools import examples

from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.examples import example
from refserver.conformance.model import Direction
from refserver.conformance.peer.cases import CLIENT_CASES

REMADE = "run python -m tools record examples"
RECORDED = json.loads(files("refserver.conformance").joinpath("examples.json").read_text("utf-8"))


def test_every_case_has_its_example_but_those_that_need_credentials() -> None:
    cases = (*SERVER_CASES, *CLIENT_CASES)

    assert set(RECORDED) == {c.id for c in cases if "credentials" not in c.capabilities}, REMADE


def test_an_example_is_short() -> None:
    for id in RECORDED:
        steps = example(id)
        assert len(steps) <= examples.STEPS + 1
        assert all(len(step.data) <= examples.BYTES for step in steps)
        assert all(step.size for step in steps if step.direction is Direction.SENT)


@pytest.mark.parametrize("section", ["framing", "header", "version"])
@pytest.mark.unmeasured
def test_servers_are_sent_what_is_recorded(section: str) -> None:
    cases = [case for case in SERVER_CASES if case.section == section]

    found = examples.of_server_cases(cases)

    assert found == {case.id: RECORDED[case.id] for case in cases}, REMADE


@pytest.mark.parametrize("section", ["framing", "header"])
def test_clients_are_sent_what_is_recorded(section: str) -> None:
    cases = [case for case in CLIENT_CASES if case.section == section]

    found = examples.of_client_cases(cases)

    assert found == {case.id: RECORDED[case.id] for case in cases}, REMADE


def test_what_was_not_recorded_is_empty() -> None:
    assert example("NOBODY-01") == ()
