"""Both ends of a connection: order, numbers, replies, limits and ends, in any chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec import differential
from tests.eventcodec.cases import EACH_CASE_TO_CLIENT, EACH_CASE_TO_SERVER, Case, Way
from tests.eventcodec.conversations import Conversation, conversations
from tests.eventcodec.declared import CODEC, Moved
from tests.eventcodec.mutations import mutate
from tests.eventcodec.strategies import EVENTS
from tests.eventcodec.streams import (
    EACH_CHUNKING,
    END_OF_STREAM,
    Chunking,
    Fault,
    Host,
    byte_by_byte,
    cut_by,
    listen,
    member,
    serve,
    settled,
    welcome,
    whole,
)

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    ConnectionLost,
    Error,
    ErrorCode,
    Event,
    EventError,
    Joined,
    Left,
    LocalError,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    ProtocolError,
    Refused,
    RemoteError,
    Reply,
    ServerConnection,
    State,
    Unknown,
    Welcome,
    decode,
    encode,
)
from eventcodec.limits import (
    HEADER_SIZE,
    LENGTH_SIZE,
    MAX_FRAME,
    MAX_FRAME_BEFORE_WELCOME,
    SENDER_ALLOWANCE,
)

HELLO = Message(content="hello")
FACT = Message(sender="bob", content="hi")


def talking(conversation: Conversation) -> ClientConnection:
    """A client that has asked for everything at once."""
    client = ClientConnection(codec=CODEC)
    for request in conversation.requests:
        assert client.send(request) == request
    assert client.data_to_send() == b"".join(map(encode, conversation.requests))
    return client


def asking() -> ClientConnection:
    """A client whose Login is on its way."""
    client = ClientConnection(codec=CODEC)
    client.send(Login())
    client.data_to_send()
    return client


def broken(client: ClientConnection, *said: Event) -> ProtocolError:
    """What a client finds wrong in what a server says."""
    with pytest.raises(ProtocolError) as caught:
        list(client.receive(b"".join(map(encode, said))))
    return caught.value


# ---------------------------------------------------------------- the client: every event


def awaiting(case: Case) -> ClientConnection:
    """A client for which this frame comes in its place."""
    event = case.event
    if Way.FACT in case.ways:
        return settled(ClientConnection(codec=CODEC), position=event.seq - 1)
    if Way.REPLY not in case.ways:
        return settled(ClientConnection(codec=CODEC))
    if event.seq == 1:
        return asking()
    place = event.position - 1 if isinstance(event, Ack) and event.position else 1
    client = settled(ClientConnection(codec=CODEC), position=place)
    for seq in range(2, event.seq):
        client.send(Ping())
        assert len(list(client.receive(encode(Pong(seq=seq))))) == 1
    client.send(Ping() if isinstance(event, Pong) else HELLO)
    client.data_to_send()
    return client


@EACH_CASE_TO_CLIENT
@EACH_CHUNKING
@pytest.mark.proves("EP-2.1-5", "EP-3.6-3", "EP-3.7-3", "EP-3.8-4", "EP-3.12-4", "EP-7.1-5")
def test_a_client_takes_each_event_in_any_chunks(case: Case, chunking: Chunking) -> None:
    client = awaiting(case)
    outstanding = client.outstanding
    behind = encode(Unknown(type=0x42, seq=1))
    last = Way.LAST in case.ways

    outcome = listen(client, chunking(case.frame + behind))

    event: object = case.event
    if Way.REPLY in case.ways:
        assert isinstance(case.event, Welcome | Ack | Pong | Error)
        event = Reply(outstanding[0], case.event)
    expected = [] if last or (Way.QUESTION in case.ways and Way.REPLY not in case.ways) else [event]
    assert outcome.events == [*expected, *([] if last else [Unknown(type=0x42, seq=1)])]
    if last:
        assert isinstance(case.event, Error)
        assert outcome.fault == Fault(RemoteError, case.event.code)
    else:
        assert outcome.fault is None
    assert outcome.output == (encode(Pong(seq=4)) if Way.QUESTION in case.ways else b"")


# ---------------------------------------------------------------- the client: sending


@pytest.mark.proves("EP-4.2-4", "EP-4.2-5")
def test_requests_are_numbered_and_go_out_without_waiting() -> None:
    client = ClientConnection(codec=CODEC)

    sent = [client.send(event) for event in (Login(), HELLO, Moved(x=1, y=2), Ping(), Logout())]

    assert [event.seq for event in sent] == [1, 2, 3, 4, 5]
    assert client.data_to_send() == b"".join(map(encode, sent))
    assert client.data_to_send() == b""
    assert client.outstanding == tuple(sent)


def test_a_number_of_the_callers_own_is_replaced() -> None:
    assert ClientConnection().send(Login(seq=77)).seq == 1


@pytest.mark.proves("EP-3.3-2", "EP-3.11-2")
@pytest.mark.parametrize(
    "request_",
    [Message(sender="ann", content="x"), ApplicationEvent(type=0x80, sender="ann")],
    ids=repr,
)
def test_a_sender_is_the_servers_to_fill_in(request_: Event) -> None:
    client = settled()

    with pytest.raises(LocalError) as caught:
        client.send(request_)

    assert caught.value.field == "sender"
    assert (client.outstanding, client.data_to_send()) == ((), b"")
    assert client.send(HELLO).seq == 2


@pytest.mark.proves("EP-7.1-1", "EP-7.1-2")
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (asking, MAX_FRAME_BEFORE_WELCOME),
        (settled, MAX_FRAME),
        (lambda: settled(max_frame=5_000), 5_000),
    ],
    ids=["before the Welcome", "default", "5,000"],
)
def test_a_request_is_no_longer_than_the_server_reads(
    make: Callable[[], ClientConnection], most: int
) -> None:
    client = make()
    around = len(encode(Message(content="", seq=1))) - LENGTH_SIZE
    longest = Message(content="m" * (most - around))

    with pytest.raises(LocalError):
        client.send(dataclasses.replace(longest, content=longest.content + "m"))
    sent = client.send(longest)

    assert len(encode(sent)) - LENGTH_SIZE == most
    assert sent.seq == 2


# ---------------------------------------------------------------- the client: its place


@given(conversation=conversations(), random=st.randoms(use_true_random=False))
@pytest.mark.proves("EP-2.1-5", "EP-3.7-2", "EP-3.7-3", "EP-3.7-5", "EP-3.12-3", "EP-5.2-5")
def test_a_client_hears_the_log_from_its_place_on_in_any_chunks(
    conversation: Conversation, random: Random
) -> None:
    for chunking in (whole, byte_by_byte, cut_by(random)):
        client = talking(conversation)

        outcome = listen(client, chunking(conversation.stream))

        assert outcome.fault is None
        assert outcome.events == list(conversation.events)
        assert outcome.output == conversation.answer
        assert client.position == conversation.position
        assert client.ended is conversation.ends_well


@given(data=st.data(), conversation=conversations(), random=st.randoms(use_true_random=False))
@pytest.mark.proves("EP-2.1-5", "EP-4.2-12", "EP-4.2-13")
def test_chunks_change_nothing_of_a_faulty_conversation(
    data: st.DataObject, conversation: Conversation, random: Random
) -> None:
    frames = [encode(event) for event in conversation.said]
    at = data.draw(st.integers(0, len(frames) - 1))
    frames[at] = mutate(frames[at], random)
    stream = b"".join(frames)

    outcomes = [
        listen(talking(conversation), [*chunking(stream), END_OF_STREAM])
        for chunking in (whole, byte_by_byte, cut_by(random), cut_by(random))
    ]

    assert outcomes == [outcomes[0]] * len(outcomes)
    kinds = {ProtocolError, ConnectionLost, RemoteError}
    assert outcomes[0].fault is None or outcomes[0].fault.kind in kinds


def is_entry(event: Event) -> bool:
    return isinstance(event, Message | ApplicationEvent | Joined | Left) or (
        isinstance(event, Ack) and bool(event.position)
    )


@given(data=st.data(), conversation=conversations())
@pytest.mark.proves("EP-5.2-5", "EP-5.2-6", "EP-4.2-11", "EP-4.2-13")
def test_an_entry_that_comes_twice_is_found_where_it_does(
    data: st.DataObject, conversation: Conversation
) -> None:
    said = list(conversation.said)
    entries = [at for at, event in enumerate(said) if is_entry(event) and at < len(said) - 1]
    if not entries:
        return
    at = data.draw(st.sampled_from(entries))
    said.insert(at + 1, said[at])

    outcome = listen(talking(conversation), [b"".join(map(encode, said))])

    place = sum(len(encode(event)) for event in said[: at + 1])
    assert outcome.fault is not None
    assert (outcome.fault.kind, outcome.fault.code) == (
        ProtocolError,
        ErrorCode.UNEXPECTED_EVENT,
    )
    assert outcome.fault.offset == place
    assert outcome.events == list(conversation.events[: len(outcome.events)])


@given(data=st.data(), conversation=conversations())
@pytest.mark.proves("EP-5.2-5", "EP-5.2-6")
def test_an_entry_that_is_left_out_is_found_at_the_next(
    data: st.DataObject, conversation: Conversation
) -> None:
    said = list(conversation.said)
    entries = [at for at, event in enumerate(said) if is_entry(event)]
    if len(entries) < 2:
        return
    left_out = data.draw(st.sampled_from(entries[:-1]))
    del said[left_out]

    outcome = listen(talking(conversation), [b"".join(map(encode, said))])

    assert outcome.fault is not None
    assert (outcome.fault.kind, outcome.fault.code) == (
        ProtocolError,
        ErrorCode.UNEXPECTED_EVENT,
    )


@pytest.mark.proves("EP-5.2-6")
@pytest.mark.parametrize("position", [0, 4, 5, 7, 2**63])
def test_a_fact_that_is_not_the_next_is_the_servers_fault(position: int) -> None:
    client = settled(position=5)
    start = len(encode(welcome(seq=1)))

    if position == 0:
        with pytest.raises(ProtocolError) as caught:
            list(client.receive(encode(FACT.with_seq(6)).replace(b"\x06", b"\x00", 1)))
        assert (caught.value.code, caught.value.field) == (ErrorCode.MALFORMED, "seq")
        return
    error = broken(client, FACT.with_seq(position))

    assert (error.code, error.field) == (ErrorCode.UNEXPECTED_EVENT, "seq")
    assert (error.seq, error.offset) == (position, start)
    assert client.position == 5


@pytest.mark.proves("EP-5.2-6")
@pytest.mark.parametrize("position", [4, 5, 7])
def test_an_ack_of_an_entry_that_is_not_the_next_is_the_servers_fault(position: int) -> None:
    client = settled(position=5)
    client.send(HELLO)

    error = broken(client, Ack(seq=2, position=position))

    assert (error.code, error.field) == (ErrorCode.UNEXPECTED_EVENT, "position")
    assert client.position == 5
    assert len(client.outstanding) == 1


@pytest.mark.proves("EP-3.12-3", "EP-5.2-5")
def test_what_is_no_entry_moves_no_place() -> None:
    client = settled(position=5)
    client.send(Ping())
    client.send(HELLO)
    asides = [
        Unknown(type=0x42, seq=6),
        Ping(seq=6),
        Pong(seq=2),
        Error(code=ErrorCode.UNEXPECTED_EVENT, seq=3),
    ]

    heard = list(client.receive(b"".join(map(encode, asides)) + encode(FACT.with_seq(6))))

    assert len(heard) == 4
    assert client.position == 6


@pytest.mark.proves("EP-6.4-2", "EP-5.2-6")
@pytest.mark.parametrize(("position", "good"), [(7, True), (6, False), (8, False), (0, False)])
def test_a_resume_goes_on_where_it_asked_for(position: int, good: bool) -> None:
    client = ClientConnection()
    client.send(Login(ticket=9, position=7))

    if good:
        assert len(list(client.receive(encode(welcome(position=position, seq=1))))) == 1
        assert client.position == 7
    else:
        error = broken(client, welcome(position=position, seq=1))
        assert (error.code, error.field) == (ErrorCode.UNEXPECTED_EVENT, "position")
        assert client.welcome is None


@pytest.mark.proves("EP-3.8-4")
def test_what_the_welcome_says_is_kept_also_after_the_end() -> None:
    client = ClientConnection()
    assert (client.user, client.ticket, client.position, client.welcome) == ("", 0, 0, None)
    client.send(Login(user="ann"))
    said = welcome(user="ann2", position=4, seq=1)

    list(client.receive(encode(said) + encode(FACT.with_seq(5))))
    with pytest.raises(ConnectionLost):
        list(client.receive(END_OF_STREAM))

    assert client.welcome == said
    assert (client.user, client.ticket, client.position) == ("ann2", said.ticket, 5)


# ---------------------------------------------------------------- the client: replies


@pytest.mark.proves("EP-4.2-11")
@pytest.mark.parametrize("seq", [1, 3, 4, 2**64 - 1])
def test_a_reply_to_another_than_the_oldest_request_is_the_servers_fault(seq: int) -> None:
    client = settled()
    client.send(Ping())
    client.send(Ping())

    error = broken(client, Pong(seq=seq))

    assert (error.code, error.field, error.seq) == (ErrorCode.UNEXPECTED_EVENT, "seq", seq)
    assert len(client.outstanding) == 2


@pytest.mark.proves("EP-3.6-2", "EP-3.6-3", "EP-2.3-2")
@pytest.mark.parametrize("code", [*ErrorCode, 0, 999, 65_535])
@pytest.mark.parametrize("text", ["", "any\ntext"])
def test_an_error_is_taken_by_its_seq_whatever_its_code_and_text(code: int, text: str) -> None:
    refused, ended = settled(), settled()
    request = refused.send(HELLO)
    reply = Error(code=code, text=text, seq=request.seq)

    heard = list(refused.receive(encode(reply)))
    with pytest.raises(RemoteError) as caught:
        list(ended.receive(encode(reply.with_seq(0))))

    assert heard == [Reply(request, reply)]
    assert not refused.ended
    assert refused.send(HELLO).seq == 3
    assert (caught.value.code, caught.value.text) == (code, text)
    assert isinstance(caught.value.code, ErrorCode) is (code in [*ErrorCode])
    assert ended.ended


@pytest.mark.proves("EP-4.3-5")
def test_after_a_refused_login_another_may_be_sent() -> None:
    client = ClientConnection()
    client.send(Login(user="ann"))
    list(client.receive(encode(Error(code=ErrorCode.USER_TAKEN, seq=1))))

    again = client.send(Login(user="bob"))
    heard = list(client.receive(encode(welcome(user="bob", seq=2))))

    assert [reply.request for reply in heard if isinstance(reply, Reply)] == [again]
    assert client.user == "bob"
    assert client.state is State.MEMBER


# ---------------------------------------------------------------- the client: limits


@pytest.mark.proves("EP-7.1-5")
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (ClientConnection, MAX_FRAME_BEFORE_WELCOME + SENDER_ALLOWANCE),
        (settled, MAX_FRAME + SENDER_ALLOWANCE),
        (lambda: settled(max_frame=4_096), 4_096 + SENDER_ALLOWANCE),
        (lambda: settled(max_frame=2**32 - 1), 16 * 2**20 + SENDER_ALLOWANCE),
        (lambda: settled(ClientConnection(max_frame=5_000)), 5_000),
        (lambda: ClientConnection(max_frame=300), 300),
    ],
    ids=["before the Welcome", "default", "least", "ceiling", "own cap", "own cap, before"],
)
def test_a_client_reads_what_the_server_may_send_and_no_more(
    make: Callable[[], ClientConnection], most: int
) -> None:
    client = make()
    fits = most.to_bytes(LENGTH_SIZE, "big")
    too_long = (most + 1).to_bytes(LENGTH_SIZE, "big")

    header = encode(Unknown(type=0x42, seq=1))[LENGTH_SIZE:]
    assert list(client.receive(fits + header)) == []
    rest = client.receive(bytes(most + LENGTH_SIZE - HEADER_SIZE) + too_long)
    assert isinstance(next(rest), Unknown)
    with pytest.raises(ProtocolError) as caught:
        next(rest)

    assert caught.value.code is ErrorCode.FRAME_TOO_LARGE


# ---------------------------------------------------------------- the client: the end


@EACH_CHUNKING
@pytest.mark.proves("EP-10.1-2")
def test_the_ack_of_a_logout_is_the_clean_end(chunking: Chunking) -> None:
    client = settled(position=5)
    logout = client.send(Logout())
    ack = Ack(seq=logout.seq, position=6)

    outcome = listen(client, [*chunking(encode(ack) + b"garbage"), END_OF_STREAM, END_OF_STREAM])

    assert outcome.events == [Reply(logout, ack)]
    assert outcome.fault is None
    assert client.ended
    assert (client.position, client.outstanding) == (6, ())


@pytest.mark.proves("EP-10.3-1", "EP-10.3-2")
@pytest.mark.parametrize("rest", [b"", encode(FACT.with_seq(2))[:-1]])
@pytest.mark.parametrize("request_", [None, HELLO, Logout()])
def test_any_other_end_of_the_stream_is_a_loss(rest: bytes, request_: Event | None) -> None:
    client = settled()
    sent = () if request_ is None else (client.send(request_),)

    for _ in range(2):
        outcome = listen(client, [rest, END_OF_STREAM] if rest else [END_OF_STREAM])
        assert outcome.fault == Fault(ConnectionLost)
        rest = b""

    assert client.ended
    assert client.outstanding == sent


@pytest.mark.proves("EP-10.3-1")
def test_an_end_before_the_welcome_is_a_loss() -> None:
    client = ClientConnection()
    client.send(Login())

    with pytest.raises(ConnectionLost):
        list(client.receive(END_OF_STREAM))


@pytest.mark.proves("EP-4.2-12", "EP-8.3-5")
@pytest.mark.parametrize(
    "end",
    [encode(Error(code=24)), encode(FACT.with_seq(9)), bytes(4), encode(Login(seq=1))],
    ids=["last Error", "wrong position", "malformed", "wrong way"],
)
def test_after_the_end_nothing_counts_and_the_error_stays(end: bytes) -> None:
    client = settled()
    fact = FACT.with_seq(2)
    sent = client.send(Ping())
    faults = []

    for data in (encode(fact) + end + encode(Pong(seq=2)), encode(Pong(seq=2)), END_OF_STREAM):
        outcome = listen(client, [data])
        faults.append(outcome.fault)
        assert outcome.events == ([fact] if len(faults) == 1 else [])

    assert faults == [faults[0]] * 3
    assert faults[0] is not None
    assert client.ended
    assert client.position == 2
    assert client.outstanding == (sent,)


@pytest.mark.proves("EP-3.11-5")
def test_content_that_an_application_does_not_expect_ends_nothing() -> None:
    client = settled(ClientConnection(codec=CODEC))
    odd = ApplicationEvent(type=Moved.type, sender="bob", data=b"?", seq=2)
    foreign = ApplicationEvent(type=0xC0, sender="bob", data=b"?", seq=3)

    heard = list(client.receive(encode(odd) + encode(foreign) + encode(FACT.with_seq(4))))

    assert heard == [odd, foreign, FACT.with_seq(4)]
    assert client.position == 4


# ---------------------------------------------------------------- the server: every event


@EACH_CASE_TO_SERVER
@EACH_CHUNKING
@pytest.mark.proves("EP-2.1-5", "EP-3.7-4", "EP-3.7-6", "EP-3.12-1", "EP-7.1-3")
def test_a_server_takes_each_event_in_any_chunks(case: Case, chunking: Chunking) -> None:
    server = ServerConnection(codec=CODEC)
    if not isinstance(case.event, Login):
        member(server)
    host = Host(server)

    for chunk in chunking(case.frame):
        host.receive(chunk)

    expected: list[object] = [case.event]
    if Way.ANSWER in case.ways:
        expected = []
    elif Way.STRANGE in case.ways:
        code = ErrorCode.UNKNOWN_TYPE
        expected = [Refused(case.event.seq, Error(code=code, text=code.meaning))]
    assert host.outcome.events == expected
    assert host.outcome.fault is None
    assert bool(host.outcome.output) is bool(expected)
    assert server.held == 0


@given(
    events=st.lists(EVENTS, max_size=5),
    broken=st.booleans(),
    random=st.randoms(use_true_random=False),
)
@pytest.mark.proves("EP-2.1-5", "EP-4.2-6", "EP-4.2-7")
def test_chunks_change_neither_what_a_server_finds_nor_what_it_says(
    events: list[Event], broken: bool, random: Random
) -> None:
    frames = [encode(Login(seq=1)), *map(encode, events)]
    random.shuffle(frames)
    if broken:
        at = random.randrange(len(frames))
        frames[at] = mutate(frames[at], random)
    stream = b"".join(frames)

    outcomes = [
        serve([*chunking(stream), END_OF_STREAM], ServerConnection(codec=CODEC))
        for chunking in (whole, byte_by_byte, cut_by(random), cut_by(random))
    ]

    assert outcomes == [outcomes[0]] * len(outcomes)
    assert outcomes[0].fault is None or outcomes[0].fault.kind in (ProtocolError, ConnectionLost)


# ---------------------------------------------------------------- the server: requests, replies


@pytest.mark.proves("EP-4.2-5", "EP-4.2-6", "EP-4.2-7", "EP-2.2-7", "EP-4.2-2")
def test_each_request_is_judged_in_the_state_that_the_reply_before_it_left() -> None:
    requests = [HELLO, Login(), Login(), HELLO, Ping(), Logout(), HELLO]
    stream = b"".join(encode(event.with_seq(seq)) for seq, event in enumerate(requests, 1))

    outcome = serve([stream])

    found = [e.error.code if isinstance(e, Refused) else type(e) for e in outcome.events]
    assert found == [
        ErrorCode.LOGIN_REQUIRED,
        Login,
        ErrorCode.ALREADY_LOGGED_IN,
        Message,
        Ping,
        Logout,
    ]
    replies = read_replies(outcome.output)
    assert [reply.seq for reply in replies] == [1, 2, 3, 4, 5, 6]
    assert [type(reply) for reply in replies] == [Error, Welcome, Error, Ack, Pong, Ack]


def read_replies(data: bytes) -> list[Event]:
    """The events in what a server wrote."""
    replies = []
    while data:
        size = LENGTH_SIZE + int.from_bytes(data[:LENGTH_SIZE], "big")
        replies.append(decode(data[:size]))
        data = data[size:]
    return replies


@pytest.mark.proves("EP-4.2-3", "EP-4.2-2")
def test_every_number_but_0_is_echoed_in_any_order_and_repeated() -> None:
    seqs = [2**64 - 1, 1, 7, 7, 3]

    outcome = serve([b"".join(encode(Ping(seq=seq)) for seq in seqs)])

    assert [reply.seq for reply in read_replies(outcome.output)] == seqs


@pytest.mark.proves("EP-4.2-1", "EP-4.2-6")
def test_the_next_request_is_not_judged_before_the_last_has_its_reply() -> None:
    server = member()
    requests = server.receive(encode(Ping(seq=1)) + encode(Ping(seq=2)))
    first = next(requests)

    with pytest.raises(LocalError):
        next(requests)

    assert server.reply(first, Pong()) == encode(Pong(seq=1))
    assert server.held == len(encode(Ping(seq=2)))
    assert server.judged == len(encode(Login(seq=1))) + len(encode(Ping(seq=1)))


@pytest.mark.proves("EP-4.2-1")
def test_a_request_is_answered_once_and_only_while_it_is_open() -> None:
    server = member()
    first = next(server.receive(encode(Ping(seq=1))))
    server.reply(first, Pong())

    for request in (first, Ping(seq=1)):
        with pytest.raises(LocalError):
            server.reply(request, Pong())


@pytest.mark.proves("EP-8.2-1")
@pytest.mark.parametrize("code", ErrorCode)
def test_a_fatal_error_is_no_reply(code: ErrorCode) -> None:
    server = ServerConnection()
    request = next(server.receive(encode(Login(seq=1))))

    if code.fatal:
        with pytest.raises(LocalError) as caught:
            server.reply(request, Error(code=code))
        assert caught.value.field == "code"
    else:
        assert server.reply(request, Error(code=code)) == encode(Error(code=code, seq=1))
    assert server.state is State.NEW


@pytest.mark.proves("EP-2.2-6")
@pytest.mark.parametrize("make", [ServerConnection, member], ids=["new", "member"])
@pytest.mark.parametrize("type", [0x01, 0x02, 0x05, 0x06, 0x07, 0x42, 0x80])
def test_a_server_refuses_seq_0_whatever_the_type_when_the_header_is_in(
    make: Callable[[], ServerConnection], type: int
) -> None:
    header = bytes.fromhex(f"00000100 01 {type:02x} 0000 0000000000000000")
    server = make()
    start = server.judged

    assert list(server.receive(header[:-1])) == []
    with pytest.raises(ProtocolError) as caught:
        list(server.receive(header[-1:]))

    assert (caught.value.code, caught.value.field) == (ErrorCode.MALFORMED, "seq")
    assert caught.value.offset == start + 8


@pytest.mark.proves("EP-3.7-5", "EP-3.7-6")
@pytest.mark.parametrize("make", [ServerConnection, member], ids=["new", "member"])
def test_a_pong_is_taken_in_silence(make: Callable[[], ServerConnection]) -> None:
    outcome = serve([encode(Pong(seq=77)) * 3], make())

    assert (outcome.events, outcome.output, outcome.fault) == ([], b"", None)


@pytest.mark.proves("EP-7.1-3")
@pytest.mark.parametrize("max_frame", [4_096, 70_000])
def test_a_server_reads_4096_bytes_until_its_welcome_and_then_what_that_says(
    max_frame: int,
) -> None:
    server = ServerConnection()
    frame = encode(Login(credential=b"k" * (MAX_FRAME_BEFORE_WELCOME - 31), seq=1))
    assert len(frame) - LENGTH_SIZE == MAX_FRAME_BEFORE_WELCOME
    host = Host(server, max_frame=max_frame)
    host.receive(frame)
    longest = encode(Message(content="m" * (max_frame - 13), seq=2))

    host.receive(longest)
    host.receive((max_frame + 1).to_bytes(LENGTH_SIZE, "big"))

    assert [type(event) for event in host.outcome.events] == [Login, Message]
    assert host.outcome.fault is not None
    assert host.outcome.fault[1] is ErrorCode.FRAME_TOO_LARGE
    assert host.outcome.fault.offset == len(frame) + len(longest)


@pytest.mark.proves("EP-7.1-3")
def test_a_frame_above_4096_is_refused_before_the_welcome() -> None:
    outcome = serve([(MAX_FRAME_BEFORE_WELCOME + 1).to_bytes(LENGTH_SIZE, "big")])

    assert outcome.fault is not None
    assert outcome.fault.code is ErrorCode.FRAME_TOO_LARGE


@pytest.mark.proves("EP-4.1-3")
def test_a_server_says_nothing_of_its_own() -> None:
    outcome = serve([encode(Pong(seq=1)), encode(Ping(seq=1))[:-1]])

    assert outcome.output == b""


# ---------------------------------------------------------------- the server: the end


@pytest.mark.proves("EP-4.3-6", "EP-10.1-1", "EP-8.2-3")
@pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "Logout"])
def test_after_its_last_frame_a_server_drops_what_comes(goodbye: bool) -> None:
    server = member()
    behind = encode(Ping(seq=3))

    requests = server.receive(encode(Logout(seq=2)) + behind)
    request = next(requests)
    last = server.goodbye(ErrorCode.TIMEOUT) if goodbye else server.reply(request, Ack())

    assert decode(last) == (
        Error(code=ErrorCode.TIMEOUT, text=ErrorCode.TIMEOUT.meaning) if goodbye else Ack(seq=2)
    )
    assert list(requests) == list(server.receive(behind)) == []
    assert list(server.receive(END_OF_STREAM)) == []
    assert (server.held, server.state) == (0, State.ENDED)
    with pytest.raises(LocalError):
        server.goodbye(ErrorCode.INTERNAL)
    with pytest.raises(LocalError):
        server.reply(request, Ack())


@pytest.mark.proves("EP-8.2-1", "EP-8.2-6", "EP-2.2-1", "EP-11-3")
@pytest.mark.parametrize("code", [*ErrorCode, 999])
def test_a_goodbye_is_an_error_with_seq_0_in_version_1(code: int) -> None:
    plain, said = ServerConnection(), ServerConnection()

    frame = plain.goodbye(code)
    with_text = said.goodbye(code, "see you")

    known = ErrorCode.known(code)
    assert decode(frame) == Error(code=code, text="" if known is None else known.meaning)
    assert decode(with_text) == Error(code=code, text="see you")
    assert (frame[LENGTH_SIZE], frame[8:HEADER_SIZE]) == (1, bytes(8))


@pytest.mark.proves("EP-10.3-3", "EP-2.1-6")
@pytest.mark.parametrize("rest", [b"", encode(HELLO.with_seq(4))[:-1]])
@EACH_CHUNKING
def test_the_whole_frames_before_the_end_of_the_stream_are_answered(
    rest: bytes, chunking: Chunking
) -> None:
    stream = b"".join(map(encode, (Login(seq=1), HELLO.with_seq(2), Ping(seq=3)))) + rest

    outcome = serve([*chunking(stream), END_OF_STREAM])

    assert [reply.seq for reply in read_replies(outcome.output)] == [1, 2, 3]
    assert outcome.fault == Fault(ConnectionLost)


@pytest.mark.proves("EP-8.3-5", "EP-4.3-6")
def test_after_a_fatal_fault_no_later_byte_is_judged() -> None:
    server = member()
    stream = encode(Ping(seq=2)) + bytes(4) + encode(Ping(seq=3))
    host = Host(server)

    host.receive(stream)
    host.receive(encode(Ping(seq=4)))

    replies = read_replies(host.outcome.output)
    assert [type(reply) for reply in replies] == [Pong, Error]
    assert host.outcome.events == [Ping(seq=2)]
    assert server.state is State.ENDED


def test_a_fault_stays_until_goodbye_is_said() -> None:
    server = member()

    for data in (bytes(4), encode(Ping(seq=2)), END_OF_STREAM):
        with pytest.raises(ProtocolError) as caught:
            list(server.receive(data))
        assert caught.value.code is ErrorCode.MALFORMED

    assert server.goodbye(caught.value.code)


# ---------------------------------------------------------------- the server: relaying


@pytest.mark.proves("EP-3.3-4", "EP-3.3-5", "EP-3.11-4")
@given(
    events=st.lists(EVENTS, max_size=6),
    random=st.randoms(use_true_random=False),
)
def test_relaying_and_replying_make_the_same_bytes(events: list[Event], random: Random) -> None:
    stream = b"".join(encode(event.with_seq(n)) for n, event in enumerate(events, 1))
    chunks = cut_by(random)(stream)

    differential.check_room(chunks)


def test_nothing_is_relayed_before_the_login_nor_past_an_open_request() -> None:
    new, busy = ServerConnection(), member()
    next(new.receive(encode(HELLO.with_seq(1))))
    ping = next(busy.receive(encode(Ping(seq=2)) + encode(HELLO.with_seq(3))))

    assert new.relay(1, 10).facts == busy.relay(1, 10).facts == []
    busy.reply(ping, Pong())

    assert len(busy.relay(1, 10).facts) == 1


# ---------------------------------------------------------------- both ends


@pytest.mark.proves("EP-4.2-5", "EP-10.1-2", "EP-5.1-3")
@EACH_CHUNKING
def test_a_whole_session_between_both_ends(chunking: Chunking) -> None:
    client = ClientConnection(codec=CODEC)
    sent = [client.send(e) for e in (Login(user="ann"), HELLO, Moved(x=1, y=2), Ping(), Logout())]

    served = serve(chunking(client.data_to_send()), ServerConnection(codec=CODEC))
    heard = listen(client, [*chunking(served.output), END_OF_STREAM])

    assert served.events == sent
    assert [reply.request for reply in heard.events if isinstance(reply, Reply)] == sent
    assert heard.fault is None
    assert client.ended
    assert (client.user, client.position) == ("ann", 4)


@given(data=st.binary(max_size=200), random=st.randoms(use_true_random=False))
def test_any_bytes_end_a_connection_with_a_documented_error_or_not_at_all(
    data: bytes, random: Random
) -> None:
    chunks = [*cut_by(random)(data), END_OF_STREAM]

    heard = listen(asking(), chunks)
    served = serve(chunks, ServerConnection(codec=CODEC))

    assert heard.fault is not None
    assert heard.fault.kind in (ProtocolError, RemoteError, ConnectionLost)
    assert served.fault is None or issubclass(served.fault.kind, EventError)
