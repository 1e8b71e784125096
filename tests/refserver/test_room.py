"""The log, and who is in the room: no socket, no clock, no session."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcodec import ErrorCode, Event, Joined, Left, LeftReason, decode
from refserver.session import names
from refserver.session.log import ENTRY_CHARGE, SEGMENT, Log
from refserver.session.room import LoginRefused, Room
from refserver.session.tickets import KEPT, KEPT_BY_GUESTS, KEPT_BY_USER

LARGE = 1 << 30
GUEST = "guest-1"


def log_of(*entries: bytes, capacity: int = LARGE) -> Log:
    log = Log(capacity)
    log.extend(entries)
    return log


def read(log: Log, cursor: int, stop: int | None = None) -> bytes:
    """Everything behind a place, as a member reads it."""
    pieces: list[bytes] = []
    while True:
        piece, behind = log.segment(cursor, stop)
        if not piece:
            return b"".join(pieces)
        assert behind > cursor
        pieces.append(piece)
        cursor = behind
        if cursor == stop:
            return b"".join(pieces)


# ---------------------------------------------------------------- the log


@pytest.mark.proves("EP-5.1-1")
def test_entries_are_numbered_from_one_without_a_gap() -> None:
    log = Log(LARGE)

    positions = [log.append(b"a"), log.append(b"b")]
    log.extend([b"c", b"d"])

    assert [*positions, log.end, log.append(b"e")] == [1, 2, 4, 5]


def test_an_empty_log_has_nothing_and_holds_its_beginning() -> None:
    log = Log(LARGE)

    assert (log.first, log.end, log.size, log.total) == (1, 0, 0, 0)
    assert log.segment(0) == (b"", 0)
    assert log.holds(0)


def test_an_entry_is_charged_with_what_it_costs_beside_its_bytes() -> None:
    log = log_of(b"12345", b"")

    assert log.size == 5 + 2 * ENTRY_CHARGE
    assert log.total == 5


def test_the_oldest_entries_go_when_the_log_is_full() -> None:
    charge = 10 + ENTRY_CHARGE
    log = log_of(*[b"0123456789"] * 5, capacity=3 * charge)

    assert (log.first, log.end, log.size) == (3, 5, 3 * charge)
    assert [place for place in range(7) if log.holds(place)] == [2, 3, 4, 5]


def test_the_last_entry_stays_however_long_it_is() -> None:
    log = log_of(b"a", b"b" * 5_000, capacity=1_000)

    assert (log.first, log.end) == (2, 2)
    assert read(log, 1) == b"b" * 5_000


def test_an_entry_that_is_gone_cannot_be_read() -> None:
    log = log_of(*[b"0123456789"] * 5, capacity=3 * (10 + ENTRY_CHARGE))

    with pytest.raises(LookupError):
        log.segment(1)


def test_a_segment_ends_at_a_stop() -> None:
    log = log_of(b"a", b"b", b"c")

    assert log.segment(0, 2) == (b"ab", 2)
    assert log.segment(0) == (b"abc", 3)


def test_a_segment_is_about_what_a_socket_takes() -> None:
    log = log_of(*[b"x" * 1_000] * 200)

    piece, place = log.segment(0)

    assert SEGMENT - 1_000 < len(piece) <= SEGMENT
    assert place == len(piece) // 1_000


def test_an_entry_longer_than_a_segment_is_given_whole() -> None:
    log = log_of(b"a" * (SEGMENT + 1), b"b")

    assert log.segment(0) == (b"a" * (SEGMENT + 1), 1)


def test_whoever_reads_from_one_place_gets_the_same_bytes() -> None:
    log = log_of(b"a", b"b")

    assert log.segment(0)[0] is log.segment(0)[0]


def test_a_segment_is_made_anew_when_more_was_entered() -> None:
    log = log_of(b"a")
    log.segment(0)

    log.append(b"b")

    assert log.segment(0) == (b"ab", 2)


@given(
    st.lists(st.lists(st.binary(max_size=300), max_size=30), max_size=20),
    st.integers(1, 20_000),
)
def test_a_log_is_the_end_of_a_list(groups: list[list[bytes]], capacity: int) -> None:
    log = Log(capacity)
    entered: list[bytes] = []

    for group in groups:
        log.extend(group)
        entered += group

        kept = entered[log.first - 1 :]
        assert log.end == len(entered)
        assert log.total == sum(map(len, entered))
        assert log.size == sum(len(entry) + ENTRY_CHARGE for entry in kept)
        assert log.size <= capacity or len(kept) == 1
        assert not entered or kept
        for place in range(log.first - 1, log.end + 1):
            assert read(log, place) == b"".join(entered[place:])
            if place < log.end:
                assert read(log, place, place + 1) == entered[place]


# ---------------------------------------------------------------- memory


def growth(act: Callable[[], object]) -> int:
    """Bytes that are held afterwards and were not held before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = act()
        after, _ = tracemalloc.get_traced_memory()
        del kept
        return after - before
    finally:
        tracemalloc.stop()


