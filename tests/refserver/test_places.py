"""What one address may hold and do: it is held to its share, and to its logins a second."""

from __future__ import annotations

from importlib.resources import files
from itertools import count

import pytest

from refserver.cluster.scripts import script
from refserver.server.admission import REMEMBERED, Admission, origin
from refserver.server.config import Config
from refserver.session import tickets

SOMEWHERE = "192.0.2.1"


def admission_of(most: int = 8, **settings: object) -> Admission[int]:
    return Admission(Config(**settings), lambda: most, lambda: 1)  # type: ignore[arg-type]


def arrivals(admission: Admission[int], address: str, most: int = 20) -> int:
    """How many connections of this address get a place."""
    numbers = count(1_000)
    return sum(admission.arrive(next(numbers), address).admitted for _ in range(most))


def test_an_address_holds_its_share_and_no_more() -> None:
    admission = admission_of(most=8, address_share=0.25)

    assert arrivals(admission, SOMEWHERE) == 2
    assert admission.arrive(1, "192.0.2.2").admitted
    assert admission.held == 3


def test_a_place_that_is_left_can_be_taken_again() -> None:
    admission = admission_of(most=4, address_share=0.25)
    assert admission.arrive(1, SOMEWHERE).admitted
    assert not admission.arrive(2, SOMEWHERE).admitted

    admission.gone(1, None)

    assert admission.arrive(3, SOMEWHERE).admitted
    assert admission.held == 1


def test_every_address_may_have_one_connection() -> None:
    assert admission_of(most=1, address_share=0.0).arrive(1, SOMEWHERE).admitted


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_may_have_all(address: str) -> None:
    assert arrivals(admission_of(most=8, address_share=0.25), address, most=8) == 8


def test_the_oldest_without_a_login_goes_for_a_new_connection() -> None:
    admission = admission_of(most=2)
    for number in (1, 2):
        assert admission.arrive(number, "127.0.0.1").admitted
    admission.authenticated(1)

    arrival = admission.arrive(3, "127.0.0.1")

    assert (arrival.admitted, arrival.displaced) == (True, (2,))
    admission.authenticated(3)
    assert admission.arrive(4, "127.0.0.1") == type(arrival)(False, ())


def test_who_waits_for_what_its_user_has_used_up_goes_before_the_others() -> None:
    admission = admission_of(unauthenticated=2)
    admission.arrive(1, SOMEWHERE)
    admission.arrive(2, SOMEWHERE)

    admission.delayed(2)

    assert admission.arrive(3, "192.0.2.2").displaced == (2,)


def test_of_one_user_two_connections_that_were_taken_over_are_kept() -> None:
    admission = admission_of()
    for number in (1, 2):
        assert admission.supersede(number, "ann") == ()

    assert admission.supersede(3, "ANN") == (1,)
    assert admission.supersede(4, "bob") == ()
    admission.gone(2, "ann")
    assert admission.supersede(5, "ann") == ()


def test_what_one_user_is_replayed_is_counted_against_this_user() -> None:
    admission = admission_of()
    mib = 1 << 20

    granted = [admission.replay_at("ann", 15 * mib, 100.0) for _ in range(5)]

    assert granted[:4] == [100.0] * 4
    assert granted[4] == pytest.approx(100.0 + (5 * 15 - 64) / 2)
    assert admission.replay_at("bob", 15 * mib, 100.0) == 100.0
    assert admission.replay_at("ann", 15 * mib, granted[4]) == granted[4]


def test_a_resume_that_replays_nothing_costs_something() -> None:
    admission = admission_of()

    granted = sum(admission.replay_at("ann", 0, 100.0) == 100.0 for _ in range(2_000))

    assert granted == 1_024


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


def logins(admission: Admission[int], address: str, now: float) -> int:
    """How many are granted at this moment."""
    granted = 0
    while admission.login_at(address, now) == now:
        granted += 1
    return granted


def test_a_seconds_worth_of_logins_may_come_at_once_and_then_one_by_one() -> None:
    admission = admission_of(logins=20)

    assert logins(admission, SOMEWHERE, 100.0) == 20
    later = admission.login_at(SOMEWHERE, 100.0)

    assert later == pytest.approx(100.05)
    assert logins(admission, SOMEWHERE, later + 0.001) == 1
    assert logins(admission, "192.0.2.2", 100.0) == 20


def test_who_waits_has_a_seconds_worth_again() -> None:
    admission = admission_of(logins=20)
    assert logins(admission, SOMEWHERE, 100.0) == 20

    assert logins(admission, SOMEWHERE, 110.0) == 20


def test_asking_does_not_make_the_wait_longer() -> None:
    admission = admission_of(logins=20)
    assert logins(admission, SOMEWHERE, 100.0) == 20

    (moment,) = {admission.login_at(SOMEWHERE, 100.0) for _ in range(1000)}

    assert moment == pytest.approx(100.05)


def test_less_than_one_login_a_second_is_one_at_a_time() -> None:
    admission = admission_of(logins=0.5)

    assert logins(admission, SOMEWHERE, 100.0) == 1
    assert admission.login_at(SOMEWHERE, 100.0) == pytest.approx(102.0)


@pytest.mark.parametrize(
    ("settings", "address"), [(Config(logins=20), "127.0.0.1"), (Config(logins=0), SOMEWHERE)]
)
def test_loopback_is_not_slowed_nor_anybody_where_there_is_no_limit(
    settings: Config, address: str
) -> None:
    admission = Admission[int](settings, lambda: 8, lambda: 1)

    assert all(admission.login_at(address, 100.0) == 100.0 for _ in range(1000))


def test_addresses_that_may_log_in_freely_are_forgotten() -> None:
    admission = admission_of(logins=20)
    for number in range(REMEMBERED):
        admission.login_at(f"10.0.{number >> 8}.{number & 255}", 100.0)

    admission.login_at(SOMEWHERE, 200.0)

    assert len(admission._login_rates) == 1


def test_a_shared_room_keeps_as_many_tickets_of_one_user_as_a_room_of_one_server() -> None:
    folder = files("refserver.cluster") / "lua"
    written = "".join(each.read_text() for each in folder.iterdir() if each.name.endswith(".lua"))
    numbers = (tickets.KEPT, tickets.KEPT_BY_USER, tickets.KEPT_BY_GUESTS)

    assert f"= {', '.join(map(str, numbers))}\n" in script("turn").text
    assert "KEPT_BY_USER =" not in written and str(tickets.KEPT) not in written
