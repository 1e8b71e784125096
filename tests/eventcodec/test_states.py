"""Who may send what when: every cell of the tables, walked on real connections.

Rule: what is expected is read from `RULES`, `SENDABLE` and `REPLIES`; a new state or
event is walked without a word here.
"""

from __future__ import annotations

import pytest
from tests.eventcodec.cases import CASES, Case
from tests.eventcodec.declared import CODEC
from tests.eventcodec.streams import Host, error_of, fault, member, ready, settled, welcome
from tests.together import together

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    Error,
    ErrorCode,
    Event,
    Fact,
    InvalidRequest,
    Joined,
    Left,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    PeerError,
    Ping,
    Pong,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    State,
    Unknown,
    Welcome,
    encode,
)
from eventcodec.limits import MAX_FRAME_BEFORE_WELCOME
from eventcodec.states import APPLICATION, KINDS, REPLIES, UNKNOWN, kind_of
from eventcodec.tables import RULES, SENDABLE, STANDARD_EVENTS, Role, validate

SAMPLES: dict[int, Event] = {
    Login.type: Login(user="ann"),
    Message.type: Message(content="hello"),
    Logout.type: Logout(),
    Ack.type: Ack(),
    Error.type: Error(code=ErrorCode.USER_TAKEN),
    Ping.type: Ping(),
    Pong.type: Pong(),
    Welcome.type: welcome(),
    Joined.type: Joined(user="bob"),
    Left.type: Left(user="bob"),
    APPLICATION: ApplicationEvent(type=0xC0, data=b"\x01"),
    UNKNOWN: Unknown(type=0x42, body=b"\x01"),
}
REPLY_TYPES = {*REPLIES.values(), Error.type}
FACT_TYPES = {kind for kind, event in SAMPLES.items() if isinstance(event, Fact)}


def named(value: object) -> str:
    """A cell's name: a state's or a kind's."""
    if isinstance(value, State):
        return value.value
    return type(SAMPLES[value]).__name__ if isinstance(value, int) else str(value)


def states_of(role: Role) -> list[State]:
    return [state for (each, state) in RULES if each is role]


EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=named)
EACH_SERVER_STATE = pytest.mark.parametrize("state", states_of(Role.SERVER), ids=named)
EACH_CLIENT_STATE = pytest.mark.parametrize("state", states_of(Role.CLIENT), ids=named)


# ---------------------------------------------------------------- the tables themselves


def test_every_table_has_every_kind() -> None:
    assert set(SAMPLES) == set(KINDS)
    assert all(set(row) == set(KINDS) for row in RULES.values())
    assert {(role, state) for role, state in RULES} == {
        (role, state)
        for role in Role
        for state in State
        if (role, state) != (Role.SERVER, State.LEAVING)
    }
    assert set(SENDABLE) == set(State)


@together("type", range(0x100))
@pytest.mark.proves("EP-3.1-1", "EP-3.1-2")
def test_every_type_has_a_row(type: int) -> None:
    known = {event.type for event in STANDARD_EVENTS}

    kind = kind_of(type)

    assert kind == (APPLICATION if type >= 0x80 else type if type in known else UNKNOWN)
    for role, state in RULES:
        assert validate(role, state, type) is RULES[role, state][kind]


def test_what_a_client_may_send_a_server_takes_in_the_same_state() -> None:
    for state in (State.NEW, State.MEMBER):
        taken = {kind for kind, code in RULES[Role.SERVER, state].items() if code is None}

        assert taken == SENDABLE[state] | {Pong.type}


def test_every_request_has_a_reply() -> None:
    assert set(REPLIES) == set.union(*map(set, SENDABLE.values()))


# ---------------------------------------------------------------- a server receives


def server_in(state: State) -> ServerConnection:
    """A server's end in this state, with nothing open."""
    server = ServerConnection(codec=CODEC)
    if state is not State.NEW:
        member(server)
    if state is State.ENDED:
        server.goodbye(ErrorCode.TIMEOUT)
    assert server.state is state
    return server


