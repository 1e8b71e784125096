"""Counts and paces: one address is held to its share, and to its logins a second."""

from __future__ import annotations

import pytest

from refserver.server.admission import FORGET, Gate, origin
from refserver.server.config import Config

SOMEWHERE = "192.0.2.1"


def test_an_address_holds_its_share_and_no_more() -> None:
    gate = Gate(Config(address_share=0.25))

    for _ in range(2):
        assert not gate.is_crowded(SOMEWHERE, most=8)
        gate.enter(SOMEWHERE)

    assert gate.is_crowded(SOMEWHERE, most=8)
    assert not gate.is_crowded("192.0.2.2", most=8)
    assert gate.held == 2


def test_a_place_that_is_left_can_be_taken_again() -> None:
    gate = Gate(Config(address_share=0.25))
    gate.enter(SOMEWHERE)

    assert gate.is_crowded(SOMEWHERE, most=4)
    gate.leave(SOMEWHERE)

    assert not gate.is_crowded(SOMEWHERE, most=4)
    assert gate.held == 0


def test_every_address_may_have_one_connection() -> None:
    assert not Gate(Config(address_share=0.0)).is_crowded(SOMEWHERE, most=1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_may_have_all(address: str) -> None:
    gate = Gate(Config(address_share=0.25))
    for _ in range(8):
        gate.enter(address)

    assert not gate.is_crowded(address, most=8)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_of_ipv6_a_network_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


def logins(gate: Gate, address: str, now: float) -> int:
    """How many are granted at this moment."""
    granted = 0
    while gate.login_at(address, now) == now:
        granted += 1
    return granted


def test_a_seconds_worth_of_logins_may_come_at_once_and_then_one_by_one() -> None:
    gate = Gate(Config(logins=20))

    assert logins(gate, SOMEWHERE, 100.0) == 20
    later = gate.login_at(SOMEWHERE, 100.0)

    assert later == pytest.approx(100.05)
    assert logins(gate, SOMEWHERE, later + 0.001) == 1
    assert logins(gate, "192.0.2.2", 100.0) == 20


def test_who_waits_has_a_seconds_worth_again() -> None:
    gate = Gate(Config(logins=20))
    assert logins(gate, SOMEWHERE, 100.0) == 20

    assert logins(gate, SOMEWHERE, 110.0) == 20


def test_asking_does_not_make_the_wait_longer() -> None:
    gate = Gate(Config(logins=20))
    assert logins(gate, SOMEWHERE, 100.0) == 20

    (moment,) = {gate.login_at(SOMEWHERE, 100.0) for _ in range(1000)}

    assert moment == pytest.approx(100.05)


def test_less_than_one_login_a_second_is_one_at_a_time() -> None:
    gate = Gate(Config(logins=0.5))

    assert logins(gate, SOMEWHERE, 100.0) == 1
    assert gate.login_at(SOMEWHERE, 100.0) == pytest.approx(102.0)


@pytest.mark.parametrize(
    ("settings", "address"), [(Config(logins=20), "127.0.0.1"), (Config(logins=0), SOMEWHERE)]
)
def test_loopback_is_not_slowed_nor_anybody_where_there_is_no_limit(
    settings: Config, address: str
) -> None:
    gate = Gate(settings)

    assert all(gate.login_at(address, 100.0) == 100.0 for _ in range(1000))


def test_addresses_that_may_log_in_freely_are_forgotten() -> None:
    gate = Gate(Config(logins=20))
    for number in range(FORGET):
        gate.login_at(f"10.0.{number >> 8}.{number & 255}", 100.0)

    gate.login_at(SOMEWHERE, 200.0)

    assert len(gate._next) == 1
