"""Deadlines, silence and pace; time is passed in."""

from __future__ import annotations

import pytest
from tests.refserver.bare_room import BareRoom, code_of, in_short

from eventcodec import ErrorCode, Event, Login, Message, Ping, Pong, encode
from refserver.session.deadlines import NEVER

# ---------------------------------------------------------------- silence and deadlines


@pytest.mark.proves("EP-9.2-1")
def test_a_stranger_has_so_long_to_log_in_whatever_it_says() -> None:
    room = BareRoom(login_timeout=5)
    stranger = room.enter()

    for seq in range(1, 5):
        room.now += 1
        assert stranger.ask(Ping(seq=seq)) == [Pong(seq=seq)]
        assert stranger.tick() == []
    room.now += 1

    assert [code_of(event) for event in stranger.tick()] == [(0, ErrorCode.TIMEOUT)]


@pytest.mark.proves("EP-9.2-3", "EP-9.2-5")
def test_the_defaults_grant_what_they_should() -> None:
    config = BareRoom().config

    assert config.login_timeout >= 5
    assert config.frame_timeout >= 30
    assert config.write_timeout >= 5


@pytest.mark.proves("EP-9.1-1", "EP-9.1-2", "EP-9.1-4")
def test_a_silent_member_is_pinged_once_and_then_gone() -> None:
    room = BareRoom(heartbeat=20)
    start = room.now
    ann = room.enter("ann")
    told: list[tuple[float, object]] = []

    while ann.session.due != NEVER:
        room.now = ann.session.due
        told += [(room.now - start, in_short(event)) for event in ann.tick()]

    assert told == [(20, Ping(seq=1)), (40, (0, ErrorCode.TIMEOUT))]


@pytest.mark.proves("EP-9.1-1", "EP-9.1-4")
def test_each_silence_has_a_ping_of_its_own_number() -> None:
    room = BareRoom(heartbeat=20)
    ann = room.enter("ann")

    for seq in (1, 2, 3):
        room.now += 20
        assert ann.tick() == [Ping(seq=seq)]
        assert ann.ask(Pong(seq=seq)) == []


@pytest.mark.proves("EP-9.1-3")
@pytest.mark.parametrize(
    "said", [b"\0", encode(Pong(seq=9)), encode(Ping(seq=2))[:-1]], ids=["a byte", "Pong", "cut"]
)
def test_any_byte_ends_a_silence(said: bytes) -> None:
    room = BareRoom(heartbeat=20)
    ann = room.enter("ann")
    room.now += 20
    assert ann.tick() == [Ping(seq=1)]

    room.now += 19
    assert ann.ask(said) == []
    room.now += 19.9
    assert ann.tick() == []

    room.now += 0.1
    assert ann.tick() == [Ping(seq=2)]


@pytest.mark.proves("EP-9.1-5")
def test_without_a_heartbeat_silence_lasts() -> None:
    room = BareRoom(heartbeat=0)
    ann = room.enter("ann")

    assert ann.session.due == NEVER
    room.now += 1e9
    assert ann.tick() == []


@pytest.mark.proves("EP-4.1-3")
def test_a_stranger_is_not_pinged() -> None:
    room = BareRoom(heartbeat=1, login_timeout=100)
    stranger = room.enter()

    room.now += 99
    stranger.session.tick(room.now)

    assert stranger.read() == []


@pytest.mark.proves("EP-9.2-2")
def test_a_frame_that_was_begun_must_be_completed() -> None:
    room = BareRoom(frame_timeout=30, heartbeat=0)
    ann = room.enter("ann")
    frame = encode(Message(content="slow", seq=2))

    ann.ask(frame[:5])
    room.now += 29
    ann.ask(frame[5:10])
    assert ann.tick() == []
    room.now += 1

    assert [code_of(event) for event in ann.tick()] == [(0, ErrorCode.TIMEOUT)]


@pytest.mark.proves("EP-9.2-2")
def test_each_frame_has_its_own_time() -> None:
    room = BareRoom(frame_timeout=30, heartbeat=0)
    ann = room.enter("ann")
    frame = encode(Ping(seq=2))

    ann.ask(frame[:5])
    for _ in range(5):
        room.now += 29
        assert ann.ask(frame[5:] + frame[:5]) == [Pong(seq=2)]
    ann.ask(frame[5:])

    assert ann.session.due == NEVER


