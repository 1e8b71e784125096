"""A client across connections: its worlds, its pauses, its clocks, its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eventcodec.worlds import Play, Size, every, fair, judge

from eventcodec import (
    Ack,
    ApplicationEvent,
    Decoder,
    Error,
    ErrorCode,
    Event,
    Joined,
    Left,
    LeftReason,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Reply,
    Unknown,
    Welcome,
    encode,
)
from eventcodec.decoder import ConnectionEnded
from eventcodec.ledger import Fate, Outcome
from eventcodec.lifecycle import (
    LAST_ERRORS,
    REFUSED_LOGINS,
    TRANSITIONS,
    CaughtUp,
    Closed,
    Gap,
    Offline,
    Online,
    Pause,
    Paused,
    SessionState,
)
from eventcodec.session import (
    HEARTBEAT,
    LOGIN_TIMEOUT,
    MAX_BUFFERED,
    MOST_FAILURES,
    WINDOW,
    ClientSession,
    SessionEvent,
    SessionFullError,
)

# ---------------------------------------------------------------- every small world


class Played:
    """A `ClientSession` as the worlds play it: through its bytes."""

    def __init__(self) -> None:
        self.session = ClientSession("ann", heartbeat=0, random=lambda: 0.0)
        self.outcomes: list[Outcome] = []
        self._now = 0.0

    @property
    def is_done(self) -> bool:
        return not self.session.unsettled

    def say(self, number: int, content: str) -> None:
        assert self.session.say(Message(content=content)) == number

    def connect(self) -> None:
        self._now += 100
        if self.session.state is SessionState.PAUSED:
            self.session.go_on(self._now)
        self.session.connected(self._now)
        self._decoder = Decoder()

    def frames(self) -> list[tuple[Event, int]]:
        first = self.session.in_doubt
        data = self.session.data_to_send()
        numbers = iter([number for number, _ in self.session.unsettled][first:])
        if data:
            self._decoder.receive_data(data)
        return [
            (event, next(numbers) if isinstance(event, Message) else 0)
            for event in self._decoder.events()
            if not isinstance(event, ConnectionEnded)
        ]

    def take(self, event: Event) -> None:
        self.session.receive_data(encode(event), self._now)
        self._drain()

    def lose(self) -> None:
        self.session.receive_eof(self._now)
        self._drain()

    def give_up(self) -> None:
        self.session.close()
        self._drain()

    def _drain(self) -> None:
        self.outcomes += [each for each in self.session.events() if isinstance(each, Outcome)]


class Mortal(Played):
    """A program that dies at each loss, and goes on from what it had kept."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = ""
        self._keep()

    def _keep(self) -> None:
        if self.session.state is not SessionState.CLOSED:
            self._kept = json.dumps(self.session.snapshot())

    def say(self, number: int, content: str) -> None:
        super().say(number, content)
        self._keep()

    def frames(self) -> list[tuple[Event, int]]:
        frames = super().frames()
        self._keep()  # before they are written
        return frames

    def lose(self) -> None:
        self.session = ClientSession.restore(json.loads(self._kept), heartbeat=0)

    def _drain(self) -> None:
        while (event := self.session.next_event()) is not None:
            self.outcomes += [event] if isinstance(event, Outcome) else []
            if not self.session._ready:
                self._keep()


