"""What a proxy provokes: a right client is not accused, and a wrong one shows what it does."""

from __future__ import annotations

import io
import threading
from random import Random

import pytest
from tests.conformance import faulty_client
from tests.support.raw import DEADLINE, JOINED, Client, frame, logout, message
from tests.watch.provoked import seen
from tests.watch.talks import CLIENT, SERVER, WELCOME
from tools import provoked

from refserver.launcher import RunningServer
from refserver.pytest_plugin import Disturb
from refserver.watch.beside import FaultyServer
from refserver.watch.conversation import Ended, Item
from refserver.watch.disturbing import Disturber, rules_in
from refserver.watch.findings import Finding
from refserver.watch.provoking import PROVOCATIONS, Provocation, Provoker, as_options

PARTS = [(each, number) for each in PROVOCATIONS for number in range(len(each))]
"""Each provocation with the number of each of its parts."""


def met(provoker: Provoker) -> str:
    """Give the next connection a part, and let it meet all of it."""
    disturber = provoker.disturber((), Random(1))
    if disturber is None:
        return ""
    rules = provoker.latest
    disturber.acted |= set(rules_in(rules))
    return rules


def test_each_connection_meets_something_else_and_then_nothing() -> None:
    ends: list[None] = []
    provoker = Provoker(lambda: ends.append(None))

    assert len(provoker.not_met) == len(PROVOCATIONS)
    assert [met(provoker) for _ in PARTS] == [each[number] for each, number in PARTS]

    assert [provoker.disturber((), Random(1)) for _ in range(2)] == [None, None]
    assert len(ends) == 1 and provoker.not_met == []


def test_what_was_not_met_is_given_again_when_all_were_given() -> None:
    provoker = Provoker(lambda: None)
    first = provoker.disturber((), Random(1))
    for _ in PARTS[1:]:
        met(provoker)

    assert first is not None and provoker.not_met == [PROVOCATIONS[0]]
    again = provoker.disturber((), Random(1))
    assert again is not None
    assert len(again.take(SERVER, WELCOME)[0].what) > len(WELCOME)
    first.acted |= set(rules_in(PROVOCATIONS[0][0]))  # an old connection may still meet it
    assert provoker.not_met == []


def test_what_goes_on_begins_again_if_its_second_connection_does_not_meet_it() -> None:
    table = [("drop Ack:1", "drop Ack:2"), ("drop Ping",)]
    provoker = Provoker(lambda: None, table)

    assert met(provoker) == "drop Ack:1"
    assert provoker.disturber((), Random(1)) is not None and provoker.latest == "drop Ack:2"
    assert [met(provoker) for _ in range(3)] == ["drop Ping", "drop Ack:1", "drop Ack:2"]
    assert provoker.not_met == []


def test_the_users_rules_count_on_each_connection_too() -> None:
    provoker = Provoker(lambda: None)
    rules = rules_in("drop Pong")
    for _ in PARTS:
        made = provoker.disturber(rules, Random(1))
        assert made is not None and made.take(CLIENT, frame(7, 1)) == []
        made.acted |= set(rules_in(provoker.latest))

    left = provoker.disturber(rules, Random(1))
    assert left is not None and left.take(CLIENT, frame(7, 1)) == []


def test_no_two_provocations_are_the_same() -> None:
    assert len(set(PROVOCATIONS)) == len(PROVOCATIONS)


# ----------------------------------------------------------------- without sockets

RECORD = provoked.recorded()


@pytest.mark.once
def test_a_right_client_is_not_accused_and_shows_nothing() -> None:
    """Nor is its server."""
    for provocation in ((), *PROVOCATIONS):
        shows = seen("", provocation)

        assert (shows.statements, shows.accused, shows.observations) == ([], [], []), provocation
        assert shows.crash is None, provocation