@EACH_SERVER_STATE
@together("case", [case for case in CASES if len(case.frame) <= MAX_FRAME_BEFORE_WELCOME])
@pytest.mark.proves(
    "EP-3.3-3",
    "EP-3.11-2",
    "EP-3.11-3",
    "EP-3.12-1",
    "EP-4.2-8",
    "EP-4.2-9",
    "EP-4.3-1",
    "EP-4.3-2",
    "EP-4.3-3",
    "EP-4.3-4",
    "EP-4.3-6",
    "EP-8.2-2",
    "EP-8.3-1",
    "EP-8.3-3",
)
def test_a_server_judges_each_event_by_its_state(state: State, case: Case) -> None:
    event = case.event.with_seq(9)
    host = Host(server_in(state))
    code = validate(Role.SERVER, state, event.type)
    if getattr(event, "sender", ""):
        code = ErrorCode.UNEXPECTED_EVENT

    host.receive(encode(event) + encode(Ping(seq=10)))

    expected: list[object] = [] if isinstance(event, Pong) else [event]
    if code is not None:
        expected = [InvalidRequest(9, Error(code=code, text=code.meaning))]
    if after(state, event, code) is not State.ENDED:
        expected.append(Ping(seq=10))
    assert host.outcome.events == ([] if state is State.ENDED else expected)
    assert host.server.state is after(state, event, code)
    assert host.outcome.fault is None


def after(state: State, event: Event, code: ErrorCode | None) -> State:
    """The state that a host's reply leaves a server in."""
    if code is None and isinstance(event, Login):
        return State.MEMBER
    return State.ENDED if code is None and isinstance(event, Logout) else state


# ---------------------------------------------------------------- a server replies


@EACH_KIND
@pytest.mark.parametrize("request_kind", REPLIES, ids=named)
@pytest.mark.proves("EP-3.1-2", "EP-4.2-2", "EP-4.2-10")
def test_a_server_replies_with_what_the_table_says_or_an_error(
    request_kind: int, kind: int
) -> None:
    server = server_in(State.NEW if request_kind == Login.type else State.MEMBER)
    server.data_to_send()
    [request] = ready(server, encode(SAMPLES[request_kind].with_seq(9)))
    reply = SAMPLES[kind]

    if kind not in (REPLIES[request_kind], Error.type):
        with pytest.raises(LocalProtocolError):
            server.reply(request, reply)
        reply = SAMPLES[Error.type]
    server.reply(request, reply)

    assert server.data_to_send() == encode(reply.with_seq(9))


@EACH_KIND
@pytest.mark.proves("EP-4.2-10")
def test_a_server_replies_to_a_refused_request_with_an_error_alone(kind: int) -> None:
    server = server_in(State.NEW)
    [refused] = ready(server, encode(Message(content="too early", seq=9)))
    assert isinstance(refused, InvalidRequest)

    if kind == Error.type:
        server.reply(refused, SAMPLES[kind])
        assert server.data_to_send() == encode(SAMPLES[kind].with_seq(9))
    else:
        with pytest.raises(LocalProtocolError):
            server.reply(refused, SAMPLES[kind])


# ---------------------------------------------------------------- a client receives


def client_in(state: State, awaited: int | None = None) -> tuple[ClientConnection, Event | None]:
    """A client's end in this state, and the open request that awaits this kind of reply."""
    client = ClientConnection(codec=CODEC)
    if state is not State.NEW:
        settled(client, position=1)
    asked: Event | None = None
    if state is State.LEAVING:
        asked = client.send(Logout())
    for kind in SENDABLE[state]:
        if awaited == Error.type or REPLIES[kind] == awaited:
            asked = client.send(SAMPLES[kind])
            break
    if state is State.ENDED:
        assert isinstance(error_of(ready(client, encode(Error(code=ErrorCode.TIMEOUT)))), PeerError)
    client.data_to_send()
    return client, asked