@pytest.mark.proves(
    "EP-6.5-3",
    "EP-6.5-4",
    "EP-6.5-5",
    "EP-6.5-6",
    "EP-6.5-7",
    "EP-6.5-8",
    "EP-6.5-9",
    "EP-6.5-10",
    "EP-6.5-11",
    "EP-6.5-12",
    "EP-6.5-13",
    "EP-6.5-14",
    "EP-6.5-15",
    "EP-6.5-16",
    "EP-6.5-18",
)
@pytest.mark.parametrize("client", [Played, Mortal])
@pytest.mark.parametrize(
    "size",
    [
        Size(1, 2),
        pytest.param(Size(1, 2, is_open=True), marks=pytest.mark.slow),
        pytest.param(Size(1, 2, visits=2), marks=pytest.mark.slow),
        pytest.param(Size(2, 2), marks=pytest.mark.slow),
        pytest.param(Size(1, 3, restarts=0), marks=pytest.mark.slow),
    ],
    ids=str,
)
@pytest.mark.unmeasured
def test_in_every_world_no_error_was_avoidable_and_nothing_is_doubled(
    client: type[Played], size: Size
) -> None:
    judgement = judge(every(client, size))

    assert fair(judgement) == {}
    assert judgement.lost and judgement.unknown  # the worlds hold those that look alike


@pytest.mark.proves("EP-6.5-14", "EP-6.5-18")
@pytest.mark.parametrize("client", [Played, Mortal])
@given(st.data())
def test_in_larger_worlds_too_nothing_is_doubled_and_nothing_is_lost_without_a_reason(
    client: type[Played], data: st.DataObject
) -> None:
    size = Size(requests=4, connections=6, visits=3, restarts=2, is_open=True)

    def choose(count: int) -> int:
        return data.draw(st.integers(0, count - 1)) if count > 1 else 0

    judgement = judge([Play(choose, client(), size).run()])

    assert not judgement.early | judgement.doubled | judgement.disordered | judgement.unexplained


# ---------------------------------------------------------------- one conversation

TICKET = 7
HELLO, AGAIN = Message(content="hello"), Message(content="again")


def welcome(position: int = 3, **fields: Any) -> Welcome:
    known: dict[str, Any] = {"user": "ann", "ticket": TICKET, "max_frame": 4_096, "heartbeat": 20}
    return Welcome(seq=1, position=position, **(known | fields))


class Bench:
    """A session, its clock, and a server that says what a test wants."""

    def __init__(self, user: str = "ann", **settings: Any) -> None:
        self.session = ClientSession(user, **{"random": lambda: 1.0, **settings})
        self.now = 1_000.0

    def connect(self, credential: bytes = b"") -> list[Event]:
        """A new connection. Returns what is sent on it at once."""
        self.session.connected(self.now, credential=credential)
        self._decoder = Decoder(max_frame=1_000_000)
        return self.sent()

    def sent(self) -> list[Event]:
        data = self.session.data_to_send()
        if data:
            self._decoder.receive_data(data)
        events = list(self._decoder.events())
        return [event for event in events if not isinstance(event, ConnectionEnded)]

    def come(self, *events: Event) -> list[SessionEvent]:
        self.session.receive_data(b"".join(map(encode, events)), self.now)
        return list(self.session.events())

    def lose(self) -> list[SessionEvent]:
        self.session.receive_eof(self.now)
        return list(self.session.events())

    def enter(self, *requests: Message | ApplicationEvent) -> list[Event]:
        """Log in afresh and say this. Returns what was sent."""
        self.connect()
        self.come(welcome())
        for request in requests:
            self.session.say(request)
        return self.sent()

    def resume(self, *facts: Event, position: int = 3) -> list[SessionEvent]:
        """Resume on a new connection, up to the marker's Pong."""
        self.connect()
        return self.come(welcome(position), *facts, Pong(seq=2))

    def tick(self, seconds: float) -> list[SessionEvent]:
        self.now += seconds
        self.session.handle_timer(self.now)
        return list(self.session.events())


def fates(events: list[SessionEvent]) -> list[tuple[int, Fate]]:
    return [(each.number, each.fate) for each in events if isinstance(each, Outcome)]


