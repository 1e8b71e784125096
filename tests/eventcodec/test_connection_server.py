"""The server's end: requests one at a time, replies, limits, its last frame, relaying."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec import differential
from tests.eventcodec.cases import EACH_CASE_TO_SERVER, Case, Way
from tests.eventcodec.declared import CODEC
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
    error_of,
    feed,
    member,
    ready,
    serve,
    whole,
)

from eventcodec import (
    Ack,
    ConnectionEnded,
    ConnectionLostError,
    Error,
    ErrorCode,
    Event,
    InvalidRequest,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    RemoteProtocolError,
    ServerConnection,
    State,
    Welcome,
    decode,
    encode,
)
from eventcodec.limits import (
    HEADER_SIZE,
    LENGTH_SIZE,
    MAX_FRAME_BEFORE_WELCOME,
)

HELLO = Message(content="hello")
LAST = [*(code for code in ErrorCode if code.fatal), ErrorCode.USER_TAKEN]


# ---------------------------------------------------------------- every event


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
        expected = [InvalidRequest(case.event.seq, Error(code=code, text=code.meaning))]
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
    assert outcomes[0].fault is None or outcomes[0].fault.kind in (
        RemoteProtocolError,
        ConnectionLostError,
    )


# ---------------------------------------------------------------- requests, replies


@pytest.mark.proves("EP-4.2-5", "EP-4.2-6", "EP-4.2-7", "EP-2.2-7", "EP-4.2-2")
def test_each_request_is_judged_in_the_state_that_the_reply_before_it_left() -> None:
    requests = [HELLO, Login(), Login(), HELLO, Ping(), Logout(), HELLO]
    stream = b"".join(encode(event.with_seq(seq)) for seq, event in enumerate(requests, 1))

    outcome = serve([stream])

    found = [e.error.code if isinstance(e, InvalidRequest) else type(e) for e in outcome.events]
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
    server.data_to_send()
    feed(server, encode(Ping(seq=1)) + encode(Ping(seq=2)))
    [first] = server.events()

    assert server.open_request is first
    assert server.next_event() is None
    assert server.held == len(encode(Ping(seq=2)))
    assert server.offset == len(encode(Login(seq=1))) + len(encode(Ping(seq=1)))

    server.reply(first, Pong())
    assert server.data_to_send() == encode(Pong(seq=1))
    assert server.open_request is None
    assert server.next_event() == Ping(seq=2)


@pytest.mark.proves("EP-4.2-13")
@pytest.mark.parametrize("end", [bytes(4), END_OF_STREAM], ids=["a fault", "the end of the stream"])
def test_the_end_waits_for_the_reply_to_the_request_before_it(end: bytes) -> None:
    server = member()
    [ping] = ready(server, encode(Ping(seq=1)))
    assert ready(server, end) == []

    server.reply(ping, Pong())

    error_of(server.events())
    assert server.ended


@pytest.mark.proves("EP-4.2-1")
def test_a_request_is_answered_once_and_only_while_it_is_open() -> None:
    server = member()
    [first] = ready(server, encode(Ping(seq=1)))
    server.reply(first, Pong())

    for request in (first, Ping(seq=1)):
        with pytest.raises(LocalProtocolError):
            server.reply(request, Pong())


@pytest.mark.proves("EP-8.2-1")
@pytest.mark.parametrize("code", ErrorCode)
def test_a_fatal_error_is_no_reply(code: ErrorCode) -> None:
    server = ServerConnection()
    [request] = ready(server, encode(Login(seq=1)))

    if code.fatal:
        with pytest.raises(LocalProtocolError) as caught:
            server.reply(request, Error(code=code))
        assert caught.value.field == "code"
    else:
        server.reply(request, Error(code=code))
        assert server.data_to_send() == encode(Error(code=code, seq=1))
    assert server.state is State.NEW


@pytest.mark.proves("EP-5.1-2")
def test_a_server_gives_no_position_from_2_to_the_63_on() -> None:
    server = member()
    [request] = ready(server, encode(HELLO.with_seq(2)))

    with pytest.raises(LocalProtocolError) as caught:
        server.reply(request, Ack(position=2**63))
    server.reply(request, Ack(position=2**63 - 1))

    assert caught.value.field == "position"


@pytest.mark.proves("EP-2.2-6")
@pytest.mark.parametrize("make", [ServerConnection, member], ids=["new", "member"])
@pytest.mark.parametrize("type", [0x01, 0x02, 0x05, 0x06, 0x07, 0x42, 0x80])
def test_a_server_refuses_seq_0_whatever_the_type_when_the_header_is_in(
    make: Callable[[], ServerConnection], type: int
) -> None:
    header = bytes.fromhex(f"00000100 01 {type:02x} 0000 0000000000000000")
    server = make()
    start = server.offset

    assert ready(server, header[:-1]) == []
    error = error_of(ready(server, header[-1:]))
    assert isinstance(error, RemoteProtocolError)

    assert (error.code, error.field) == (ErrorCode.MALFORMED, "seq")
    assert error.offset == start + 8


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


def test_the_limit_for_frames_can_be_read_and_set() -> None:
    server = ServerConnection()
    host = Host(server, max_frame=70_000)
    before = server.max_frame
    host.receive(encode(Login(seq=1)))
    announced = server.max_frame

    server.max_frame = 12
    host.receive(encode(Ping(seq=2)) + (13).to_bytes(LENGTH_SIZE, "big"))

    assert (before, announced) == (MAX_FRAME_BEFORE_WELCOME, 70_000)
    assert [type(event) for event in host.outcome.events] == [Login, Ping]
    assert host.outcome.fault is not None
    assert host.outcome.fault.code is ErrorCode.FRAME_TOO_LARGE


@pytest.mark.parametrize("limit", [11, -1, 2**32])
def test_a_limit_in_which_no_frame_fits_is_not_set(limit: int) -> None:
    server = ServerConnection()

    with pytest.raises(LocalProtocolError):
        server.max_frame = limit

    assert server.max_frame == MAX_FRAME_BEFORE_WELCOME


@pytest.mark.proves("EP-4.1-3")
def test_a_server_says_nothing_of_its_own() -> None:
    outcome = serve([encode(Pong(seq=1)), encode(Ping(seq=1))[:-1]])

    assert outcome.output == b""


# ---------------------------------------------------------------- the end


@pytest.mark.proves("EP-4.3-6", "EP-10.1-1", "EP-8.2-3")
@pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "Logout"])
def test_after_its_last_frame_a_server_drops_what_comes(goodbye: bool) -> None:
    server = member()
    behind = encode(Ping(seq=3))

    server.data_to_send()
    [request] = ready(server, encode(Logout(seq=2)) + behind)
    if goodbye:
        server.goodbye(ErrorCode.TIMEOUT)
    else:
        server.reply(request, Ack())

    assert decode(server.data_to_send()) == (
        Error(code=ErrorCode.TIMEOUT, text=ErrorCode.TIMEOUT.meaning) if goodbye else Ack(seq=2)
    )
    assert ready(server, behind) == [ConnectionEnded()]
    assert ready(server, END_OF_STREAM) == []
    assert (server.held, server.state) == (0, State.ENDED)
    with pytest.raises(LocalProtocolError):
        server.goodbye(ErrorCode.INTERNAL)
    with pytest.raises(LocalProtocolError):
        server.reply(request, Ack())


@pytest.mark.proves("EP-8.2-1", "EP-8.2-6", "EP-2.2-1", "EP-11-3")
@pytest.mark.parametrize("code", LAST)
def test_a_goodbye_is_an_error_with_seq_0_in_version_1(code: ErrorCode) -> None:
    plain, said = ServerConnection(), ServerConnection()

    plain.goodbye(code)
    said.goodbye(code, "see you")
    frame, with_text = plain.data_to_send(), said.data_to_send()

    assert decode(frame) == Error(code=code, text=code.meaning)
    assert decode(with_text) == Error(code=code, text="see you")
    assert (frame[LENGTH_SIZE], frame[8:HEADER_SIZE]) == (1, bytes(8))


@pytest.mark.proves("EP-8.1-1", "EP-8.2-2")
@pytest.mark.parametrize("code", [*(code for code in ErrorCode if code not in LAST), 999])
def test_a_goodbye_with_a_code_that_ends_nothing_is_refused(code: ErrorCode) -> None:
    server = ServerConnection()

    with pytest.raises(LocalProtocolError) as caught:
        server.goodbye(code)

    assert caught.value.field == "code"
    assert server.state is State.NEW


@pytest.mark.proves("EP-10.3-3", "EP-2.1-6")
@pytest.mark.parametrize("rest", [b"", encode(HELLO.with_seq(4))[:-1]])
@EACH_CHUNKING
def test_the_whole_frames_before_the_end_of_the_stream_are_answered(
    rest: bytes, chunking: Chunking
) -> None:
    stream = b"".join(map(encode, (Login(seq=1), HELLO.with_seq(2), Ping(seq=3)))) + rest

    outcome = serve([*chunking(stream), END_OF_STREAM])

    assert [reply.seq for reply in read_replies(outcome.output)] == [1, 2, 3]
    assert outcome.fault == Fault(ConnectionLostError)


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


def test_a_fault_is_told_once_and_its_code_is_what_to_say_goodbye_with() -> None:
    server = member()
    server.data_to_send()

    error = error_of(ready(server, bytes(4)))
    assert ready(server, encode(Ping(seq=2))) == ready(server, END_OF_STREAM) == []

    assert isinstance(error, RemoteProtocolError)
    server.goodbye(error.code)
    assert decode(server.data_to_send()) == Error(
        code=ErrorCode.MALFORMED, text=ErrorCode.MALFORMED.meaning
    )


# ---------------------------------------------------------------- relaying


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
    ready(new, encode(HELLO.with_seq(1)))
    [ping] = ready(busy, encode(Ping(seq=2)) + encode(HELLO.with_seq(3)))

    assert new.relay(1, 10) == busy.relay(1, 10) == []
    busy.reply(ping, Pong())

    assert len(busy.relay(1, 10)) == 1
