"""The client's end: requests and their numbers, replies, its place in the log, its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.cases import EACH_CASE_TO_CLIENT, Case, Way
from tests.eventcodec.conversations import Conversation, conversations
from tests.eventcodec.declared import CODEC, Moved
from tests.eventcodec.mutations import mutate
from tests.eventcodec.streams import (
    EACH_CARRIER,
    EACH_CHUNKING,
    END_OF_STREAM,
    Carrier,
    Chunking,
    Fault,
    asking,
    byte_by_byte,
    cut_by,
    error_of,
    listen,
    ready,
    settled,
    welcome,
    whole,
)

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    ConnectionLostError,
    Error,
    ErrorCode,
    Event,
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
    State,
    Unknown,
    Welcome,
    encode,
)
from eventcodec.limits import (
    HEADER_SIZE,
    LENGTH_SIZE,
    MAX_FRAME,
    MAX_FRAME_BEFORE_WELCOME,
    MAX_POSITION,
    MAX_UNSENT_PONGS,
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


def broken(client: ClientConnection, *said: Event) -> RemoteProtocolError:
    """What a client finds wrong in what a server says."""
    error = error_of(ready(client, b"".join(map(encode, said))))
    assert isinstance(error, RemoteProtocolError)
    return error


# ---------------------------------------------------------------- every event


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
        assert len(ready(client, encode(Pong(seq=seq)))) == 1
    client.send(Ping() if isinstance(event, Pong) else HELLO)
    client.data_to_send()
    return client


@EACH_CASE_TO_CLIENT
@EACH_CHUNKING
@EACH_CARRIER
@pytest.mark.proves("EP-2.1-5", "EP-3.6-3", "EP-3.7-3", "EP-3.8-4", "EP-3.12-4", "EP-7.1-5")
@pytest.mark.unmeasured
def test_a_client_takes_each_event_in_any_chunks(
    case: Case, chunking: Chunking, carrier: Carrier
) -> None:
    client = awaiting(case)
    outstanding = client.outstanding
    behind = encode(Unknown(type=0x42, seq=1))
    last = Way.LAST in case.ways

    outcome = listen(client, carrier(chunking(case.frame + behind)))

    event: object = case.event
    if Way.REPLY in case.ways:
        assert isinstance(case.event, Welcome | Ack | Pong | Error)
        event = Reply(outstanding[0], case.event)
    expected = [] if last or (Way.QUESTION in case.ways and Way.REPLY not in case.ways) else [event]
    assert outcome.events == [*expected, *([] if last else [Unknown(type=0x42, seq=1)])]
    if last:
        assert isinstance(case.event, Error)
        assert outcome.fault == Fault(PeerError, case.event.code)
    else:
        assert outcome.fault is None
    assert outcome.output == (encode(Pong(seq=4)) if Way.QUESTION in case.ways else b"")


# ---------------------------------------------------------------- sending


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

    with pytest.raises(LocalProtocolError) as caught:
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

    with pytest.raises(LocalProtocolError):
        client.send(dataclasses.replace(longest, content=longest.content + "m"))
    sent = client.send(longest)

    assert len(encode(sent)) - LENGTH_SIZE == most
    assert sent.seq == 2


# ---------------------------------------------------------------- its place


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
    kinds = {RemoteProtocolError, ConnectionLostError, PeerError}
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
        RemoteProtocolError,
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
        RemoteProtocolError,
        ErrorCode.UNEXPECTED_EVENT,
    )


@pytest.mark.proves("EP-5.2-6")
@pytest.mark.parametrize("position", [0, 4, 5, 7, 2**63])
def test_a_fact_that_is_not_the_next_is_the_servers_fault(position: int) -> None:
    client = settled(position=5)
    start = len(encode(welcome(seq=1)))

    if position == 0:
        error = error_of(ready(client, encode(FACT.with_seq(6)).replace(b"\x06", b"\x00", 1)))
        assert isinstance(error, RemoteProtocolError)
        assert (error.code, error.field) == (ErrorCode.MALFORMED, "seq")
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


@pytest.mark.proves("EP-5.1-2")
@pytest.mark.parametrize("position", [MAX_POSITION - 1, MAX_POSITION, MAX_POSITION + 1, 2**64 - 2])
@pytest.mark.parametrize("acknowledged", [False, True], ids=["fact", "Ack"])
def test_a_position_is_below_2_to_the_63(position: int, acknowledged: bool) -> None:
    client = ClientConnection()
    client.send(Login())
    client.send(HELLO)
    entry = Ack(seq=2, position=position) if acknowledged else FACT.with_seq(position)

    *good, last = ready(client, encode(welcome(seq=1, position=position - 1)) + encode(entry))

    if position <= MAX_POSITION:
        assert client.position == position
        assert not client.ended
    else:
        error = error_of([*good, last])
        assert isinstance(error, RemoteProtocolError)
        assert (error.code, error.field) == (
            ErrorCode.UNEXPECTED_EVENT,
            "position" if acknowledged or position > MAX_POSITION + 1 else "seq",
        )


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

    received = ready(client, b"".join(map(encode, asides)) + encode(FACT.with_seq(6)))

    assert len(received) == 4
    assert client.position == 6


@pytest.mark.proves("EP-4.2-14", "EP-3.6-3")
@pytest.mark.parametrize(
    "breach",
    [
        Ack(position=0, seq=2),
        Error(code=ErrorCode.TIMEOUT, seq=2),
        Message(content="hi", seq=2),
    ],
    ids=["an entry without a number", "a fatal code in a reply", "a fact of nobody's"],
)
def test_a_breach_after_which_nothing_is_unclear_does_not_end_the_connection(breach: Event) -> None:
    client = settled()
    client.send(HELLO)

    received = ready(client, encode(breach) + encode(Ping(seq=1)))

    assert len(received) == 1
    assert not client.ended


@pytest.mark.proves("EP-6.4-2", "EP-5.2-6", "EP-6.4-16")
@pytest.mark.parametrize(("position", "good"), [(7, True), (6, False), (8, False), (0, False)])
def test_a_resume_goes_on_where_it_asked_for(position: int, good: bool) -> None:
    client = ClientConnection()
    client.send(Login(ticket=9, position=7))

    if good:
        assert len(ready(client, encode(welcome(position=position, seq=1)))) == 1
        assert client.position == 7
    else:
        error = broken(client, welcome(position=position, seq=1))
        assert (error.code, error.field) == (ErrorCode.UNEXPECTED_EVENT, "position")
        assert client.welcome is None


@pytest.mark.proves("EP-3.8-5", "EP-3.8-6")
def test_a_welcome_with_wrong_numbers_is_obeyed_and_ends_nothing() -> None:
    client = ClientConnection()
    login = client.send(Login(ticket=7, position=1))
    odd = Welcome(user="", ticket=0, position=1, max_frame=20, heartbeat=0, seq=login.seq)

    assert ready(client, encode(odd)) == [Reply(login, odd)]

    assert client.ticket == 0
    client.send(Message(content="x" * 7))
    with pytest.raises(LocalProtocolError):
        client.send(Message(content="x" * 8))


@pytest.mark.proves("EP-9.1-8")
def test_a_client_may_ask_whether_the_server_is_there_before_it_knows_the_heartbeat() -> None:
    client = ClientConnection()
    first = client.send(Ping())
    client.send(Login(user="ann"))
    second = client.send(Ping())

    received = ready(client, encode(Pong(seq=first.seq)))
    assert received == [Reply(first, Pong(seq=first.seq))]
    ready(client, encode(welcome(seq=2)) + encode(Pong(seq=second.seq)))

    assert client.outstanding == ()


@pytest.mark.proves("EP-3.8-4")
def test_what_the_welcome_says_is_kept_also_after_the_end() -> None:
    client = ClientConnection()
    assert (client.user, client.ticket, client.position, client.welcome) == ("", 0, 0, None)
    client.send(Login(user="ann"))
    said = welcome(user="ann2", position=4, seq=1)

    ready(client, encode(said) + encode(FACT.with_seq(5)))
    assert isinstance(error_of(ready(client, END_OF_STREAM)), ConnectionLostError)

    assert client.welcome == said
    assert (client.user, client.ticket, client.position) == ("ann2", said.ticket, 5)


# ---------------------------------------------------------------- replies


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

    received = ready(refused, encode(reply))
    error = error_of(ready(ended, encode(reply.with_seq(0))))
    assert isinstance(error, PeerError)

    assert received == [Reply(request, reply)]
    assert not refused.ended
    assert refused.send(HELLO).seq == 3
    assert (error.code, error.text) == (code, text)
    assert isinstance(error.code, ErrorCode) is (code in [*ErrorCode])
    assert ended.ended


@pytest.mark.proves("EP-4.3-5")
def test_after_a_refused_login_another_may_be_sent() -> None:
    client = ClientConnection()
    client.send(Login(user="ann"))
    ready(client, encode(Error(code=ErrorCode.USER_TAKEN, seq=1)))

    again = client.send(Login(user="bob"))
    received = ready(client, encode(welcome(user="bob", seq=2)))

    assert [reply.request for reply in received if isinstance(reply, Reply)] == [again]
    assert client.user == "bob"
    assert client.state is State.MEMBER


# ---------------------------------------------------------------- limits


@pytest.mark.proves("EP-7.1-5", "EP-7.1-6")
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (ClientConnection, MAX_FRAME_BEFORE_WELCOME + SENDER_ALLOWANCE),
        (settled, MAX_FRAME + SENDER_ALLOWANCE),
        (lambda: settled(max_frame=4_096), 4_096 + SENDER_ALLOWANCE),
        (lambda: settled(max_frame=100), 4_096 + SENDER_ALLOWANCE),
        (lambda: settled(max_frame=2**32 - 1), 16 * 2**20 + SENDER_ALLOWANCE),
        (lambda: settled(ClientConnection(max_frame=5_000)), 5_000),
        (lambda: ClientConnection(max_frame=300), 300),
    ],
    ids=["before the Welcome", "default", "least", "less", "ceiling", "own cap", "own cap, before"],
)
def test_a_client_reads_what_the_server_may_send_and_no_more(
    make: Callable[[], ClientConnection], most: int
) -> None:
    client = make()
    fits = most.to_bytes(LENGTH_SIZE, "big")
    too_long = (most + 1).to_bytes(LENGTH_SIZE, "big")

    header = encode(Unknown(type=0x42, seq=1))[LENGTH_SIZE:]
    assert ready(client, fits + header) == []
    fits_too, *end = ready(client, bytes(most + LENGTH_SIZE - HEADER_SIZE) + too_long)
    error = error_of(end)

    assert isinstance(fits_too, Unknown)
    assert isinstance(error, RemoteProtocolError)
    assert error.code is ErrorCode.FRAME_TOO_LARGE


# ---------------------------------------------------------------- pings that nobody asked for


def test_a_server_that_pings_without_end_does_not_fill_the_memory() -> None:
    client = settled()
    many = encode(Ping(seq=1)) * (MAX_UNSENT_PONGS + 1)

    for _ in range(3):  # where they are sent there may be any number
        assert ready(client, many[HEADER_SIZE:]) == []
        assert client.data_to_send() == encode(Pong(seq=1)) * MAX_UNSENT_PONGS
    offset = len(encode(welcome(seq=1))) + 3 * len(many[HEADER_SIZE:])
    error = error_of(ready(client, many))

    assert isinstance(error, RemoteProtocolError)
    assert error.code is ErrorCode.UNEXPECTED_EVENT
    assert error.offset == offset + len(many) - HEADER_SIZE
    assert len(client.data_to_send()) == HEADER_SIZE * MAX_UNSENT_PONGS


# ---------------------------------------------------------------- the end


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

    outcome = listen(client, [*whole(rest), END_OF_STREAM, END_OF_STREAM])

    assert outcome.events == []
    assert outcome.fault == Fault(ConnectionLostError)
    assert client.ended
    assert client.outstanding == sent


@pytest.mark.proves("EP-10.3-1")
def test_an_end_before_the_welcome_is_a_loss() -> None:
    client = ClientConnection()
    client.send(Login())

    assert isinstance(error_of(ready(client, END_OF_STREAM)), ConnectionLostError)


@pytest.mark.proves("EP-4.2-12", "EP-8.3-5")
@pytest.mark.parametrize(
    "end",
    [encode(Error(code=24)), encode(FACT.with_seq(9)), bytes(4), encode(Login(seq=1))],
    ids=["last Error", "wrong position", "malformed", "wrong way"],
)
def test_after_the_end_nothing_counts(end: bytes) -> None:
    client = settled()
    fact, pong = FACT.with_seq(2), encode(Pong(seq=2))
    sent = client.send(Ping())

    outcome = listen(client, [encode(fact) + end + pong, pong, END_OF_STREAM])

    assert outcome.events == [fact]
    assert outcome.fault is not None
    assert client.ended
    assert client.next_event() is None
    assert client.position == 2
    assert client.outstanding == (sent,)


@pytest.mark.proves("EP-3.11-5")
def test_content_that_an_application_does_not_expect_ends_nothing() -> None:
    client = settled(ClientConnection(codec=CODEC))
    odd = ApplicationEvent(type=Moved.type, sender="bob", data=b"?", seq=2)
    foreign = ApplicationEvent(type=0xC0, sender="bob", data=b"?", seq=3)

    received = ready(client, encode(odd) + encode(foreign) + encode(FACT.with_seq(4)))

    assert received == [odd, foreign, FACT.with_seq(4)]
    assert client.position == 4