@pytest.mark.proves("EP-6.5-5")
def test_a_fresh_session_says_what_it_has_behind_its_welcome() -> None:
    bench = Bench()
    assert bench.session.connect_at == 0.0
    number = bench.session.say(HELLO)

    assert bench.connect(b"sesame") == [Login(seq=1, user="ann", credential=b"sesame")]
    assert bench.come(welcome()) == [Online(welcome(), is_resumed=False)]
    assert bench.sent() == [HELLO.with_seq(2)]
    assert bench.come(Ack(seq=2, position=4)) == [Outcome(number, HELLO, Fate.ACKNOWLEDGED, 4)]
    assert (bench.session.position, bench.session.unsettled) == (4, ())


@pytest.mark.proves("EP-6.5-4", "EP-6.5-6", "EP-6.5-8", "EP-6.5-11", "EP-6.5-16")
def test_a_resumed_session_takes_its_own_from_the_replay_and_says_the_rest_again() -> None:
    bench = Bench()
    bench.enter(HELLO, AGAIN)
    bench.come(Joined(seq=4, user="bob"))
    bench.lose()
    bench.session.say(HELLO)

    assert bench.connect() == [Login(seq=1, user="ann", ticket=TICKET, position=4), Ping(seq=2)]
    left, joined = Left(seq=6, user="ann", reason=1), Joined(seq=7, user="ann")
    assert bench.come(welcome(4), Message(seq=5, sender="ann", content="hello"), left, joined) == [
        Online(welcome(4), is_resumed=True),
        Outcome(1, HELLO, Fate.ACKNOWLEDGED, 5),
        left,
        joined,
    ]
    assert bench.sent() == []
    assert bench.come(Pong(seq=2)) == [CaughtUp(7)]
    assert bench.sent() == [AGAIN.with_seq(3), HELLO.with_seq(4)]


def test_what_another_of_ones_own_name_says_on_a_live_connection_is_a_fact() -> None:
    bench = Bench()
    bench.enter(HELLO)
    fact = Message(seq=4, sender="ann", content="hello")

    assert bench.come(fact) == [fact]
    assert bench.session.in_doubt == 1


def test_place_and_ledger_move_when_the_event_is_given() -> None:
    bench = Bench()
    bench.enter(HELLO)
    facts = [Joined(seq=4, user="bob"), Joined(seq=5, user="eve")]
    bench.session.receive_data(b"".join(map(encode, [*facts, Ack(seq=2, position=6)])), bench.now)

    seen = [(bench.session.position, bench.session.in_doubt) for _ in bench.session.events()]

    assert seen == [(4, 1), (5, 1), (6, 0)]


def test_an_unknown_event_and_a_refusal_are_given_as_they_are() -> None:
    bench = Bench()
    bench.enter(HELLO)
    unknown, error = Unknown(seq=9, type=0x0B, body=b"?"), Error(seq=2, code=99)

    assert bench.come(unknown, error) == [unknown, Outcome(1, HELLO, Fate.REFUSED, error=error)]


def test_a_ping_of_the_users_is_answered_or_dropped() -> None:
    bench = Bench()
    with pytest.raises(LocalProtocolError):
        bench.session.ping()
    bench.enter()

    ping = bench.session.ping()
    assert bench.sent() == [ping]
    assert bench.come(Pong(seq=ping.seq)) == [Reply(ping, Pong(seq=ping.seq))]

    bench.session.ping()
    bench.lose()
    assert not [event for event in bench.resume() if isinstance(event, Reply)]


def test_no_more_is_handed_out_than_the_window_without_a_reply() -> None:
    bench = Bench()
    size = 1_000
    sent = bench.enter(*[Message(content="x" * (size - 13))] * 100)

    assert len(sent) == -(-WINDOW // size)
    bench.come(Ack(seq=2, position=4))
    assert len(bench.sent()) == 1


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    "request_", [Login(), Logout(), Ping(), Message(sender="ann", content="x")], ids=repr
)
def test_what_is_nothing_to_say_is_refused(request_: Any) -> None:
    session = ClientSession()

    with pytest.raises(LocalProtocolError):
        session.say(request_)
    assert session.unsettled == ()


