"""No clock judges a client while the server does not read from it."""

from __future__ import annotations

import resource
from typing import Any

import pytest
from tests.refserver.bare_room import BareRoom
from tests.support.stopped import hosting

from eventcodec import Ack, Error, Left, Login, Message, Ping, Welcome, encode
from refserver.server.descriptors import most_connections, most_lingering
from refserver.session.state import State


@pytest.mark.proves("EP-9.1-6")
def test_the_time_to_log_in_stands_still_while_the_server_does_not_read() -> None:
    room = BareRoom(login_timeout=5)
    stranger = room.enter()

    room.now += 4
    stranger.session.reading_paused(room.now)
    room.now += 60
    assert stranger.tick() == []
    stranger.session.deadlines.reading_resumed(room.now)
    room.now += 0.5
    assert stranger.tick() == []
    room.now += 0.5

    assert [type(event) for event in stranger.tick()] == [Error]


def test_a_stranger_that_takes_no_replies_gains_no_time_by_it() -> None:
    room = BareRoom(login_timeout=5)
    stranger = room.enter()
    stranger.say(*[Ping(seq=1)] * 200)
    stranger.work()
    assert not stranger.session.reading

    stranger.session.reading_paused(room.now)
    room.now += 5

    assert [type(event) for event in stranger.tick()][-1] is Error
    assert stranger.session.state == State.DISMISSED


def test_who_waits_for_its_turn_to_log_in_is_not_read_and_gets_in() -> None:
    room = BareRoom(login_timeout=5, login_at=lambda now: max(now, 1_060.0))
    stranger = room.enter()

    assert stranger.ask(Login(user="ann", seq=1)) == []
    assert not stranger.session.reading
    stranger.session.reading_paused(room.now)
    room.now = 1_060.0

    assert [type(event) for event in stranger.tick()] == [Welcome]
    assert stranger.session.reading


@pytest.mark.proves("EP-9.1-6", "EP-10.3-3")
def test_what_came_before_the_end_of_a_stream_is_answered_however_long_it_takes() -> None:
    room = BareRoom(rate=1, heartbeat=20)
    ann, bob = room.enter("ann"), room.enter("bob")
    room.now += 10
    ann.read()
    ann.say(b"".join(encode(Message(content="x", seq=n)) for n in range(2, 102)))
    ann.session.receive_eof()
    ann.work()

    answers = ann.read()
    for _ in range(110):
        room.now += 1
        answers += ann.tick()

    assert [event.seq for event in answers if isinstance(event, Ack)] == [*range(2, 102)]
    assert not [event for event in answers if isinstance(event, Error)]
    assert isinstance(bob.read()[-1], Left)


@pytest.mark.parametrize(("limit", "warned"), [(128, 1), (4096, 0), (resource.RLIM_INFINITY, 0)])
async def test_a_limit_of_descriptors_that_is_too_low_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, limit: int, warned: int
) -> None:
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    monkeypatch.setattr(
        "refserver.server.server.log_event",
        lambda kind, **fields: noted.append(fields) if kind == "descriptors" else None,
    )

    async with hosting(connections=1024) as host:
        assert most_connections(host.server.config) == (64 if warned else 1024)
        assert most_lingering(host.server.config) == (48 if warned else 64)

    assert noted == [{"limit": limit, "connections": 64}] * warned