@pytest.mark.once
def test_each_fault_shows_what_is_recorded_at_what_provokes_it() -> None:
    shown = {fault: seen(fault, each["rules"]) for fault, each in RECORD.items()}

    now = {fault: (each.statements, each.accused) for fault, each in shown.items()}
    assert now == {fault: (each.get("statements", []), []) for fault, each in RECORD.items()}
    observed = {fault: each["observed"] for fault, each in RECORD.items() if "observed" in each}
    assert observed == {fault: shown[fault].observations[0] for fault in observed}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", provoked.faults())
def test_of_a_fault_nothing_else_shows_and_nobody_else_is_accused(fault: str) -> None:
    """With each provocation, which takes a third of a second for each fault."""
    assert provoked.shown(fault) == RECORD.get(fault)
    assert [each for each in PROVOCATIONS if seen(fault, each).accused] == []


def test_the_record_is_of_faults_and_of_provocations_that_there_are() -> None:
    rules = {(), *PROVOCATIONS}

    assert set(RECORD) <= set(provoked.faults())
    assert {tuple(each["rules"]) for each in RECORD.values()} <= rules


# ----------------------------------------------------------------- with a client


def talk(server: RunningServer, address: tuple[str, int], fault: str) -> None:
    """A client says, hears and does what it can, then logs out."""
    with Client(server.port) as kit:
        kit.join("kit")
        arguments = (*address, fault, io.BytesIO())
        client = threading.Thread(target=faulty_client.play, args=arguments, daemon=True)
        client.start()
        kit.until(JOINED)
        orders = ("hello", "say one", "say two", "event 128 00ff", "ping")
        kit.send(*(message(order, seq) for seq, order in enumerate(orders, 2)))
        with Client(server.port) as bob:
            bob.join("bob")
            bob.send(message("hello", 2), logout(3))
            bob.rest()
        kit.send(message("logout", 9))
        client.join(DEADLINE)
        assert not client.is_alive()


def findings(
    provocation: Provocation, server: RunningServer, faulty: FaultyServer, fault: str = ""
) -> list[Finding]:
    """What is found of a client whose connections meet this, when all of it has passed."""
    ended = threading.Event()
    tell = faulty.proxy.tell

    def told(item: Item) -> None:
        tell(item)
        if isinstance(item, Ended) and item.side is CLIENT and item.connection == 1:
            ended.set()

    def disturb(number: int) -> Disturber | None:
        if number > len(provocation):
            return None
        return Disturber(rules_in(provocation[number - 1]), Random(1))

    faulty.proxy.tell = told
    faulty.proxy.disturb = disturb
    talk(server, faulty.address, fault)
    assert ended.wait(DEADLINE)
    return list(faulty.findings)


SAMPLE = (
    "any-version",
    "any-welcome-seq",
    "no-limit",
    "doubles-pass",
    "facts-before-welcome",
    "ack-for-pong",
    "reply-seqs-in-32-bits",
    "any-user-of-left",
    "pongs-own-number",
)
"""Faults of different kinds. More of them show without sockets."""


@pytest.mark.once
@pytest.mark.usefixtures("warm_plugin")
@pytest.mark.parametrize("fault", SAMPLE)
def test_a_real_proxy_finds_the_same(
    fault: str, refserver: RunningServer, faulty_server: Disturb
) -> None:
    faulty = faulty_server()
    shown = RECORD[fault]

    found = findings(tuple(shown["rules"]), refserver, faulty, fault)

    assert sorted({each.statement for each in found}) == shown["statements"]
    assert {each.side for each in found} == {CLIENT}


@pytest.mark.once
@pytest.mark.usefixtures("warm_plugin")
@pytest.mark.parametrize("fault", SAMPLE[:3])
def test_behind_a_real_proxy_a_right_client_is_not_accused(
    fault: str, refserver: RunningServer, faulty_server: Disturb
) -> None:
    faulty = faulty_server()

    assert findings(tuple(RECORD[fault]["rules"]), refserver, faulty) == []
    assert faulty.did != []


def test_what_is_not_met_is_told_as_the_options_that_do_it() -> None:
    assert as_options(PROVOCATIONS[0]) == "--insert ping@Welcome:1"