@pytest.mark.parametrize("content", ["", "x" * 1_000])
def test_a_session_takes_so_many_bytes_without_an_outcome_and_says_when_it_is_full(
    content: str,
) -> None:
    bench = Bench(max_buffered=10_000)
    taken = 0
    with pytest.raises(SessionFullError):
        while True:
            bench.session.say(Message(content=content))
            taken += 1

    assert taken == 10_000 // (len(content) + 13 + 100)
    bench.enter()
    bench.come(Ack(seq=2, position=4))
    assert bench.session.say(Message(content=content)) == taken + 1
    assert MAX_BUFFERED >= 1_000_000


def test_a_single_request_is_taken_however_long() -> None:
    assert ClientSession(max_buffered=0).say(Message(content="x" * 100)) == 1


@pytest.mark.proves("EP-6.5-17", "EP-7.1-2")
def test_what_the_server_does_not_take_is_refused_or_told() -> None:
    bench = Bench()
    long = Message(content="x" * 5_000)
    assert bench.session.say(long) == 1  # it may be allowed, who knows
    bench.connect()

    assert fates(bench.come(welcome(max_frame=10_000))) == []
    assert bench.sent() == [long.with_seq(2)]
    with pytest.raises(LocalProtocolError):
        bench.session.say(Message(content="x" * 10_000))
    bench.lose()
    bench.session.say(HELLO)
    bench.session.say(long)
    assert fates(bench.resume()) == [(1, Fate.TOO_LONG), (3, Fate.TOO_LONG)]
    assert bench.sent() == [HELLO.with_seq(3)]


# ---------------------------------------------------------------- how connections end


@pytest.mark.proves("EP-9.3-3", "EP-9.3-4")
@pytest.mark.parametrize("is_member", [False, True], ids=["before login", "a member"])
@pytest.mark.parametrize("code", [*ErrorCode, 999])
def test_an_error_that_ends_a_connection_pauses_or_is_tried_again(
    code: int, is_member: bool
) -> None:
    bench = Bench()
    if is_member:
        bench.enter(HELLO)
    else:
        bench.connect()

    [event] = bench.come(Error(code=code))

    assert not bench.session.is_connected
    if code in LAST_ERRORS:
        assert isinstance(event, Paused)
        assert (event.reason, bench.session.connect_at) == (LAST_ERRORS[code], None)
        bench.session.go_on(bench.now)
        bench.connect(b"another")
        assert bench.come(welcome())[0] == Online(welcome(), is_resumed=is_member)
    else:
        assert isinstance(event, Offline)
        assert event.retry_at == bench.session.connect_at == bench.now + 0.5


@pytest.mark.parametrize("is_resume", [False, True], ids=["fresh", "resume"])
@pytest.mark.parametrize("code", [13, 14, 15, 16, 999])
def test_a_login_that_is_refused_pauses_the_session(code: int, is_resume: bool) -> None:
    bench = Bench()
    if is_resume:
        bench.enter()
        bench.lose()
    bench.connect()

    *_, event = bench.come(Error(seq=1, code=code))

    if is_resume and code == ErrorCode.USER_TAKEN:
        assert isinstance(event, Offline)
    else:
        assert isinstance(event, Paused)
        assert event.reason is REFUSED_LOGINS.get(code, Pause.REFUSED)


def test_the_name_of_ones_own_ghost_is_waited_for() -> None:
    bench = Bench()
    bench.connect()
    bench.lose()  # the server may have accepted that Login
    bench.connect()

    [event] = bench.come(Error(seq=1, code=ErrorCode.USER_TAKEN))
    assert isinstance(event, Offline)

    bench.connect()
    bench.come(welcome())
    bench.lose()
    bench.connect()
    bench.come(Error(seq=1, code=ErrorCode.HISTORY_GONE))
    bench.session.go_on(bench.now)
    bench.connect()
    [event] = bench.come(Error(seq=1, code=ErrorCode.USER_TAKEN))
    assert isinstance(event, Paused) and event.reason is Pause.USER_TAKEN


