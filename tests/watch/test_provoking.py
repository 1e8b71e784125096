"""What a proxy provokes: a right client is not accused, and a wrong one shows what it does."""

from __future__ import annotations

import io
import threading
from random import Random

import pytest
from tests.conformance import faulty_client
from tests.support.raw import DEADLINE, JOINED, Client, frame, logout, message
from tests.watch.talks import CLIENT, SERVER, WELCOME

from refserver.launcher import RunningServer
from refserver.pytest_plugin import Disturb
from refserver.watch.beside import FaultyServer
from refserver.watch.conversation import Ended, Item
from refserver.watch.disturbing import Disturber, rules_in
from refserver.watch.findings import Finding
from refserver.watch.provoking import PROVOCATIONS, Provoker


def given(provoker: Provoker) -> Disturber:
    disturber = provoker.disturber((), Random(1))
    assert disturber is not None
    return disturber


def test_each_connection_meets_something_else_and_then_nothing() -> None:
    ends: list[None] = []
    provoker = Provoker(lambda: ends.append(None))

    for left in range(len(PROVOCATIONS), 0, -1):
        assert len(provoker.not_met) == left
        given(provoker).has_acted = True

    assert [provoker.disturber((), Random(1)) for _ in range(2)] == [None, None]
    assert len(ends) == 1 and provoker.not_met == []


def test_what_was_not_met_is_given_again_when_all_were_given() -> None:
    provoker = Provoker(lambda: None)
    first = given(provoker)
    for _ in PROVOCATIONS[1:]:
        given(provoker).has_acted = True

    assert provoker.not_met == [PROVOCATIONS[0]]
    again = given(provoker)
    first.has_acted = True  # an old connection may still meet it
    assert provoker.not_met == []
    assert len(again.take(SERVER, WELCOME)[0].what) > len(WELCOME)


def test_the_users_rules_count_on_each_connection_too() -> None:
    provoker = Provoker(lambda: None)
    rules = rules_in("drop Pong")
    for _ in PROVOCATIONS:
        made = provoker.disturber(rules, Random(1))
        assert made is not None and made.take(CLIENT, frame(7, 1)) == []
        made.has_acted = True

    left = provoker.disturber(rules, Random(1))
    assert left is not None and left.take(CLIENT, frame(7, 1)) == []


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
    provocation: str, server: RunningServer, faulty: FaultyServer, fault: str = ""
) -> list[Finding]:
    """What is found of a client on a connection that meets this, when all of it has passed."""
    ended = threading.Event()
    rules, tell = rules_in(provocation), faulty.proxy.tell

    def told(item: Item) -> None:
        tell(item)
        if isinstance(item, Ended) and item.side is CLIENT and item.connection == 1:
            ended.set()

    faulty.proxy.tell = told
    faulty.proxy.disturb = lambda number: Disturber(rules, Random(1))
    talk(server, faulty.address, fault)
    assert ended.wait(DEADLINE)
    return [finding for finding in faulty.findings if finding.side is CLIENT]


@pytest.mark.once
@pytest.mark.parametrize("provocation", PROVOCATIONS)
def test_a_right_client_is_not_accused_and_meets_it(
    provocation: str, refserver: RunningServer, faulty_server: Disturb
) -> None:
    faulty = faulty_server()

    assert findings(provocation, refserver, faulty) == []
    assert faulty.did != []


FOUND = {
    "insert ping@Welcome:1": "pong-body pongs-own-number 32-bit-pongs pongs-are-floats",
    "insert unknown@Welcome:1": "unknown-is-answered",
    "corrupt version@server.any:2": "any-version",
    "corrupt reserved@server.any:2": "any-reserved",
    "corrupt old@server.any:2": "version-0-passes",
    "insert unnumbered@server.any:2": "any-seq",
    "insert large@server.any:2": "no-limit",
    "insert login@server.any:2": "any-way",
    "insert pong@server.any:2": "unasked-replies-pass",
    "insert ack@server.any:2": "unasked-acks-pass",
    "insert error@server.any:2": "unasked-errors-pass",
    "corrupt over@Welcome:1": "welcome-bytes-over leaves-bytes-over",
    "corrupt less@Welcome:1": "slices",
    "corrupt name@Welcome:1": "any-user-of-welcome",
    "corrupt seq@Welcome:1": "any-welcome-seq",
    "corrupt seq@server.Ack:1": "any-reply-seq",
    "corrupt position@server.Ack:1": "any-ack-position",
    "duplicate server.Message:1": "doubles-pass",
    "corrupt name@server.Message:1": "any-sender-of-message",
    "corrupt utf8@server.Message:1": "replaces-bad-text",
    "corrupt name@Joined:1": "any-user-of-joined",
    "corrupt over@Left:1": "left-bytes-over",
    "corrupt name@Left:1": "any-user-of-left",
    "corrupt over@server.Error:1": "error-bytes-over",
    "corrupt less@server.Error:1": "error-without-text",
    "corrupt seq@server.Error:1": "any-error-seq",
}
"""Faults that show at a provocation, by a line of it."""


@pytest.mark.once
@pytest.mark.parametrize(
    ("line", "fault"),
    [(line, fault) for line, faults in FOUND.items() for fault in faults.split()],
)
def test_a_wrong_client_is_found_at_what_provokes_it(
    line: str, fault: str, refserver: RunningServer, faulty_server: Disturb
) -> None:
    provocation = next(each for each in PROVOCATIONS if line in each.splitlines())
    faulty = faulty_server()

    assert findings(provocation, refserver, faulty, fault) != []
