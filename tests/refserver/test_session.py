"""One client's conversation with the server, without a socket and with time passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.refserver.bare_room import FIRST_TICKET, BareRoom, Client, code_of, in_short, resume

from eventcodec import (
    Ack,
    ApplicationEvent,
    Decoder,
    Error,
    ErrorCode,
    Event,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Unknown,
    Welcome,
    encode,
)
from eventcodec.limits import MAX_FRAME_CEILING
from refserver.session.log import SEGMENT
from refserver.session.outbox import REPLY_CHARGE
from refserver.session.session import HELD, HELD_BEFORE_LOGIN

UNKNOWN = Unknown(type=0x42, body=b"?", seq=3)
SHOUT = ApplicationEvent(type=0xC0, data=b"\x00\xff", seq=3)


def decoded(data: bytes | memoryview) -> list[Event]:
    """The events in what a session hands out."""
    decoder = Decoder()
    decoder.receive_data(data)
    return [event for event in decoder.events() if isinstance(event, Event)]


# ---------------------------------------------------------------- requests and replies


@dataclass(frozen=True)
class Exchange:
    """What somebody says, and what is answered."""

    said: list[Event]
    answered: list[object]


WELCOME = Welcome(
    user="ann",
    ticket=FIRST_TICKET,
    position=1,
    max_frame=65_536,
    heartbeat=20,
    server="refserver",
    seq=1,
)

IN_ANY_STATE = {
    "Ping": Exchange([Ping(seq=3)], [Pong(seq=3)]),
    "Ack": Exchange([Ack(seq=3)], [(3, ErrorCode.UNEXPECTED_EVENT)]),
    "Error": Exchange([Error(code=1, seq=3)], [(3, ErrorCode.UNEXPECTED_EVENT)]),
    "Welcome": Exchange([WELCOME.with_seq(3)], [(3, ErrorCode.UNEXPECTED_EVENT)]),
    "Joined": Exchange([Joined(user="bob", seq=3)], [(3, ErrorCode.UNEXPECTED_EVENT)]),
    "Left": Exchange([Left(user="bob", seq=3)], [(3, ErrorCode.UNEXPECTED_EVENT)]),
    "unknown": Exchange([UNKNOWN], [(3, ErrorCode.UNKNOWN_TYPE)]),
}
BEFORE_LOGIN = IN_ANY_STATE | {
    "Message": Exchange([Message(content="hi", seq=3)], [(3, ErrorCode.LOGIN_REQUIRED)]),
    "application event": Exchange([SHOUT], [(3, ErrorCode.LOGIN_REQUIRED)]),
    "Logout": Exchange([Logout(seq=3)], [(3, ErrorCode.LOGIN_REQUIRED)]),
    "Pong": Exchange([Pong(seq=3)], []),
    "a sender": Exchange(
        [Message(sender="ann", content="hi", seq=3)], [(3, ErrorCode.UNEXPECTED_EVENT)]
    ),
    "Login": Exchange([Login(user="ann", seq=1)], [WELCOME]),
    "a credential that nobody asked for": Exchange(
        [Login(user="ann", credential=b"\x00\xff", seq=1)], [WELCOME]
    ),
    "a refused Login, then a good one": Exchange(
        [Login(user="a\nb", seq=9), Login(user="ann", seq=1)], [(9, ErrorCode.BAD_USER), WELCOME]
    ),
    "a ticket that nobody has, then a fresh Login": Exchange(
        [Login(user="ann", ticket=5, position=1, seq=9), Login(user="ann", seq=1)],
        [(9, ErrorCode.HISTORY_GONE), WELCOME],
    ),
    "all at once": Exchange(
        [
            Ping(seq=3),
            Message(content="too soon", seq=3),
            Login(user="ann", seq=1),
            Message(content="hi", seq=2**64 - 1),
            UNKNOWN,
            SHOUT,
            Ping(seq=3),
        ],
        [
            Pong(seq=3),
            (3, ErrorCode.LOGIN_REQUIRED),
            WELCOME,
            Ack(position=2, seq=2**64 - 1),
            (3, ErrorCode.UNKNOWN_TYPE),
            Ack(position=3, seq=3),
            Pong(seq=3),
        ],
    ),
}

LOGGED_IN = IN_ANY_STATE | {
    "Message": Exchange([Message(content="", seq=3)], [Ack(position=2, seq=3)]),
    "application event": Exchange([SHOUT], [Ack(position=2, seq=3)]),
    "two of one number": Exchange(
        [Message(content="a", seq=3), SHOUT], [Ack(position=2, seq=3), Ack(position=3, seq=3)]
    ),
    "numbers that fall": Exchange(
        [Ping(seq=9), Ping(seq=8), Ping(seq=8)], [Pong(seq=9), Pong(seq=8), Pong(seq=8)]
    ),
    "Login": Exchange([Login(user="ann", seq=3)], [(3, ErrorCode.ALREADY_LOGGED_IN)]),
    "Logout": Exchange([Logout(seq=3)], [Ack(position=2, seq=3)]),
    "behind a Logout": Exchange([Logout(seq=3), Ping(seq=4), UNKNOWN], [Ack(position=2, seq=3)]),
    "Pong": Exchange([Pong(seq=3), Ping(seq=4)], [Pong(seq=4)]),
    "a sender": Exchange(
        [Message(sender="ann", content="hi", seq=3), SHOUT],
        [(3, ErrorCode.UNEXPECTED_EVENT), Ack(position=2, seq=3)],
    ),
    "a sender of an application event": Exchange(
        [ApplicationEvent(type=0x80, sender="ann", seq=3)], [(3, ErrorCode.UNEXPECTED_EVENT)]
    ),
}


def each(exchanges: dict[str, Exchange]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exchange", exchanges.values(), ids=exchanges)


PIECES = {"whole": 1 << 20, "byte by byte": 1, "in sevens": 7}
in_pieces = pytest.mark.parametrize("size", PIECES.values(), ids=PIECES)


def told(client: Client, exchange: Exchange, size: int) -> list[object]:
    """What is answered when it comes in pieces of this size."""
    data = b"".join(map(encode, exchange.said))
    answers: list[Event] = []
    for at in range(0, len(data), size):
        answers += client.ask(data[at : at + size])
    return [in_short(answer) for answer in answers]


@pytest.mark.proves(
    "EP-4.2-1", "EP-4.2-2", "EP-4.2-3", "EP-4.2-5", "EP-4.2-6", "EP-4.2-7", "EP-4.2-8", "EP-4.2-10"
)
@pytest.mark.proves("EP-4.3-1", "EP-4.3-2", "EP-4.3-4", "EP-4.3-5", "EP-3.7-4", "EP-3.7-6")
@pytest.mark.proves("EP-3.1-2", "EP-3.7-2", "EP-3.12-1", "EP-6.1-1", "EP-6.3-6", "EP-8.3-3")
@in_pieces
@each(BEFORE_LOGIN)
def test_a_stranger_is_answered(exchange: Exchange, size: int) -> None:
    assert told(BareRoom().enter(), exchange, size) == exchange.answered


@pytest.mark.proves("EP-4.2-1", "EP-4.2-2", "EP-4.2-3", "EP-4.2-7", "EP-4.2-10", "EP-3.7-6")
@pytest.mark.proves("EP-4.3-3", "EP-4.3-4", "EP-4.3-6", "EP-5.4-7", "EP-10.1-1", "EP-3.3-3")
@in_pieces
@each(LOGGED_IN)
def test_a_member_is_answered(exchange: Exchange, size: int) -> None:
    assert told(BareRoom().enter("ann"), exchange, size) == exchange.answered


@pytest.mark.proves("EP-4.2-8", "EP-4.2-9", "EP-5.4-8")
@each(BEFORE_LOGIN)
def test_what_a_stranger_says_has_no_effect_unless_it_logs_in(exchange: Exchange) -> None:
    room = BareRoom()
    bob = room.enter("bob")
    stranger = room.enter()

    stranger.ask(*exchange.said)
    stranger.session.lost()

    facts = bob.sync()
    joined = any(isinstance(said, Login) and said.seq == 1 for said in exchange.said)
    assert bool(facts) == joined
    assert (not facts) or facts[0] == Joined(user="ann", seq=2)


@pytest.mark.proves(
    "EP-3.3-4", "EP-3.3-5", "EP-3.11-3", "EP-3.11-4", "EP-5.1-3", "EP-5.3-3", "EP-5.3-5"
)
@pytest.mark.parametrize("behind_a_pong", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        Message(content="hello", seq=2),
        Message(content="", seq=2),
        Message(content="\0é\u0301\ufeff😀\n", seq=2),
        *(ApplicationEvent(type=type, data=b"\xff\x00", seq=2) for type in range(0x80, 0x100)),
        ApplicationEvent(type=0x80, seq=2),
    ],
    ids=lambda said: f"{said.type:02x}-{len(encode(said))}",
)
def test_what_a_member_says_is_relayed_unchanged_under_its_name(
    said: Message | ApplicationEvent, behind_a_pong: bool
) -> None:
    room = BareRoom()
    bob, ann = room.enter("bob"), room.enter("änn")
    bob.read()

    ann.ask(*([Pong(seq=1)] if behind_a_pong else []), said)

    [fact] = bob.read()
    assert isinstance(fact, Message | ApplicationEvent)
    assert (fact.type, fact.sender, fact.position) == (said.type, "änn", 3)
    assert encode(fact)[16 + len(b"\4\xc3\xa4nn") :] == encode(said)[16 + 1 :]


# ---------------------------------------------------------------- order


@pytest.mark.proves("EP-5.2-1", "EP-5.2-2", "EP-5.2-4", "EP-5.3-4", "EP-4.2-7")
def test_replies_stand_behind_all_that_was_in_the_log_when_their_request_was_handled() -> None:
    room = BareRoom(presence=False)
    ann, bob = room.enter("ann"), room.enter("bob")
    bob.say(Message(content="1", seq=2))
    ann.say(Ping(seq=2), Message(content="2", seq=3), UNKNOWN.with_seq(4))

    bob.work()
    ann.work()
    bob.ask(Message(content="3", seq=3))

    assert [in_short(event) for event in ann.read()] == [
        Message(sender="bob", content="1", seq=1),
        Pong(seq=2),
        Ack(position=2, seq=3),
        (4, ErrorCode.UNKNOWN_TYPE),
        Message(sender="bob", content="3", seq=3),
    ]


@pytest.mark.proves("EP-5.3-1", "EP-5.3-2")
def test_whoever_is_present_when_an_entry_is_made_reads_it() -> None:
    room = BareRoom(presence=False)
    ann, bob = room.enter("ann"), room.enter("bob")

    assert ann.ask(Message(content="hi", seq=2)) == [Ack(position=1, seq=2)]
    late = room.enter("eve")

    assert bob.read() == [Message(sender="ann", content="hi", seq=1)]
    assert late.sync() == []


@pytest.mark.proves("EP-7.1-4")
def test_long_entries_are_given_piece_by_piece_and_whole() -> None:
    room = BareRoom(max_frame=MAX_FRAME_CEILING, presence=False)
    ann, bob = room.enter("ann"), room.enter("bob")
    contents = ["x" * (3 * SEGMENT + 1), "y", "z" * SEGMENT]
    ann.ask(*(Message(content=content, seq=2) for content in contents))

    first = bytes(bob.session.outbox.next_chunk())
    bob.say(Ping(seq=2))
    bob.work()
    pieces = [first, *iter(lambda: bytes(bob.session.outbox.next_chunk()), b"")]

    facts = [Message(sender="ann", content=each, seq=n) for n, each in enumerate(contents, 1)]
    assert b"".join(pieces) == b"".join(map(encode, [*facts, Pong(seq=2)]))
    assert max(map(len, pieces)) == SEGMENT


def say_something(client: Client) -> None:
    client.say(Ping(seq=2))
    client.work()


@pytest.mark.parametrize(
    "prepare",
    [
        say_something,
        lambda client: client.session.receive_eof() or client.ask(),
        lambda client: client.session.lost(),
        lambda client: client.session.goodbye(ErrorCode.TIMEOUT) or client.read(),
        lambda client: client.ask(Logout(seq=2)),
    ],
    ids=["has a reply to read", "is at its end", "is lost", "is told to go", "has logged out"],
)
def test_whoever_does_not_only_follow_the_log(prepare: Callable[[Client], object]) -> None:
    bob = BareRoom().enter("bob")
    assert bob.session.outbox.follows

    prepare(bob)

    assert not bob.session.outbox.follows


def test_a_stranger_does_not_follow_the_log() -> None:
    stranger = BareRoom().enter()
    stranger.ask(Ping(seq=1))

    assert not stranger.session.outbox.follows


def test_whoever_has_begun_a_long_piece_does_not_follow_the_log_until_its_end() -> None:
    room = BareRoom(max_frame=MAX_FRAME_CEILING, presence=False)
    ann, bob = room.enter("ann"), room.enter("bob")
    ann.ask(Message(content="x" * (2 * SEGMENT), seq=2))

    follows = []
    while bob.session.outbox.next_chunk():
        follows.append(bob.session.outbox.follows)

    assert follows == [False, False, True]


def test_whoever_follows_the_log_may_be_put_behind_a_segment_of_it() -> None:
    room = BareRoom(presence=False)
    ann, bob = room.enter("ann"), room.enter("bob")
    ann.ask(Message(content="a", seq=2))

    _, bob.session.outbox.cursor = room.shared.log.segment(bob.session.outbox.cursor)

    ann.ask(Message(content="b", seq=3))
    assert bob.read() == [Message(sender="ann", content="b", seq=2)]


# ---------------------------------------------------------------- falling behind


@pytest.mark.proves("EP-5.2-8", "EP-8.2-4")
def test_whoever_falls_behind_reads_up_to_a_place_and_then_that_it_was_slow() -> None:
    room = BareRoom(capacity=300_000, presence=False)
    ann, bob = room.enter("ann"), room.enter("bob")
    for n in range(4):
        bob.ask(Message(content=str(n) * 60_000, seq=2))

    first = decoded(ann.session.outbox.next_chunk())
    for n in range(4, 8):
        bob.ask(Message(content=str(n) * 60_000, seq=2))
    rest = ann.read()

    assert [event.seq for event in first] == list(range(1, len(first) + 1))
    assert [code_of(event) for event in rest] == [(0, ErrorCode.SLOW_CONSUMER)]


def test_it_is_known_who_is_behind() -> None:
    room = BareRoom(capacity=1_000, presence=False)
    ann, bob, stranger = room.enter("ann"), room.enter("bob"), room.enter()
    assert not ann.session.outbox.is_behind

    bob.ask(Message(content="a", seq=2))
    bob.ask(Message(content="x" * 900, seq=3))

    assert (
        ann.session.outbox.is_behind,
        bob.session.outbox.is_behind,
        stranger.session.outbox.is_behind,
    ) == (True, False, False)


def test_whoever_left_and_then_fell_behind_is_told_so() -> None:
    room = BareRoom(capacity=2_000)
    ann, bob = room.enter("ann"), room.enter("bob")
    bob.ask(Message(content="x", seq=2))

    ann.say(Logout(seq=2))
    ann.work()
    bob.ask(Message(content="x" * 2_000, seq=3))

    assert [code_of(event) for event in ann.read()] == [(0, ErrorCode.SLOW_CONSUMER)]
    assert ann.session.outbox.finished


def test_a_resume_that_is_too_slow_for_its_replay_is_told_so() -> None:
    room = BareRoom(capacity=2_000)
    room.enter("ann").session.lost()
    bob, again = room.enter("bob"), room.enter()

    again.say(resume(FIRST_TICKET, 1))
    again.work()
    bob.ask(Message(content="x" * 2_000, seq=3))

    assert code_of(again.read()[-1]) == (0, ErrorCode.SLOW_CONSUMER)
    assert again.session.outbox.finished


# ---------------------------------------------------------------- reading stops


@pytest.mark.proves("EP-7.2-2", "EP-4.2-1")
@pytest.mark.parametrize(
    ("user", "most", "charge"),
    [(None, HELD_BEFORE_LOGIN, 0), ("ann", HELD, REPLY_CHARGE)],
    ids=["stranger", "member"],
)
def test_whoever_does_not_read_replies_is_judged_and_read_no_further(
    user: str | None, most: int, charge: int
) -> None:
    client = BareRoom().enter(user)
    pings = [Ping(seq=seq) for seq in range(1, 10_000)]

    client.say(*pings)
    client.work()

    assert not client.session.reading
    answered = decoded(client.session.outbox.next_chunk())
    assert most <= len(answered) * (16 + charge) <= most + 256 * (16 + charge)
    while client.session.has_work:
        client.work()
        answered += client.read()
    assert answered == [Pong(seq=seq) for seq in range(1, 10_000)]
    assert client.session.reading


@pytest.mark.proves("EP-7.2-2")
def test_a_client_is_not_read_while_it_is_not_judged() -> None:
    room = BareRoom(rate=1)
    ann = room.enter("ann")

    ann.ask(encode(Ping(seq=1)) * (HELD // 16 + 10))

    assert not ann.session.reading


@pytest.mark.proves("EP-7.1-3")
@pytest.mark.parametrize("max_frame", [HELD, 10 * HELD])
def test_the_longest_frame_is_read_to_its_end(max_frame: int) -> None:
    room = BareRoom(max_frame=max_frame)
    ann = room.enter("ann")
    longest = encode(Message(content="x" * (max_frame - 13), seq=2))

    for at in range(0, len(longest) - 1, HELD):
        assert ann.session.reading
        assert ann.ask(longest[at : at + HELD]) in ([], [Ack(position=2, seq=2)])

    assert ann.session.reading
    assert ann.read() + ann.ask(Ping(seq=3)) == [Pong(seq=3)]