def test_another_name_may_be_asked_for_where_no_session_has_begun() -> None:
    bench = Bench("bob")
    bench.connect()
    bench.come(Error(seq=1, code=ErrorCode.USER_TAKEN))

    bench.session.go_on(bench.now, user="ann")
    assert bench.connect() == [Login(seq=1, user="ann")]

    bench.come(welcome())
    bench.come(Error(code=ErrorCode.USER_TAKEN))
    with pytest.raises(LocalProtocolError):
        bench.session.go_on(bench.now, user="eve")
    assert bench.session.user == "ann"


@pytest.mark.proves("EP-9.3-4", "EP-6.5-13")
@pytest.mark.parametrize(
    "event",
    [Ack(seq=9, position=4), Joined(seq=7, user="bob"), Login(seq=1)],
    ids=["reply", "position", "type"],
)
def test_a_servers_fault_pauses_and_settles_nothing(event: Event) -> None:
    bench = Bench()
    bench.enter(HELLO)

    [paused] = bench.come(event)

    assert isinstance(paused, Paused)
    assert (paused.reason, bench.session.in_doubt) == (Pause.SERVER_FAULT, 1)


@pytest.mark.proves("EP-3.8-5")
@pytest.mark.parametrize("fields", [{"ticket": 0}, {"ticket": 8}, {"max_frame": 4_095}], ids=str)
def test_a_welcome_that_may_not_be_is_the_servers_fault(fields: dict[str, int]) -> None:
    bench = Bench()
    bench.enter(HELLO)
    bench.lose()
    bench.connect()

    [paused] = bench.come(welcome(**fields))

    assert isinstance(paused, Paused)
    assert (paused.reason, bench.session.in_doubt) == (Pause.SERVER_FAULT, 1)


@pytest.mark.proves("EP-6.5-15")
def test_a_gap_makes_what_is_in_doubt_unknown_and_waits_for_the_user() -> None:
    bench = Bench()
    bench.enter(HELLO, AGAIN)
    bench.lose()
    new = bench.session.say(Message(content="new"))
    bench.connect()

    events = bench.come(Error(seq=1, code=ErrorCode.HISTORY_GONE), Pong(seq=2))

    unknown = [Outcome(1, HELLO, Fate.UNKNOWN), Outcome(2, AGAIN, Fate.UNKNOWN)]
    assert events[:-1] == [Gap(3), *unknown]
    assert isinstance(events[-1], Paused) and events[-1].reason is Pause.GAP
    assert bench.sent() == [] and not bench.session.is_connected

    bench.session.go_on(bench.now, again=reversed(unknown))
    assert bench.connect() == [Login(seq=1, user="ann")]
    bench.come(welcome(1))
    said = [event.content for event in bench.sent() if isinstance(event, Message)]
    assert said == ["hello", "again", "new"]
    assert [number for number, _ in bench.session.unsettled] == [1, 2, new]


def test_only_what_is_unknown_may_be_said_again() -> None:
    bench = Bench()
    bench.enter(HELLO)
    [acknowledged] = bench.come(Ack(seq=2, position=4))
    assert isinstance(acknowledged, Outcome)
    with pytest.raises(LocalProtocolError):
        bench.session.go_on(bench.now)
    bench.come(Error(code=ErrorCode.USER_TAKEN))

    with pytest.raises(LocalProtocolError):
        bench.session.go_on(bench.now, again=[acknowledged])


def test_a_request_at_which_the_server_fails_again_and_again_pauses() -> None:
    bench = Bench()
    bench.session.say(AGAIN)
    bench.enter(HELLO)
    bench.come(Ack(seq=2, position=4))
    for attempt in range(MOST_FAILURES):
        events = bench.come(Error(code=ErrorCode.INTERNAL))
        if attempt < MOST_FAILURES - 1:
            assert isinstance(events[0], Offline)
            bench.resume(position=4)
            assert bench.sent() == [HELLO.with_seq(3)]

    assert isinstance(events[0], Paused) and events[0].reason is Pause.FAILING_REQUEST