@pytest.mark.proves("EP-7.2-2")
def test_what_is_gone_from_the_log_is_gone_from_memory() -> None:
    capacity = 20 * SEGMENT

    def fill() -> Log:
        log = Log(capacity)
        for _ in range(1_000):
            log.append(bytes(SEGMENT))
        return log

    assert growth(fill) <= 1.1 * capacity


@pytest.mark.proves("EP-7.2-2")
def test_readers_at_many_places_do_not_make_the_log_larger() -> None:
    log = log_of(*[bytes(1_000)] * 1_000)

    def read_everywhere() -> None:
        for place in range(1_000):
            log.segment(place)

    assert growth(read_everywhere) <= 32 * SEGMENT


# ---------------------------------------------------------------- the room


class Someone:
    """A session, as far as a room knows it."""


def tickets() -> Iterator[int]:
    return count(1_001)


def room_of(*users: str, presence: bool = True, capacity: int = LARGE) -> Room[Someone]:
    room: Room[Someone] = Room(capacity=capacity, presence=presence, new_ticket=tickets().__next__)
    for user in users:
        room.enter(Someone(), user)
    return room


def entries(room: Room[Someone]) -> list[Event]:
    """The events in the log."""
    return [
        decode(room.log.segment(place, place + 1)[0])
        for place in range(room.log.first - 1, room.log.end)
    ]


def refusal(room: Room[Someone], user: str, *, bound: bool = False) -> ErrorCode:
    with pytest.raises(LoginRefused) as refused:
        room.enter(Someone(), user, bound=bound)
    return refused.value.code


@pytest.mark.proves("EP-5.4-1", "EP-6.1-4", "EP-5.1-3")
def test_a_login_enters_one_joined_and_is_the_place_behind_it() -> None:
    room = room_of("ann")

    _, place = room.enter(Someone(), "bob")

    assert entries(room) == [Joined(user="ann", seq=1), Joined(user="bob", seq=2)]
    assert place == 2


@pytest.mark.proves("EP-5.4-3", "EP-6.1-5")
def test_without_presence_nobody_is_entered() -> None:
    room = room_of("ann", presence=False)
    room.log.append(b"said")

    member, place = room.enter(Someone(), "bob")
    left = room.leave(member, LeftReason.LEFT)

    assert (place, left, room.log.end) == (1, 0, 1)


@pytest.mark.proves("EP-5.4-2", "EP-5.4-4")
@pytest.mark.parametrize("reason", LeftReason)
def test_who_leaves_is_entered_with_the_reason(reason: LeftReason) -> None:
    room = room_of()
    member, _ = room.enter(Someone(), "ann")

    position = room.leave(member, reason)

    assert entries(room)[1:] == [Left(user="ann", reason=reason, seq=2)]
    assert position == 2


@pytest.mark.proves("EP-5.4-6")
def test_nobody_is_entered_any_more_when_the_server_stops() -> None:
    room = room_of()
    member, _ = room.enter(Someone(), "ann")

    room.shut()

    assert (room.leave(member, LeftReason.LOST), room.log.end) == (0, 1)


@pytest.mark.proves("EP-6.1-6", "EP-6.2-4")
@pytest.mark.parametrize("name", ["ann", "ANN", "ａｎｎ"])
def test_a_name_that_a_member_has_is_taken(name: str) -> None:
    assert refusal(room_of("ann"), name) is ErrorCode.USER_TAKEN


