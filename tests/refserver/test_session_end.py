"""Every way of leaving, and what is still said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.refserver.bare_room import BareRoom, Client, code_of, in_short, resume, welcome_of

from eventcodec import (
    Ack,
    Error,
    ErrorCode,
    Left,
    LeftReason,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    encode,
)


def log_out(client: Client) -> None:
    client.say(Logout(seq=2), Ping(seq=3))
    client.work()


def end_input(client: Client) -> None:
    client.session.receive_eof()
    client.work()


def vanish(client: Client) -> None:
    client.session.lost()


def break_a_rule(client: Client) -> None:
    client.say(b"GET / HTTP/1.1\r\n\r\n", Ping(seq=3))
    client.work()


def be_silent(client: Client) -> None:
    for _ in range(2):
        client.room.now += client.room.config.heartbeat
        client.tick()


def take_no_byte(client: Client) -> None:
    client.session.deadlines.write_blocked(client.room.now)
    client.room.now += client.room.config.write_timeout
    client.session.tick(client.room.now)


def fall_behind(client: Client) -> None:
    watcher, loud = client.room.clients[0], client.room.enter("loud")
    for _ in range(80):
        loud.ask(Message(content="x" * 60_000, seq=2))
        watcher.read()


def be_replaced(client: Client) -> None:
    assert client.session.member is not None
    client.room.enter().ask(resume(client.session.member.ticket, 2))


WAYS: dict[str, tuple[Callable[[Client], None], LeftReason, object]] = {
    "Logout": (log_out, LeftReason.LEFT, None),
    "end of stream": (end_input, LeftReason.LOST, None),
    "reset": (vanish, LeftReason.LOST, None),
    "fault": (break_a_rule, LeftReason.LOST, ErrorCode.FRAME_TOO_LARGE),
    "silence": (be_silent, LeftReason.LOST, ErrorCode.TIMEOUT),
    "takeover": (be_replaced, LeftReason.LOST, ErrorCode.USER_TAKEN),
    "stall": (take_no_byte, LeftReason.EVICTED, ErrorCode.SLOW_CONSUMER),
    "falling behind": (fall_behind, LeftReason.EVICTED, ErrorCode.SLOW_CONSUMER),
    "failure": (
        lambda client: client.session.goodbye(ErrorCode.INTERNAL),
        LeftReason.LOST,
        ErrorCode.INTERNAL,
    ),
}
each_way = pytest.mark.parametrize(("leave", "reason", "last"), WAYS.values(), ids=WAYS)


@pytest.mark.proves("EP-5.4-2", "EP-5.4-4", "EP-10.2-1", "EP-10.3-4")
@each_way
def test_whoever_leaves_has_left_once_for_a_reason(
    leave: Callable[[Client], None], reason: LeftReason, last: ErrorCode | None
) -> None:
    room = BareRoom(log_bytes=1 << 20)
    watcher, ann = room.enter("watcher"), room.enter("ann")

    leave(ann)

    ann.read()
    watcher.read()
    lefts = [each for each in watcher.received if isinstance(each, Left)]
    errors = [code_of(each) for each in ann.received if isinstance(each, Error)]
    assert [(each.user, each.why) for each in lefts] == [("ann", reason)]
    assert errors == ([(0, last)] if last else [])
    assert not any(isinstance(each, Left) for each in ann.received)
    assert ann.session.outbox.finished


@pytest.mark.proves("EP-5.4-5")
@each_way
def test_a_name_is_free_as_soon_as_its_member_leaves(
    leave: Callable[[Client], None], reason: LeftReason, last: ErrorCode | None
) -> None:
    if leave is be_replaced:
        return  # it is the same member, on another connection
    room = BareRoom(log_bytes=1 << 20)
    room.enter("watcher")

    leave(room.enter("ann"))
    room.clients[1].read()

    assert welcome_of(room.enter().ask(Login(user="ann", seq=1))[0]).user == "ann"


@pytest.mark.proves("EP-5.2-7", "EP-8.2-3", "EP-8.2-8", "EP-10.1-1", "EP-10.3-5")
@pytest.mark.parametrize(
    ("leave", "last"),
    [
        (log_out, Ack(position=5, seq=2)),
        (end_input, None),
        (break_a_rule, (0, ErrorCode.FRAME_TOO_LARGE)),
        (be_replaced, (0, ErrorCode.USER_TAKEN)),
    ],
    ids=["Logout", "end of stream", "fault", "takeover"],
)
def test_the_last_frame_stands_behind_everything_before_and_nothing_follows(
    leave: Callable[[Client], None], last: object
) -> None:
    room = BareRoom()
    bob, ann = room.enter("bob"), room.enter("ann")
    ann.say(Ping(seq=7), Message(content="mine", seq=8))
    ann.work()
    bob.ask(Message(content="his", seq=2))

    leave(ann)
    bob.ask(Message(content="later", seq=3))

    assert [in_short(event) for event in ann.read()] == [
        Pong(seq=7),
        Ack(position=3, seq=8),
        Message(sender="bob", content="his", seq=4),
        *([last] if last else []),
    ]
    assert ann.session.outbox.finished
    assert ann.ask(Message(content="too late", seq=9)) == []
    assert [event for event in bob.sync() if isinstance(event, Message)] == []


@pytest.mark.proves("EP-10.3-3", "EP-2.1-6", "EP-4.2-13")
def test_the_frames_before_the_end_of_a_stream_are_answered_and_a_cut_one_has_no_effect() -> None:
    room = BareRoom()
    bob, ann = room.enter("bob"), room.enter("ann")
    bob.read()
    cut = encode(Message(content="cut", seq=4))[:-1]

    ann.say(Message(content="whole", seq=2), Ping(seq=3), cut)
    ann.session.receive_eof()
    ann.work()

    assert ann.read() == [Ack(position=3, seq=2), Pong(seq=3)]
    assert bob.read() == [
        Message(sender="ann", content="whole", seq=3),
        Left(user="ann", reason=LeftReason.LOST, seq=4),
    ]


@pytest.mark.proves("EP-4.2-13", "EP-8.3-5", "EP-4.3-6")
def test_the_frames_before_a_faulty_one_have_their_effect_and_those_behind_it_none() -> None:
    room = BareRoom()
    bob, ann = room.enter("bob"), room.enter("ann")
    bob.read()
    fault = b"\0\0\0\x0c\2" + bytes(11)

    answers = ann.ask(Message(content="good", seq=2), fault, Message(content="behind", seq=4))

    assert [in_short(answer) for answer in answers] == [
        Ack(position=3, seq=2),
        (0, ErrorCode.UNSUPPORTED_VERSION),
    ]
    assert bob.read()[:-1] == [Message(sender="ann", content="good", seq=3)]


@pytest.mark.proves("EP-5.4-8")
@pytest.mark.parametrize("leave", [log_out, end_input, vanish, break_a_rule, take_no_byte])
def test_a_stranger_that_goes_makes_no_entry(leave: Callable[[Client], None]) -> None:
    room = BareRoom()
    bob = room.enter("bob")

    leave(room.enter())

    assert bob.sync() == []


@pytest.mark.proves("EP-5.4-6", "EP-10.2-2", "EP-8.2-8")
def test_a_shutdown_stands_behind_all_entries_and_enters_nobody() -> None:
    room = BareRoom()
    ann, bob, stranger = room.enter("ann"), room.enter("bob"), room.enter()
    ann.ask(Message(content="last", seq=2))
    bob.say(Message(content="not read any more", seq=2))

    room.shared.shut()
    for client in room.clients:
        client.session.goodbye(ErrorCode.SHUTTING_DOWN)

    assert [in_short(event) for event in bob.read()] == [
        Message(sender="ann", content="last", seq=3),
        (0, ErrorCode.SHUTTING_DOWN),
    ]
    assert [code_of(event) for event in ann.read() + stranger.read()] == [
        (0, ErrorCode.SHUTTING_DOWN)
    ] * 2
    assert room.shared.log.end == 3


def test_a_goodbye_is_said_once() -> None:
    ann = BareRoom().enter("ann")

    ann.session.goodbye(ErrorCode.TIMEOUT)
    ann.session.goodbye(ErrorCode.SHUTTING_DOWN)

    assert [code_of(event) for event in ann.read()] == [(0, ErrorCode.TIMEOUT)]
    ann.session.lost()
    assert ann.read() == []