def test_a_server_that_fails_with_nothing_in_doubt_is_tried_again() -> None:
    bench = Bench()
    bench.enter()
    for _ in range(10):
        bench.come(Error(code=ErrorCode.INTERNAL))
        bench.resume()

    assert bench.session.state is SessionState.ONLINE


def test_a_marker_that_is_refused_pauses() -> None:
    bench = Bench()
    bench.enter(HELLO)
    bench.lose()
    bench.connect()

    *_, paused = bench.come(welcome(), Error(seq=2, code=99))

    assert isinstance(paused, Paused)
    assert (paused.reason, bench.session.in_doubt) == (Pause.REFUSED, 1)


@pytest.mark.proves("EP-9.3-1", "EP-9.3-2")
@pytest.mark.parametrize(("chance", "part"), [(0.0, 0.5), (1.0, 1.0)])
def test_it_waits_longer_after_each_failure_with_a_random_part(chance: float, part: float) -> None:
    bench = Bench(random=lambda: chance)
    waits = []
    for _ in range(8):
        bench.session.connection_lost(bench.now, OSError())
        [event] = bench.session.events()
        assert isinstance(event, Offline)
        waits.append((event.retry_at - bench.now) / part)

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    bench.enter()
    bench.lose()
    assert bench.session.connect_at == bench.now + 0.5 * part


# ---------------------------------------------------------------- leaving


@pytest.mark.proves("EP-10.1-2", "EP-4.4-5")
def test_a_logout_goes_out_behind_all_requests_and_ends_clean() -> None:
    bench = Bench()
    bench.session.say(HELLO)
    bench.session.logout()
    with pytest.raises(LocalProtocolError):
        bench.session.say(AGAIN)
    bench.connect()
    bench.come(welcome())

    assert bench.sent() == [HELLO.with_seq(2), Logout(seq=3)]
    events = bench.come(Ack(seq=2, position=4), Ack(seq=3, position=5))
    assert events[1:] == [Closed(is_clean=True)]
    assert bench.session.connect_at is None and not bench.session.is_connected


def test_a_lost_logout_is_said_again_only_where_something_is_in_doubt() -> None:
    bench = Bench()
    bench.enter(HELLO)
    bench.session.logout()
    assert bench.sent() == [Logout(seq=3)]
    assert isinstance(bench.lose()[0], Offline)

    bench.resume(Message(seq=4, sender="ann", content="hello"))
    assert bench.sent() == [Logout(seq=3)]
    assert bench.lose() == [Closed(is_clean=False)]


@pytest.mark.parametrize("is_paused", [False, True])
def test_offline_with_nothing_to_say_a_logout_closes_at_once(is_paused: bool) -> None:
    bench = Bench()
    bench.enter()
    bench.come(Error(code=ErrorCode.USER_TAKEN)) if is_paused else bench.lose()

    bench.session.logout()

    assert list(bench.session.events()) == [Closed(is_clean=False)]


def test_a_logout_that_is_refused_ends_the_session_all_the_same() -> None:
    bench = Bench()
    bench.enter()
    bench.session.logout()
    bench.sent()

    assert bench.come(Error(seq=2, code=99)) == [Closed(is_clean=False)]


@pytest.mark.proves("EP-6.5-15")
def test_at_a_close_each_request_has_its_outcome_once() -> None:
    bench = Bench()
    bench.enter(HELLO)
    bench.come(Error(code=ErrorCode.INTERNAL))
    bench.resume()
    bench.sent()
    bench.session.say(AGAIN)

    bench.session.close()
    bench.session.close()

    *outcomes, closed = bench.session.events()
    assert fates(outcomes) == [(1, Fate.UNKNOWN), (2, Fate.NEVER_SENT)]
    assert closed == Closed(is_clean=False)
    assert bench.session.next_event() is None


