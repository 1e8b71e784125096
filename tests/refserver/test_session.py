"""One client's conversation with the server, without a socket and with time passed in."""

from __future__ import annotations

import pytest
from tests.refserver.seats import Hall

from eventcodec import (
    Ack,
    ApplicationEvent,
    Event,
    Message,
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