def test_the_key_of_a_name_is_worked_out_once_for_a_login_and_a_departure() -> None:
    room = Room[object](capacity=1 << 20, presence=True)
    before = names.key_of.cache_info().misses

    member, _ = room.enter(object(), "somebody whom no other test knows")
    room.leave(member, LeftReason.LEFT)

    assert names.key_of.cache_info().misses == before + 1


@pytest.mark.proves("EP-5.4-5")
def test_a_name_is_free_as_soon_as_its_member_has_left() -> None:
    room = room_of()
    member, _ = room.enter(Someone(), "ann")

    room.leave(member, LeftReason.LEFT)

    assert room.enter(Someone(), "ann")[0].user == "ann"


@pytest.mark.proves("EP-6.1-3")
@pytest.mark.parametrize("name", ["ann", "Ann Lee", "名前"])
def test_a_name_is_granted_as_it_was_asked_for(name: str) -> None:
    assert room_of().enter(Someone(), name)[0].user == name


@pytest.mark.proves("EP-6.1-2", "EP-6.2-7", "EP-6.2-4")
def test_an_empty_name_gets_a_free_one() -> None:
    room = room_of()

    given = [room.enter(Someone(), "")[0].user for _ in range(3)]

    assert len(set(given)) == 3
    assert all(given)
    assert [names.error_of(name) for name in given] == [None] * 3


def test_a_name_that_the_server_made_up_is_not_given_again() -> None:
    room = room_of()
    member, _ = room.enter(Someone(), "")

    room.leave(member, LeftReason.LOST)

    assert room.enter(Someone(), "")[0].user != member.user


def test_nobody_may_ask_for_a_name_that_the_server_makes_up() -> None:
    assert refusal(room_of(), GUEST) is ErrorCode.BAD_USER


def test_a_credential_may_prove_a_name_like_those_that_the_server_makes_up() -> None:
    room = room_of()

    member, _ = room.enter(Someone(), GUEST, bound=True)

    assert member.user == GUEST
    assert room.enter(Someone(), "")[0].user != GUEST


# ---------------------------------------------------------------- tickets


def not_found(room: Room[Someone], user: str, ticket: int, position: int) -> ErrorCode:
    with pytest.raises(LoginRefused) as refused:
        room.find(user, ticket, position)
    return refused.value.code


@pytest.mark.proves("EP-3.8-2")
def test_a_ticket_is_never_zero() -> None:
    room: Room[Someone] = Room(capacity=LARGE, presence=True, new_ticket=lambda: 0)

    member, _ = room.enter(Someone(), "ann")

    assert member.ticket != 0


@pytest.mark.proves("EP-12-4")
def test_tickets_come_from_the_systems_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def bits(count: int) -> int:
        asked.append(count)
        return 0x9F3C5A7BE1D20846

    monkeypatch.setattr("secrets.randbits", bits)
    room: Room[Someone] = Room(capacity=LARGE, presence=True)

    member, _ = room.enter(Someone(), "ann")

    assert (member.ticket, asked) == (0x9F3C5A7BE1D20846, [64])


