"""Who comes in, as whom, and where in the log."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.refserver.bare_room import FIRST_TICKET, BareRoom, code_of, in_short, resume, welcome_of

from eventcodec import (
    Ack,
    Error,
    ErrorCode,
    Event,
    Joined,
    Left,
    LeftReason,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Welcome,
    encode,
)
from eventcodec.limits import MAX_FRAME_BEFORE_WELCOME
from refserver.server.auth import Proof
from refserver.session.session import REJECT_DELAY

# ---------------------------------------------------------------- logging in


@pytest.mark.proves("EP-3.8-1", "EP-3.8-2", "EP-3.8-3", "EP-6.1-4", "EP-6.1-5", "EP-5.4-3")
@pytest.mark.parametrize(("presence", "position"), [(True, 4), (False, 1)])
def test_a_welcome_says_where_one_stands_and_what_holds(presence: bool, position: int) -> None:
    room = BareRoom(presence=presence, max_frame=5_000, heartbeat=7, server_name="here")
    bob = room.enter("bob")
    bob.ask(Message(content="hi", seq=2))
    if presence:
        room.enter("eve").session.lost()
        position += 1

    [welcome] = room.enter().ask(Login(user="ann", seq=1))

    ticket = welcome_of(welcome).ticket
    assert welcome == Welcome(
        user="ann",
        ticket=ticket,
        position=position,
        max_frame=5_000,
        heartbeat=7,
        server="here",
        seq=1,
    )


@pytest.mark.proves("EP-6.1-2", "EP-6.2-7")
def test_an_empty_name_gets_one() -> None:
    room = BareRoom()

    given = [welcome_of(room.enter().ask(Login(seq=1))[0]).user for _ in range(2)]

    assert len(set(given)) == 2 and all(given)


@pytest.mark.proves("EP-6.1-6", "EP-6.2-4", "EP-4.3-5")
def test_a_name_in_use_is_refused_and_another_may_be_asked_for() -> None:
    room = BareRoom()
    room.enter("ann")
    stranger = room.enter()

    answers = stranger.ask(Login(user="Ann", seq=1), Login(user="bob", seq=2))

    assert code_of(answers[0]) == (1, ErrorCode.USER_TAKEN)
    assert welcome_of(answers[1]).user == "bob"


class FixedAuth:
    """Lets in who says the word, under the name that stands before it."""

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        name, _, word = credential.partition(b":")
        return Proof(name.decode()) if word == b"sesame" else None

    def reload(self) -> Iterable[None]:
        """There is nothing to read."""
        return ()


GOOD = b"ann:sesame"


@pytest.mark.proves("EP-6.1-2", "EP-6.3-3")
@pytest.mark.parametrize("user", ["ann", ""])
def test_a_credential_gives_the_name_that_it_proves(user: str) -> None:
    [welcome] = BareRoom(auth=FixedAuth()).enter().ask(Login(user=user, credential=GOOD, seq=1))

    assert welcome_of(welcome).user == "ann"


@pytest.mark.proves("EP-6.3-2", "EP-6.3-3", "EP-6.3-4", "EP-8.2-1")
@pytest.mark.parametrize(
    "login",
    [
        Login(user="ann", seq=1),
        Login(user="ann", credential=b"ann:wrong", seq=1),
        Login(user="a\nb", credential=b"wrong", seq=1),
        Login(user="bob", credential=b"wrong", seq=1),
        Login(user="ann", credential=b"wrong", ticket=5, position=5, seq=1),
        Login(user="bob", credential=b"wrong", ticket=FIRST_TICKET, position=1, seq=1),
    ],
    ids=["none", "wrong", "bad name", "name in use", "unknown ticket", "good ticket"],
)
def test_a_wrong_credential_is_said_last_and_before_anything_else(login: Login) -> None:
    room = BareRoom(auth=FixedAuth())
    bob = room.enter()
    bob.ask(Login(user="bob", credential=b"bob:sesame", seq=1))
    stranger = room.enter()

    assert stranger.ask(login, Login(user="ann", credential=GOOD, seq=2), Ping(seq=3)) == []
    assert not stranger.session.reading
    room.now += REJECT_DELAY - 0.001
    assert stranger.tick() == []
    assert bob.sync() == []

    room.now += 0.001
    [error] = stranger.tick()
    assert code_of(error) == (0, ErrorCode.UNAUTHORIZED)
    assert stranger.session.outbox.finished
    assert REJECT_DELAY >= 0.1


@pytest.mark.proves("EP-6.1-9")
@pytest.mark.parametrize(
    ("user", "credential", "code"),
    [
        ("ann", b"ann:wrong", ErrorCode.UNAUTHORIZED),
        ("bob", b"bob:sesame", ErrorCode.USER_TAKEN),
        ("a\nb", b"a\nb:sesame", ErrorCode.BAD_USER),
    ],
)
def test_a_name_that_is_not_granted_is_refused_with_the_code_of_the_reason(
    user: str, credential: bytes, code: ErrorCode
) -> None:
    room = BareRoom(auth=FixedAuth())
    room.enter().ask(Login(user="bob", credential=b"bob:sesame", seq=1))
    stranger = room.enter()

    answers = stranger.ask(Login(user=user, credential=credential, seq=1))
    room.now += REJECT_DELAY

    assert code_of([*answers, *stranger.tick()][0])[1] == code


@pytest.mark.proves("EP-6.1-9")
def test_a_name_that_the_server_keeps_is_refused_as_a_bad_one() -> None:
    [error] = BareRoom().enter().ask(Login(user="guest-1", seq=1))

    assert code_of(error) == (1, ErrorCode.BAD_USER)


@pytest.mark.proves("EP-6.4-8", "EP-6.4-17", "EP-6.4-18")
@pytest.mark.parametrize("user", ["", "bob"])
@pytest.mark.parametrize("word", [b"sesame", b"wrong"])
def test_an_answer_to_a_ticket_without_its_name_does_not_tell_whether_the_ticket_exists(
    user: str, word: bytes
) -> None:
    room = BareRoom(auth=FixedAuth())
    ann = room.enter()
    ann.ask(Login(credential=GOOD, seq=1))
    answers = []
    for ticket in (FIRST_TICKET, FIRST_TICKET + 77):
        bob = room.enter()
        login = Login(user=user, credential=b"bob:" + word, ticket=ticket, position=1, seq=1)
        at_once = bob.ask(login)
        room.now += REJECT_DELAY
        answers.append([*at_once, *bob.tick()])

    assert answers[0] == answers[1]
    code = ErrorCode.HISTORY_GONE if word == b"sesame" else ErrorCode.UNAUTHORIZED
    assert code_of(answers[0][0])[1] == code
    assert ann.sync() == []


@pytest.mark.proves("EP-6.3-7")
def test_unauthorized_does_not_tell_which_users_members_and_tickets_there_are() -> None:
    room = BareRoom(auth=FixedAuth())
    room.enter().ask(Login(user="ann", credential=GOOD, seq=1))
    answers: set[object] = set()
    for user, ticket in (("ann", 0), ("bob", 0), ("nobody", 0), ("ann", FIRST_TICKET), ("ann", 7)):
        stranger = room.enter()
        stranger.ask(Login(user=user, credential=b"wrong", ticket=ticket, position=0, seq=1))
        room.now += REJECT_DELAY
        answers.update(map(encode, stranger.tick()))

    assert len(answers) == 1


@pytest.mark.proves("EP-6.1-8")
def test_a_name_that_comes_back_has_a_ticket_of_its_own() -> None:
    room = BareRoom()
    tickets = set()
    for _ in range(3):
        ann = room.enter()
        tickets.add(welcome_of(ann.ask(Login(user="ann", seq=1))[0]).ticket)
        ann.session.lost()

    assert len(tickets) == 3


@pytest.mark.proves("EP-6.3-2", "EP-6.4-5")
def test_a_ticket_is_of_no_use_with_somebody_elses_credential() -> None:
    room = BareRoom(auth=FixedAuth())
    ann = room.enter()
    ann.ask(Login(credential=GOOD, seq=1))
    eve = room.enter()

    answers = eve.ask(Login(credential=b"eve:sesame", ticket=FIRST_TICKET, position=1, seq=1))

    assert code_of(answers[0]) == (1, ErrorCode.HISTORY_GONE)
    assert ann.sync() == []


def test_a_login_that_must_wait_is_judged_when_its_time_has_come() -> None:
    free_at = 1_005.0
    room = BareRoom(login_at=lambda now: max(now, free_at), login_timeout=60)
    ann = room.enter()

    assert ann.ask(Ping(seq=1), Login(user="ann", seq=2), Ping(seq=3)) == [Pong(seq=1)]
    assert (ann.session.reading, ann.session.due) == (False, free_at)
    room.now = free_at

    welcome, pong = ann.tick()
    assert (welcome_of(welcome).user, pong) == ("ann", Pong(seq=3))


@pytest.mark.proves("EP-7.1-3")
def test_what_may_be_long_depends_on_the_login() -> None:
    room = BareRoom(max_frame=5_000)
    longest = Message(content="x" * (5_000 - 13), seq=2)
    before = Message(content="x" * (MAX_FRAME_BEFORE_WELCOME - 13), seq=2)

    assert code_of(room.enter().ask(before)[0]) == (2, ErrorCode.LOGIN_REQUIRED)
    assert code_of(room.enter().ask(longest)[0]) == (0, ErrorCode.FRAME_TOO_LARGE)
    assert room.enter("ann").ask(longest) == [Ack(position=2, seq=2)]
    assert code_of(room.enter("bob").ask(b"\x00\x00\x13\x89")[-1]) == (0, ErrorCode.FRAME_TOO_LARGE)


# ---------------------------------------------------------------- resuming


@pytest.mark.proves("EP-6.4-1", "EP-6.4-2", "EP-6.4-3", "EP-6.5-1", "EP-5.2-1", "EP-5.2-3")
@pytest.mark.parametrize("user", ["ann", ""])
def test_a_resume_replays_what_was_missed_and_ends_with_ones_own_joined(user: str) -> None:
    room = BareRoom()
    bob, ann = room.enter("bob"), room.enter("ann")
    ann.ask(Message(content="one", seq=2))
    ann.session.lost()
    bob.ask(Message(content="ann?", seq=2))
    again = room.enter()
    ticket = FIRST_TICKET + 1

    received = again.ask(Ping(seq=8), resume(ticket, 2, user, seq=9), Ping(seq=10))

    assert received == [
        Pong(seq=8),
        Welcome(
            user="ann",
            ticket=ticket,
            position=2,
            max_frame=65_536,
            heartbeat=20,
            server="refserver",
            seq=9,
        ),
        Message(sender="ann", content="one", seq=3),
        Left(user="ann", reason=LeftReason.LOST, seq=4),
        Message(sender="bob", content="ann?", seq=5),
        Joined(user="ann", seq=6),
        Pong(seq=10),
    ]
    assert again.ask(Message(content="two", seq=11)) == [Ack(position=7, seq=11)]
    assert bob.read()[-2:] == [
        Joined(user="ann", seq=6),
        Message(sender="ann", content="two", seq=7),
    ]


@pytest.mark.proves("EP-6.4-2", "EP-5.4-3", "EP-6.5-1")
def test_without_presence_a_resume_is_a_replay_and_nothing_more() -> None:
    room = BareRoom(presence=False)
    ann = room.enter("ann")
    ann.ask(Message(content="one", seq=2))
    ann.session.lost()

    welcome, *rest = room.enter().ask(resume(FIRST_TICKET, 0), Ping(seq=2))

    assert code_or_position(welcome) == 0
    assert rest == [Message(sender="ann", content="one", seq=1), Pong(seq=2)]


def code_or_position(event: Event) -> int:
    return event.code if isinstance(event, Error) else welcome_of(event).position


@pytest.mark.proves("EP-6.4-10", "EP-6.4-11", "EP-6.4-12", "EP-5.2-7", "EP-8.2-2", "EP-8.2-4")
def test_a_resume_ends_the_sessions_older_connection() -> None:
    room = BareRoom()
    bob, old = room.enter("bob"), room.enter("ann")
    bob.ask(Message(content="hi", seq=2))
    old.say(Message(content="too late", seq=2))
    new = room.enter()

    received = new.ask(resume(FIRST_TICKET + 1, 3))
    old.work()
    bob.ask(Message(content="later", seq=3))

    assert [in_short(event) for event in old.read()] == [
        Message(sender="bob", content="hi", seq=3),
        (0, ErrorCode.USER_TAKEN),
    ]
    assert old.session.outbox.finished
    assert received[1:] == [
        Left(user="ann", reason=LeftReason.LOST, seq=4),
        Joined(user="ann", seq=5),
    ]
    assert new.read() == [Message(sender="bob", content="later", seq=6)]


@pytest.mark.proves("EP-6.4-13", "EP-6.4-8")
@pytest.mark.parametrize(
    "login",
    [
        resume(FIRST_TICKET + 1, 2),
        resume(FIRST_TICKET, 0),
        resume(FIRST_TICKET, 2),
        resume(FIRST_TICKET, 2**64 - 1),
        resume(FIRST_TICKET, 1, user="bob"),
        resume(0, 1),
    ],
    ids=["unknown", "before", "after", "far after", "another name", "no ticket"],
)
def test_a_refused_resume_changes_nothing_and_tells_nothing(login: Login) -> None:
    room = BareRoom()
    ann = room.enter("ann")
    stranger = room.enter()
    [reference] = stranger.ask(resume(999, 1))

    [refused] = stranger.ask(login)

    assert refused == reference
    assert code_of(refused) == (1, ErrorCode.HISTORY_GONE)
    assert ann.sync() == []
    assert welcome_of(stranger.ask(Login(user="eve", seq=2))[0]).user == "eve"


@pytest.mark.proves("EP-6.4-13", "EP-6.4-19")
@pytest.mark.parametrize("is_there", [True, False], ids=["taken over", "gone already"])
@pytest.mark.unmeasured
def test_a_resume_is_refused_whose_own_entries_would_push_out_what_it_is_to_read(
    is_there: bool,
) -> None:
    outcomes = set()
    for capacity in range(200, 1_200):
        room = BareRoom(capacity=capacity)
        ann = room.enter("ann")
        room.enter("bob").ask(Message(content="x" * 300, seq=2))
        if not is_there:
            ann.session.lost()
        end = room.shared.log.end
        again = room.enter()

        first, *rest = again.ask(resume(FIRST_TICKET, 1, "ann"))

        outcomes.add(type(first))
        if isinstance(first, Welcome):
            assert [event.seq for event in rest] == list(range(2, room.shared.log.end + 1))
        else:
            assert code_of(first) == (1, ErrorCode.HISTORY_GONE)
            assert room.shared.log.end == end
            assert not ann.session.outbox.finished or not is_there

    assert outcomes == {Welcome, Error}


@pytest.mark.proves("EP-6.4-14")
def test_a_session_whose_name_is_taken_meanwhile_has_to_wait() -> None:
    room = BareRoom()
    room.enter("ann").session.lost()
    other = room.enter("ann")
    again = room.enter()

    assert code_of(again.ask(resume(FIRST_TICKET, 1))[0]) == (1, ErrorCode.USER_TAKEN)
    other.ask(Logout(seq=2))

    assert welcome_of(again.ask(resume(FIRST_TICKET, 1, seq=2))[0]).position == 1


@pytest.mark.proves("EP-6.4-4", "EP-6.4-6")
def test_a_second_resume_reads_no_more_than_the_first_could() -> None:
    room = BareRoom()
    room.enter("bob").ask(Message(content="not for ann", seq=2))
    ann = room.enter("ann")
    ann.session.lost()
    room.enter().ask(resume(FIRST_TICKET + 1, 3))

    answers = room.enter().ask(resume(FIRST_TICKET + 1, 2), resume(FIRST_TICKET + 1, 3))

    assert code_or_position(answers[0]) == ErrorCode.HISTORY_GONE
    assert code_or_position(answers[1]) == 3