# ---------------------------------------------------------------- time


@pytest.mark.proves("EP-9.1-7")
@pytest.mark.parametrize(
    ("own", "servers", "silence"),
    [(None, 20, 20), (None, 0, HEARTBEAT), (5.0, 20, 5), (5.0, 0, 5)],
)
def test_a_silent_server_is_asked_and_then_given_up(
    own: float | None, servers: int, silence: float
) -> None:
    bench = Bench(heartbeat=own)
    bench.connect()
    bench.come(welcome(heartbeat=servers))

    assert bench.session.next_timer == bench.now + silence
    assert bench.tick(silence - 0.1) == [] and bench.sent() == []
    assert bench.tick(0.1) == []
    assert bench.sent() == [Ping(seq=2)]
    assert bench.tick(silence - 0.1) == []
    [offline] = bench.tick(0.1)
    assert isinstance(offline, Offline) and bench.session.next_timer is None


def test_any_byte_is_a_sign_of_life_and_the_pong_is_not_the_users() -> None:
    bench = Bench()
    bench.enter()
    bench.tick(20)
    assert bench.sent() == [Ping(seq=2)]
    bench.now += 19
    bench.session.receive_data(b"\0", bench.now)

    assert bench.tick(19) == []
    assert bench.sent() == []
    assert bench.session.next_timer == bench.now + 1


def test_the_pong_of_the_sessions_own_ping_is_not_given() -> None:
    bench = Bench()
    bench.enter()
    bench.tick(20)
    bench.sent()

    assert bench.come(Pong(seq=2)) == []


def test_a_program_that_was_stopped_asks_before_it_gives_up() -> None:
    bench = Bench()
    bench.enter()

    assert bench.tick(1_000) == []
    assert bench.sent() == [Ping(seq=2)]
    assert bench.session.next_timer == bench.now + 20


def test_without_a_heartbeat_silence_is_borne_for_ever() -> None:
    bench = Bench(heartbeat=0)
    bench.enter()

    assert bench.session.next_timer is None
    assert bench.tick(1e9) == []


def test_a_login_without_a_reply_is_given_up() -> None:
    bench = Bench(heartbeat=0)
    bench.connect()

    assert bench.tick(LOGIN_TIMEOUT - 0.1) == []
    assert isinstance(bench.tick(0.1)[0], Offline)


def test_behind_a_logout_nothing_is_asked() -> None:
    bench = Bench()
    bench.enter()
    bench.session.logout()
    bench.sent()

    assert bench.tick(39) == [] and bench.sent() == []
    assert bench.tick(1) == [Closed(is_clean=False)]


# ---------------------------------------------------------------- beyond the program's end


def test_a_snapshot_is_taken_between_events_and_of_a_session_that_goes_on() -> None:
    bench = Bench()
    bench.enter(HELLO)
    bench.lose()
    bench.connect()
    bench.session.receive_data(encode(Error(seq=1, code=ErrorCode.HISTORY_GONE)), bench.now)
    bench.session.next_event()  # the gap; its outcomes are ready

    with pytest.raises(LocalProtocolError):
        bench.session.snapshot()
    list(bench.session.events())
    assert ClientSession.restore(bench.session.snapshot()).position == 0

    bench.session.close()
    list(bench.session.events())
    with pytest.raises(LocalProtocolError):
        bench.session.snapshot()
    with pytest.raises(LocalProtocolError):
        ClientSession.restore({"format": 0})