class Secret(int):
    """A ticket that may not be compared: how long that takes would say how much is right."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __hash__(self) -> int:
        raise AssertionError("looked up by itself")


@pytest.mark.proves("EP-12-3")
def test_a_ticket_is_never_compared_itself() -> None:
    room: Room[Someone] = Room(capacity=LARGE, presence=True, new_ticket=lambda: Secret(7))
    member, place = room.enter(Someone(), "ann")

    room.leave(member, LeftReason.LOST)

    assert room.find("ann", Secret(7), place) is member
    assert not_found(room, "ann", Secret(8), place) is ErrorCode.HISTORY_GONE


@pytest.mark.proves("EP-6.4-9")
@pytest.mark.parametrize("user", ["ann", ""])
def test_a_ticket_finds_its_session(user: str) -> None:
    room = room_of()
    member, place = room.enter(Someone(), "ann")

    assert room.find(user, member.ticket, place) is member


@pytest.mark.proves("EP-6.4-4", "EP-6.4-5", "EP-6.4-6", "EP-6.4-7", "EP-6.4-8")
@pytest.mark.parametrize(
    ("user", "ticket", "position"),
    [
        ("ann", 1, 4),
        ("ann", 0, 4),
        ("", 0, 1),
        ("bob", 1_002, 4),
        ("Ann", 1_002, 4),
        ("ann", 1_002, 1),
        ("ann", 1_002, 0),
        ("ann", 1_002, 6),
        ("ann", 1_002, 2**64 - 1),
    ],
    ids=[
        "unknown",
        "none at all",
        "none, and no name",
        "another's",
        "the name in capitals",
        "before its first Welcome",
        "from the beginning",
        "after the last entry",
        "far in the future",
    ],
)
def test_a_ticket_that_does_not_fit_finds_nothing(user: str, ticket: int, position: int) -> None:
    room = room_of("eve", "ann")
    for _ in range(3):
        room.log.append(b"said")

    assert not_found(room, user, ticket, position) is ErrorCode.HISTORY_GONE


@pytest.mark.proves("EP-6.4-6")
def test_a_position_whose_next_entry_is_gone_cannot_be_resumed() -> None:
    room = room_of(capacity=5 * (1_000 + ENTRY_CHARGE))
    member, place = room.enter(Someone(), "ann")

    room.log.extend([bytes(1_000)] * 6)

    assert not_found(room, "ann", member.ticket, place) is ErrorCode.HISTORY_GONE
    assert room.find("ann", member.ticket, room.log.first) is member


@pytest.mark.proves("EP-6.4-14")
def test_a_session_whose_name_another_has_by_now_has_to_wait() -> None:
    room = room_of()
    member, place = room.enter(Someone(), "ann")
    room.leave(member, LeftReason.LOST)
    other, _ = room.enter(Someone(), "ANN")

    assert not_found(room, "ann", member.ticket, place) is ErrorCode.USER_TAKEN

    room.leave(other, LeftReason.LEFT)
    assert room.find("ann", member.ticket, place) is member


@pytest.mark.proves("EP-6.4-1", "EP-5.4-1")
def test_a_resume_is_entered_like_a_login_and_keeps_its_ticket() -> None:
    room = room_of()
    member, _ = room.enter(Someone(), "ann")
    room.leave(member, LeftReason.LOST)
    back = Someone()

    room.resume(member, back)

    assert entries(room)[2:] == [Joined(user="ann", seq=3)]
    assert (member.session, member.ticket) == (back, 1_001)
    assert room.find("ann", 1_001, 1) is member


@pytest.mark.proves("EP-6.4-15")
def test_the_tickets_of_those_who_left_first_are_forgotten_first() -> None:
    room = room_of(presence=False)
    present, _ = room.enter(Someone(), "ann")
    gone = [room.enter(Someone(), "bob")[0] for _ in range(1)]
    room.leave(gone[0], LeftReason.LOST)

    for number in range(KEPT):
        member, _ = room.enter(Someone(), f"eve {number}")
        room.leave(member, LeftReason.LOST)
        gone.append(member)

    assert not_found(room, "bob", gone[0].ticket, 0) is ErrorCode.HISTORY_GONE
    assert room.find("", gone[1].ticket, 0) is gone[1]
    assert room.find("ann", present.ticket, 0) is present


@pytest.mark.proves("EP-6.4-15")
@pytest.mark.parametrize(("user", "kept"), [("eve", KEPT_BY_USER), ("", KEPT_BY_GUESTS)])
def test_who_logs_in_often_makes_nobody_elses_resume_fail(user: str, kept: int) -> None:
    """16,400 logins and logouts of one name made every absent member's resume fail."""
    room = room_of(presence=False)
    bob, _ = room.enter(Someone(), "bob")
    room.leave(bob, LeftReason.LOST)

    gone = []
    for _ in range(kept + 1):
        member, _ = room.enter(Someone(), user)
        room.leave(member, LeftReason.LOST)
        gone.append(member)

    assert room.find("bob", bob.ticket, 0) is bob
    assert not_found(room, "", gone[0].ticket, 0) is ErrorCode.HISTORY_GONE
    assert room.find("", gone[1].ticket, 0) is gone[1]
