"""One client's conversation with the server, without a socket and with time passed in."""

from __future__ import annotations

import pytest
from tests.refserver.seats import Hall

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    ErrorCode,
    Event,
    Logout,
    Message,
    Ping,
    Pong,
)

# ---------------------------------------------------------------- the relay


@pytest.mark.proves("EP-3.7-6", "EP-5.3-3")
@pytest.mark.parametrize(
    ("said", "fact"),
    [
        (Message(content="hi", seq=2), Message(content="hi", sender="ann", seq=3)),
        (
            ApplicationEvent(type=0x80, data=b"\xff", seq=2),
            ApplicationEvent(type=0x80, data=b"\xff", sender="ann", seq=3),
        ),
    ],
    ids=["Message", "application event"],
)
def test_a_message_right_behind_a_pong_is_entered_like_any_other(said: Event, fact: Event) -> None:
    hall = Hall()
    bob, ann = hall.sit("bob"), hall.sit("ann")
    bob.hear()

    assert ann.ask(Pong(seq=1), said) == [Ack(position=3, seq=2)]

    assert bob.hear() == [fact]


# ---------------------------------------------------------------- falling behind


def test_whoever_left_and_then_fell_behind_is_told_so() -> None:
    hall = Hall(capacity=2_000)
    ann, bob = hall.sit("ann"), hall.sit("bob")
    ann.hear()
    bob.ask(Message(content="x", seq=2))

    ann.say(Logout(seq=2))
    ann.work()
    bob.ask(Message(content="x" * 2_000, seq=3))

    assert [(each.seq, each.code) for each in ann.hear() if isinstance(each, Error)] == [
        (0, ErrorCode.SLOW_CONSUMER)
    ]
    assert ann.session.finished


def test_a_stranger_that_takes_nothing_is_not_called_a_slow_member() -> None:
    hall = Hall(stalled=10, login_timeout=60)
    stranger = hall.sit()
    stranger.say(Ping(seq=1))
    stranger.work()

    stranger.session.stuck(hall.now)
    hall.now += 10
    stranger.session.tick(hall.now)

    [error] = stranger.hear()
    assert isinstance(error, Error)
    assert (error.seq, error.code) == (0, ErrorCode.TIMEOUT)