@pytest.mark.proves("EP-9.1-6")
@pytest.mark.parametrize("begun", [b"", b"\0\0"], ids=["heartbeat", "frame"])
def test_the_clocks_stand_still_while_the_server_does_not_read(begun: bytes) -> None:
    room = BareRoom(heartbeat=20, frame_timeout=10)
    ann = room.enter("ann")
    ann.ask(Pong(seq=1), begun)
    due = ann.session.due

    room.now += 5
    ann.session.reading_paused(room.now)
    room.now += 1_000
    assert ann.session.due == NEVER
    ann.session.tick(room.now)
    ann.session.deadlines.reading_resumed(room.now)

    assert ann.read() == []
    assert ann.session.due == due + 1_000


def test_reading_on_without_a_pause_changes_no_clock() -> None:
    ann = BareRoom().enter("ann")
    due = ann.session.due

    ann.session.deadlines.reading_resumed(5_000)

    assert ann.session.due == due


# ---------------------------------------------------------------- the socket takes nothing


@pytest.mark.proves("EP-9.2-4")
def test_a_member_that_takes_no_byte_is_evicted_and_then_given_up() -> None:
    room = BareRoom(write_timeout=10, close_timeout=2, heartbeat=0)
    ann = room.enter("ann")

    ann.session.deadlines.write_blocked(room.now)
    room.now = ann.session.due
    ann.session.tick(room.now)
    assert not ann.session.should_abort
    assert ann.session.due == room.now + 2

    room.now += 2
    ann.session.tick(room.now)
    assert ann.session.should_abort


def test_a_member_that_takes_some_bytes_stays() -> None:
    room = BareRoom(write_timeout=10, heartbeat=0)
    ann = room.enter("ann")

    for _ in range(5):
        ann.session.deadlines.write_blocked(room.now)
        room.now += 9
        ann.session.tick(room.now)
    ann.session.deadlines.write_unblocked()

    assert ann.session.due == NEVER
    assert ann.sync() == []


@pytest.mark.proves("EP-9.2-4")
def test_a_connection_that_ends_and_takes_nothing_is_given_up() -> None:
    room = BareRoom(write_timeout=10)
    ann = room.enter("ann")
    ann.session.goodbye(ErrorCode.TIMEOUT)

    ann.session.deadlines.write_blocked(room.now)
    room.now += 10
    ann.session.tick(room.now)

    assert ann.session.should_abort


# ---------------------------------------------------------------- the rate limit


def test_above_the_rate_requests_wait_and_none_is_lost() -> None:
    room = BareRoom(rate=10, presence=False, heartbeat=0)
    ann = room.enter("ann")
    start = room.now
    requests: list[Event] = [Ping(seq=seq) for seq in range(1, 51)]
    answers = ann.ask(*requests)

    while ann.session.due != NEVER:
        room.now = ann.session.due
        answers += ann.tick()

    assert answers == [Pong(seq=seq) for seq in range(1, 51)]
    assert room.now - start == pytest.approx(4.1, abs=0.2)


def test_a_rate_is_saved_up_for_one_second_at_most() -> None:
    room = BareRoom(rate=10, presence=False, heartbeat=0)
    ann = room.enter("ann")
    room.now += 3_600

    assert len(ann.ask(*(Ping(seq=seq) for seq in range(1, 51)))) == 10


def test_a_rate_below_one_lets_one_through_in_its_time() -> None:
    room = BareRoom(rate=0.5, heartbeat=0)
    ann = room.enter()
    assert len(ann.ask(Login(user="ann", seq=1), Ping(seq=2))) == 1

    room.now += 1.9
    assert ann.tick() == []
    room.now += 0.1

    assert ann.tick() == [Pong(seq=2)]


def test_more_input_does_not_shorten_the_wait() -> None:
    room = BareRoom(rate=1, heartbeat=0)
    ann = room.enter("ann")

    for seq in range(2, 20):
        assert ann.ask(Ping(seq=seq)) == []
    room.now += 1

    assert ann.tick() == [Pong(seq=2)]


@pytest.mark.parametrize("user", ["ann", None], ids=["member", "stranger"])
def test_pongs_count_as_frames_of_a_turn(user: str | None) -> None:
    """A run of Pongs was taken in one step, however long: a core was full of them."""
    room = BareRoom()
    one = room.enter(user)
    one.say(*[Pong(seq=9)] * 200, Ping(seq=10))

    one.session.work(room.now, 8)

    assert one.session.conn.held == (200 - 8 + 1) * 16
    one.work()
    assert one.read()[-1] == Pong(seq=10)


def test_pongs_count_against_the_rate() -> None:
    room = BareRoom(rate=10, presence=False, heartbeat=0)
    ann = room.enter("ann")
    room.now += 1

    ann.say(*[Pong(seq=9)] * 200)
    ann.work()

    assert ann.session.conn.held == 190 * 16
