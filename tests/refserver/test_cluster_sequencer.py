"""Sessions of one node of a shared room: told in order, told late, and told when it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.refserver.engine import Engine
from tests.refserver.model import Unlimited
from tests.refserver.shared_servers import Server
from tests.support.raw import (
    ACK,
    ERROR,
    HISTORY_GONE,
    JOINED,
    LEFT,
    MESSAGE,
    PONG,
    UNAVAILABLE,
    UNSUPPORTED_VERSION,
    USER_TAKEN,
    WELCOME,
    ErrorReply,
    Frame,
    acked,
    error_of,
    login,
    logout,
    message,
    ping,
    said,
    welcomed,
)

from eventcodec import ErrorCode
from refserver.cluster.calls import Enter, Leave, Mark, Operation, Retire, Say, Status
from refserver.cluster.node import Phase
from refserver.cluster.records import Place, Record
from refserver.session.state import State


def types(frames: list[Frame]) -> list[int]:
    return [frame.type for frame in frames]


def test_two_servers_have_one_room() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann, bob = here.connect(), there.connect()
    ann.enter("ann")
    bob.enter("bob")

    ann.ask(message(b"hello", 2))
    for server in (here, there):
        server.pump()

    joined, ack = ann.sync()
    assert (joined.type, acked(ack)) == (JOINED, 3)
    assert [said(each) for each in bob.sync()] == [("ann", b"hello")]


def test_replies_stand_in_request_order_between_the_entries() -> None:
    here = Server(Engine())
    ann = here.connect()
    ann.enter("ann")

    ann.ask(message(b"a", 2), ping(3), message(b"b", 4), message(b"c", 5), ping(6))
    assert ann.sync() == [], "nothing has its place yet"
    here.pump()

    frames = ann.sync()
    assert types(frames) == [ACK, PONG, ACK, ACK, PONG]
    assert [each.seq for each in frames] == [2, 3, 4, 5, 6]
    assert [acked(frames[each]) for each in (0, 2, 3)] == [2, 3, 4]


def test_what_was_asked_is_acknowledged_when_the_copy_has_it_and_not_before() -> None:
    here = Server(Engine())
    ann = here.connect()
    ann.enter("ann")

    ann.ask(message(b"a", 2))
    here.call()
    assert ann.sync() == [], "the engine has it, the copy has not"
    here.read()

    assert types(ann.sync()) == [ACK]


def test_a_login_is_judged_before_what_stands_behind_it() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    here.connect().enter("ann")
    other = there.connect()

    other.ask(
        login("ann", seq=1), message(b"too early", 2), login("bob", seq=3), message(b"now", 4)
    )
    for _ in range(3):
        there.pump()
        other.ask()
    frames = other.sync()

    assert [error_of(each).code for each in frames[:2]] == [USER_TAKEN, 10]
    assert types(frames[2:]) == [WELCOME, ACK]


def test_a_session_goes_on_on_another_server() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann = here.connect()
    ticket = welcomed(ann.enter("ann")[0]).ticket
    ann.ask(message(b"one", 2))
    here.pump()

    again = there.connect()
    frames = again.enter("ann", ticket, position=1)
    ann.ask(message(b"two", 3))  # the old server does not know yet
    here.pump()

    assert types(frames) == [WELCOME, MESSAGE, LEFT, JOINED]
    assert error_of(ann.sync()[-1]) == ErrorReply(0, USER_TAKEN)
    there.pump()
    assert again.sync() == [], "what came by the old connection had no effect"


def test_a_logout_is_acknowledged_with_the_place_of_its_left() -> None:
    here = Server(Engine())
    ann, bob = here.connect(), here.connect()
    ann.enter("ann")
    bob.enter("bob")

    ann.ask(logout(2))
    assert ann.sync()[-1].type == JOINED
    assert not ann.session.outbox.finished
    here.pump()

    assert [acked(each) for each in ann.sync()] == [3]
    assert ann.session.outbox.finished
    assert types(bob.sync()) == [LEFT]


@pytest.mark.proves("EP-8.2-4", "EP-8.2-9")
def test_without_the_engine_only_who_has_nothing_in_doubt_is_told() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    doubts, clear, other = here.connect(), here.connect(), there.connect()
    for client, user in ((doubts, "ann"), (clear, "bob"), (other, "eve")):
        client.enter(user)
    here.pump()
    other.ask(message(b"behind", 2))
    there.pump()
    doubts.sync(), clear.sync()

    doubts.ask(message(b"?", 2))
    clear.ask(ping(2))
    here.sequencer.engine_is_away()

    assert doubts.sync() == []
    assert [error_of(each) for each in clear.sync()] == [ErrorReply(0, UNAVAILABLE)]
    assert doubts.session.outbox.finished and clear.session.outbox.finished
    late = here.connect()
    late.ask(login("late", seq=1))
    assert [error_of(each) for each in late.sync()] == [ErrorReply(0, UNAVAILABLE)]

    here.sequencer.engine_is_back()
    here.pump()
    there.pump()
    assert types(other.sync())[-3:] == [MESSAGE, LEFT, LEFT]


def test_a_fenced_server_tells_all_and_serves_again_by_itself() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann, bob = here.connect(), there.connect()
    ticket = welcomed(ann.enter("ann")[0]).ticket
    bob.enter("bob")

    for _ in range(8):
        engine.time += 4_000
        there.pump()
    ann.ask(message(b"late", 2))
    here.pump()
    here.pump()

    assert (here.ends, there.ends) == (["fenced"], [])
    assert error_of(ann.sync()[-1]) == ErrorReply(0, UNAVAILABLE)
    assert types(bob.sync()) == [LEFT]
    assert types(here.connect().enter("ann", ticket, position=1)) == [
        WELCOME,
        JOINED,  # bob
        LEFT,
        JOINED,
    ]


def test_a_login_that_comes_right_behind_the_fence_is_answered() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    for _ in range(8):
        engine.time += 4_000
        there.pump()

    here.call()
    here.read()
    late = here.connect()

    assert types(late.enter("late")) == [WELCOME]


def test_an_engine_that_comes_back_empty_ends_everybody_and_knows_no_ticket() -> None:
    engine = Engine()
    here = Server(engine)
    ann = here.connect()
    ticket = welcomed(ann.enter("ann")[0]).ticket

    engine.state = None
    engine.restart()
    here.sequencer.node.disconnected()
    here.pump()

    assert here.ends == ["lost"]
    assert error_of(ann.sync()[-1]) == ErrorReply(0, UNAVAILABLE)
    [reply] = here.connect().enter("ann", ticket, position=1)
    assert (reply.type, error_of(reply).code) == (ERROR, HISTORY_GONE)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_server_that_stops_lets_its_members_leave_if_another_stays(at_once: bool) -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann, bob = here.connect(), there.connect()
    ann.enter("ann")
    bob.enter("bob")
    here.pump()
    there.pump()
    ann.sync()

    clients = [(here, ann), (there, bob)]
    for stopping in [clients] if at_once else [[client] for client in clients]:
        for server, client in stopping:
            server.sequencer.shut()
            client.session.goodbye(ErrorCode.SHUTTING_DOWN)
            server.pump()
        for server, _ in stopping:
            server.sequencer.retire()
            server.pump()
            there.pump()

    told = [] if at_once else [LEFT]
    assert types(ann.sync()) == [ERROR]
    assert types(bob.sync()) == [*told, ERROR]
    assert engine.state is not None
    assert engine.state.end == 2 + len(told)


# ---------------------------------------------------------------- what comes late


def test_a_login_that_is_answered_when_its_client_is_gone_leaves_nobody_behind() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    bob = there.connect()
    bob.enter("bob")
    gone, refused = here.connect(), here.connect()

    gone.ask(login("ann"))
    refused.ask(login("bob"))
    for client in (gone, refused):
        client.session.lost()
    for server in (here, here, there):
        server.pump()

    assert types(bob.sync()) == [JOINED, LEFT]
    assert gone.sync() == refused.sync() == []
    assert here.sequencer.members == {}
    assert types(here.connect().enter("ann")) == [WELCOME]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (logout(2), USER_TAKEN),
        (message(b"late", 2) + logout(3), USER_TAKEN),
        (bytes.fromhex("0000000c") + bytes(12), UNSUPPORTED_VERSION),
    ],
    ids=["logout", "message and logout", "bad frame"],
)
def test_who_leaves_behind_a_resume_elsewhere_is_told_so_and_nothing_else_happens(
    sent: bytes, error: int
) -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann = here.connect()
    ticket = welcomed(ann.enter("ann")[0]).ticket
    again = there.connect()
    again.enter("ann", ticket, position=1)

    ann.ask(sent)
    here.pump()

    (last,) = ann.sync()
    assert error_of(last) == ErrorReply(0, error)
    assert ann.session.outbox.finished
    there.pump()
    assert types(again.sync()) == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_logout_whose_client_is_gone_is_answered_to_nobody(elsewhere: bool) -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann = here.connect()
    ticket = welcomed(ann.enter("ann")[0]).ticket
    if elsewhere:
        there.connect().enter("ann", ticket, position=1)

    ann.ask(logout(2))
    ann.session.lost()
    here.pump()

    assert ann.session.state is State.CLOSED
    assert ann.sync() == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_logout_while_the_server_stops_is_answered_once(elsewhere: bool) -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann, bob = here.connect(), there.connect()
    ticket = welcomed(ann.enter("ann")[0]).ticket
    bob.enter("bob")
    here.pump()
    ann.sync()
    if elsewhere:
        there.connect().enter("ann", ticket, position=1)

    here.sequencer.shut()
    ann.ask(logout(2))
    here.pump()
    here.sequencer.retire()
    here.pump()

    (last,) = ann.sync()
    assert (last.type, last.seq) == ((ERROR, 0) if elsewhere else (ACK, 2))


def test_nobody_who_has_left_says_anything() -> None:
    here = Server(Engine())
    ann = here.connect()
    ann.enter("ann")
    ann.ask(logout(2))
    here.pump()

    here.sequencer.say(ann.session, [message(b"late", 3)], bytes(24))

    assert not here.sequencer.node.has_asked
    assert here.sequencer.entries == 0


def test_a_second_resume_is_delayed_if_its_user_has_used_up_the_replays() -> None:
    class Spent(Unlimited):
        def replay_at(self, user: str, size: int, now: float) -> float:
            return now + 1.0

    here = Server(Engine(), quotas=Spent())
    first = here.connect()
    ticket = welcomed(first.enter("ann")[0]).ticket

    assert WELCOME in types(here.connect().enter("ann", ticket, position=1)), "nobody's share"
    second = here.connect()
    assert second.enter("ann", ticket, position=1) == []
    assert second.session.due == 1.0


def test_a_server_remembers_the_owners_of_so_many_tickets_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refserver.cluster.sequencer.KEPT", 2)
    asked = []

    class Counting(Unlimited):
        def replay_at(self, user: str, size: int, now: float) -> float:
            asked.append(user)
            return now

    here = Server(Engine(), quotas=Counting())
    tickets = {}
    for user in ("ann", "bob", "eve"):
        tickets[user] = welcomed(here.connect().enter(user)[0]).ticket
    for user in ("ann", "bob", "eve", "bob", "ann"):
        here.connect().enter(user, tickets[user], position=3)

    assert asked == ["bob"], "ann's was forgotten for eve's"


def test_without_presence_nobody_is_told_who_comes_and_goes() -> None:
    engine = Engine()
    here, there = Server(engine, presence=False), Server(engine, presence=False)
    ann, bob = here.connect(), there.connect()
    assert types(ann.enter("ann")) == [WELCOME]
    assert types(bob.enter("bob")) == [WELCOME]

    ann.ask(message(b"one", 2), logout(3))
    for server in (here, there):
        server.pump()

    assert [(each.type, acked(each)) for each in ann.sync()] == [(ACK, 1), (ACK, 0)]
    assert types(bob.sync()) == [MESSAGE]


def test_while_the_engine_is_away_no_login_is_taken() -> None:
    here = Server(Engine())
    here.sequencer.engine_is_away()

    for client in (here.connect(), here.connect()):
        client.ask(login("ann", ticket=7, position=1))
        assert [error_of(each) for each in client.sync()] == [ErrorReply(0, UNAVAILABLE)]


def test_an_engine_that_has_lost_the_room_leaves_who_waits_for_an_ack_without_a_word() -> None:
    engine = Engine()
    here = Server(engine)
    ann, bob = here.connect(), here.connect()
    ann.enter("ann")
    bob.enter("bob")
    ann.sync()

    ann.ask(message(b"?", 2))
    engine.state = None
    here.pump()

    assert (here.ends, ann.sync()) == (["lost"], [])
    assert ann.session.outbox.finished
    assert [error_of(each) for each in bob.sync()] == [ErrorReply(0, UNAVAILABLE)]


def test_a_server_that_stops_lets_more_members_leave_than_one_call_takes() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    crowd = [here.connect() for _ in range(300)]
    for each in crowd:
        each.ask(login(""))
    for _ in range(5):
        here.pump()
    bob = there.connect()
    bob.enter("bob")

    here.sequencer.shut()
    here.pump()
    here.sequencer.retire()
    here.call()
    there.read()
    at_once = types(bob.sync())
    here.pump()
    there.pump()

    assert (len(at_once), at_once.count(LEFT)) == (256, 256)
    assert types(bob.sync()) == [LEFT] * 44


# ---------------------------------------------------------------- calls


def say(size: int) -> Operation:
    return Say("nobody", [bytes(size)])


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        ([Enter("n", "k", "d", "u")] * 65, [64, 1]),
        ([Leave("n", 0)] * 257, [256, 1]),
        ([say(1 << 19)] * 3, [1, 1, 1]),
        ([say(1 << 18)] * 4, [3, 1]),
        ([say(1 << 22), Mark()], [1, 1]),
        ([Mark(), Retire(), Mark()], [2, 1]),
    ],
    ids=["logins", "departures", "bytes", "small runs", "a large run", "a stop"],
)
def test_a_call_takes_what_keeps_the_engine_busy_for_a_short_time(
    asked: list[Operation], counts: list[int]
) -> None:
    here = Server(Engine())
    node = here.sequencer.node
    for each in asked:
        node.submit(each, lambda answer: None)

    taken = []
    while node.has_asked:
        call = node.next_call()
        taken.append(len(call.operations))
        answers = b"\n".join([b"0"] * len(call.operations))
        node.answered(call.number, Status.OK, b"0 1 0-0 x - \n" + answers)

    assert taken == counts


# ---------------------------------------------------------------- the stream and the engine


def test_a_record_that_comes_twice_is_read_once() -> None:
    here = Server(Engine())
    ann = here.connect()
    ann.enter("ann")

    assert here.sequencer.node.read(here.record)
    assert (here.sequencer.node.end, ann.sync()) == (1, [])


def stranger(server: Server) -> Record:
    """A record that does not follow what the server has read."""
    place = server.sequencer.node.place
    return replace(server.record, place=Place(place.position, place.sub + 1), digest="other")


def test_a_record_that_does_not_follow_is_doubted_and_the_second_time_ends_the_room() -> None:
    here = Server(Engine())
    ann = here.connect()
    ann.enter("ann")

    assert not here.sequencer.node.read(stranger(here))
    assert here.sequencer.node.phase is Phase.CLOSED
    here.pump()
    assert (here.ends, here.sequencer.node.phase) == ([], Phase.OPEN), "nothing is lost"
    assert not here.sequencer.node.read(stranger(here))
    here.pump()

    assert here.ends == ["lost"]
    assert error_of(ann.sync()[-1]) == ErrorReply(0, UNAVAILABLE)


def test_a_server_that_is_fenced_and_cannot_read_on_to_its_fence_ends_without_a_word() -> None:
    engine = Engine()
    here = Server(engine)
    ann = here.connect()
    ann.enter("ann")
    assert engine.state is not None
    engine.state.nodes[here.sequencer.node.identity.encode()].state = "fenced"

    here.call()
    assert here.sequencer.node.phase is Phase.FENCED
    was = here.sequencer.node
    assert not was.read(stranger(here))

    assert here.ends == ["fenced"]
    assert ann.sync() == [] and ann.session.outbox.finished
    was.opened(Status.LOST)
    assert here.ends == ["fenced"], "it is over once"


def test_a_call_that_comes_while_others_have_to_vouch_is_made_again() -> None:
    engine = Engine()
    here, there = Server(engine), Server(engine)
    ann = here.connect()
    ann.enter("ann")
    there.pump()
    engine.restart()
    there.sequencer.node.disconnected()
    there.call()

    ann.ask(message(b"x", 2))
    here.call()
    assert here.sequencer.node.phase is Phase.CLOSED
    for server in (here, there, here):
        server.pump()

    assert [acked(each) for each in ann.sync()] == [2]