@pytest.mark.proves("EP-2.3-7", "EP-6.5-18")
def test_a_snapshot_survives_json_with_numbers_of_any_size() -> None:
    bench = Bench()
    bench.connect()
    last = 2**63 - 2
    bench.come(welcome(last, ticket=2**64 - 1))
    bench.session.say(HELLO)
    bench.sent()
    bench.session.say(ApplicationEvent(type=0x80, data=b"\0\xff"))

    kept = json.loads(json.dumps(bench.session.snapshot()))
    bench.session = ClientSession.restore(kept)

    assert bench.connect() == [
        Login(seq=1, user="ann", ticket=2**64 - 1, position=last),
        Ping(seq=2),
    ]
    assert bench.session.unsettled == (
        (1, HELLO),
        (2, ApplicationEvent(type=0x80, data=b"\0\xff")),
    )
    assert bench.session.in_doubt == 1
    assert bench.session.say(HELLO) == 3


# ---------------------------------------------------------------- its states


def test_every_state_but_the_last_can_be_left_and_all_can_be_reached() -> None:
    reached = {SessionState.WAITING, *TRANSITIONS.values()}

    assert reached == set(SessionState)
    assert {state for state, _ in TRANSITIONS} == set(SessionState) - {SessionState.CLOSED}


def frames_of_a_server() -> st.SearchStrategy[Event]:
    small = st.integers(1, 6)
    return st.one_of(
        st.builds(Ack, seq=small, position=st.integers(0, 6)),
        st.builds(Error, seq=st.integers(0, 4), code=st.sampled_from([*ErrorCode, 99])),
        st.builds(Pong, seq=small),
        st.builds(Ping, seq=small),
        st.builds(welcome, st.integers(0, 6), ticket=st.sampled_from([0, TICKET, TICKET, 8])),
        st.builds(Message, seq=small, sender=st.just("ann"), content=st.just("hello")),
        st.builds(Left, seq=small, user=st.just("ann"), reason=st.just(LeftReason.LOST)),
    )


def log_in(bench: Bench) -> None:
    """A new connection, on which the Login gets its Welcome."""
    login, *_ = bench.connect()
    assert isinstance(login, Login)
    position = login.position if login.ticket else 3
    bench.session.receive_data(encode(welcome(position)), bench.now)


def wait(bench: Bench) -> None:
    bench.now += 25
    bench.session.handle_timer(bench.now)


ACTIONS: dict[str, Callable[[Bench], object]] = {
    "log in": log_in,
    "say": lambda bench: bench.session.say(HELLO),
    "send": lambda bench: bench.session.data_to_send(),
    "ping": lambda bench: bench.session.ping(),
    "connect": lambda bench: bench.session.connected(bench.now),
    "fail": lambda bench: bench.session.connection_lost(bench.now),
    "lose": lambda bench: bench.session.receive_eof(bench.now),
    "wait": wait,
    "go on": lambda bench: bench.session.go_on(bench.now),
    "logout": lambda bench: bench.session.logout(),
    "snapshot": lambda bench: bench.session.snapshot(),
}


BEGINNINGS: list[list[str]] = [
    [],
    ["log in"],
    ["say", "log in", "say", "send"],
    ["log in", "say", "send", "lose", "log in"],
]


@settings(max_examples=300)
@given(
    st.sampled_from(BEGINNINGS),
    st.lists(st.one_of(st.sampled_from(sorted(ACTIONS)), frames_of_a_server()), max_size=40),
)
def test_whatever_comes_in_whatever_state_each_request_gets_one_outcome(
    begun: list[str], steps: list[str | Event]
) -> None:
    bench = Bench()
    said, events = 0, []
    for step in [*begun, *steps, "close"]:
        try:
            if step == "close":
                bench.session.close()
            elif isinstance(step, str):
                ACTIONS[step](bench)
                said += step == "say"
            else:
                bench.session.receive_data(encode(step), bench.now)
        except LocalProtocolError:
            pass
        events += list(bench.session.events())

    assert sorted(number for number, _ in fates(events)) == list(range(1, said + 1))
    assert isinstance(events[-1], Closed)
    assert bench.session.state is SessionState.CLOSED