@EACH_CLIENT_STATE
@EACH_KIND
@pytest.mark.proves("EP-4.2-11", "EP-4.2-12", "EP-4.4-1", "EP-4.4-2", "EP-3.12-2", "EP-8.3-4")
def test_a_client_judges_each_event_by_its_state(state: State, kind: int) -> None:
    client, asked = client_in(state, kind if kind in REPLY_TYPES else None)
    seq = 2 if kind in FACT_TYPES else 3 if asked is None else asked.seq
    event = SAMPLES[kind].with_seq(seq)
    answers_nothing = kind in REPLY_TYPES and (
        asked is None or kind not in (Error.type, REPLIES[kind_of(asked.type)])
    )

    if state is State.ENDED:
        assert ready(client, encode(event)) == []
        return
    if validate(Role.CLIENT, state, event.type) is not None or answers_nothing:
        error = error_of(ready(client, encode(event)))
        assert isinstance(error, RemoteProtocolError)
        assert error.code is ErrorCode.UNEXPECTED_EVENT
        assert client.ended
        return
    given = ready(client, encode(event))
    is_over = isinstance(asked, Logout) and kind == Ack.type
    if is_over:
        assert given.pop() == ConnectionEnded()
    if isinstance(event, Ping):
        assert (given, client.data_to_send()) == ([], encode(Pong(seq=seq)))
    elif kind in REPLY_TYPES:
        assert given == [Reply(asked, event)]  # type: ignore[arg-type]
    else:
        assert given == [event]
    assert client.ended is is_over


@pytest.mark.parametrize("reply_kind", sorted(REPLY_TYPES), ids=named)
@pytest.mark.parametrize("request_kind", REPLIES, ids=named)
@pytest.mark.proves("EP-4.2-11", "EP-3.6-3")
def test_a_client_takes_a_reply_that_the_table_allows_or_an_error(
    request_kind: int, reply_kind: int
) -> None:
    client = ClientConnection() if request_kind == Login.type else settled()
    request = client.send(SAMPLES[request_kind])
    reply = SAMPLES[reply_kind].with_seq(request.seq)

    if reply_kind in (REPLIES[request_kind], Error.type):
        assert ready(client, encode(reply))[0] == Reply(request, reply)  # type: ignore[arg-type]
        assert client.outstanding == ()
        return
    error = error_of(ready(client, encode(reply)))
    assert isinstance(error, RemoteProtocolError)

    assert fault(error)[1:] == (ErrorCode.UNEXPECTED_EVENT, None, request.seq, place(client))
    assert client.outstanding == (request,)


def place(client: ClientConnection) -> int:
    """Where the next frame begins in what a `settled` client received, or a new one."""
    return 0 if client.welcome is None else len(encode(welcome(seq=1)))


# ---------------------------------------------------------------- a client sends


def sending(state: State) -> list[tuple[ClientConnection, int]]:
    """Clients that may send what the table says for this state, on each way into it, and
    the last number that they used."""
    refused = ClientConnection()
    refused.send(Login())
    ready(refused, encode(Error(code=ErrorCode.BAD_USER, seq=1)))
    if state is State.NEW:
        return [(ClientConnection(), 0), (refused, 1)]
    hasty = ClientConnection()
    hasty.send(Login())
    if state is State.MEMBER:
        return [(hasty, 1), (settled(), 1)]
    leaving = [hasty, settled()]
    for client in leaving:
        client.send(Logout())
    if state is State.LEAVING:
        return [(client, 2) for client in leaving]
    lost, clean = leaving
    assert isinstance(error_of(ready(lost, encode(Error(code=ErrorCode.TIMEOUT)))), PeerError)
    ready(clean, encode(Ack(seq=2)))
    return [(lost, 2), (clean, 2)]


@EACH_KIND
@pytest.mark.parametrize("state", SENDABLE, ids=named)
@pytest.mark.proves("EP-3.1-1", "EP-4.4-3", "EP-4.4-4", "EP-4.4-5", "EP-2.2-5", "EP-4.2-4")
def test_a_client_sends_what_the_table_says_and_nothing_else(state: State, kind: int) -> None:
    for client, last in sending(state):
        client.data_to_send()
        before = client.outstanding

        if kind in SENDABLE[state]:
            sent = client.send(SAMPLES[kind])

            assert sent == SAMPLES[kind].with_seq(last + 1)
            assert client.outstanding == (*before, sent)
            assert client.data_to_send() == encode(sent)
        else:
            with pytest.raises(LocalProtocolError):
                client.send(SAMPLES[kind])

            assert client.outstanding == before
            assert client.data_to_send() == b""


def test_a_state_that_a_role_has_not_is_the_callers_mistake() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        validate(Role.SERVER, State.LEAVING, 2)

    assert caught.value.field == "state"
