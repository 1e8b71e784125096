"""The vectors, through everything in the package that reads or writes frames.

Rule: what must come out stands in the vectors; nothing here knows a layout or a code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

import pytest
from tests.eventcodec import oracle
from tests.eventcodec.streams import error_of, feed, ready
from tests.together import together

import eventcodec
from eventcodec import (
    Ack,
    ClientConnection,
    ConnectionEnded,
    ConnectionLostError,
    Decoder,
    Error,
    Event,
    InvalidRequest,
    Login,
    Message,
    Ping,
    Pong,
    RemoteProtocolError,
    ServerConnection,
    Welcome,
    decode,
    encode,
    vectors,
)
from eventcodec.vectors import Invalid, Prefixes, Valid

VECTORS = vectors.load()
LOGIN_JUDGED_BY_THE_SERVER = ("BAD_USER", "HISTORY_GONE")
IN_THE_PROTOCOL = [v for v in VECTORS.invalid if v.name not in LOGIN_JUDGED_BY_THE_SERVER]
IN_A_LOGIN = [v for v in VECTORS.invalid if v.name in LOGIN_JUDGED_BY_THE_SERVER]

Chunking = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """One byte at a time; of a long frame the middle in one piece, to save time."""
    front, middle, end = data[:600], data[600:-600], data[max(600, len(data) - 600) :]
    for byte in front:
        yield bytes([byte])
    if middle:
        yield middle
    for byte in end:
        yield bytes([byte])


def proof_of_each(of: Any) -> pytest.MarkDecorator:
    """One test for each vector, under its id, marked with the statements that the vector proves."""
    params = [pytest.param(v, id=v.id, marks=pytest.mark.proves(*v.proves)) for v in of]
    return pytest.mark.parametrize("vector", params)


CHUNKED = (whole, bytewise)


def in_json(event: Event, form: dict[str, Any]) -> dict[str, Any]:
    """The event in the JSON form, with the fields that `form` has."""

    def value(name: str) -> object:
        held = type(event).__name__ if name == "event" else getattr(event, name)
        if isinstance(held, bytes):
            return held.hex()
        return str(held) if isinstance(form[name], str) else held

    return {name: value(name) for name in form}


def from_json(form: dict[str, Any]) -> Event:
    """The event that a JSON form stands for."""
    convert: dict[str, Callable[[Any], object]] = {"int": int, "bytes": bytes.fromhex, "str": str}
    kind = getattr(eventcodec, form["event"])
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    event: Event = kind(
        **{
            name: convert[types.get(name, "int" if name == "type" else "bytes")](value)
            for name, value in form.items()
            if name != "event"
        }
    )
    return event


# --- Valid -----------------------------------------------------------------------


@proof_of_each(VECTORS.valid)
def test_a_frame_decodes_to_its_event(vector: Valid) -> None:
    event = decode(vector.frame)

    assert in_json(event, dict(vector.event)) == vector.event


@pytest.mark.proves("EP-2.2-1", "EP-2.2-3", "EP-2.3-7")
@together("vector", VECTORS.valid)
def test_an_event_encodes_to_its_frame(vector: Valid) -> None:
    event = from_json(dict(vector.event))

    assert encode(event) == vector.frame
    assert event == decode(vector.frame)


@pytest.mark.proves("EP-2.1-5")
@together("vector, chunks", product(VECTORS.valid, CHUNKED))
def test_a_stream_gives_the_event_when_its_last_byte_is_in(vector: Valid, chunks: Chunking) -> None:
    decoder = Decoder()

    *before, last = [ready(decoder, chunk) for chunk in chunks(vector.frame)]

    assert before == [[]] * len(before)
    assert last == [decode(vector.frame)]
    assert decoder.held == 0


def test_all_valid_frames_in_one_stream_give_all_events() -> None:
    stream = b"".join(vector.frame for vector in VECTORS.valid)

    events = ready(Decoder(), stream)

    assert events == [decode(vector.frame) for vector in VECTORS.valid]


# --- Prefixes --------------------------------------------------------------------


@pytest.mark.proves("EP-2.2-10")
@together("vector", VECTORS.prefixes)
def test_a_cut_frame_is_neither_an_event_nor_an_error(vector: Prefixes) -> None:
    decoder = Decoder()
    sizes = [size for cut in vector.cuts for size in cut if size]
    steps = zip([0, *sizes], sizes, strict=False)

    for start, end in steps:
        assert ready(decoder, vector.frame[start:end]) == []
        assert decoder.held == end

    assert ready(decoder, vector.frame[sizes[-1] :]) == [decode(vector.frame)]


@pytest.mark.proves("EP-2.1-6")
@together("vector", VECTORS.prefixes)
def test_a_frame_that_the_end_of_the_stream_cuts_has_no_effect(vector: Prefixes) -> None:
    for prefix in (vector.frame[:1], vector.frame[:-1]):
        decoder = Decoder()
        assert ready(decoder, prefix) == []

        assert isinstance(error_of(ready(decoder, b"")), ConnectionLostError)

        assert decoder.held == 0


# --- Invalid ---------------------------------------------------------------------


def server_in(state: str) -> ServerConnection:
    """A server's end in the state that the vectors' README describes."""
    server = ServerConnection()
    if state == "member":
        [request] = ready(server, encode(Login(seq=1, user="ann")))
        server.reply(request, WELCOME)
        server.data_to_send()
    return server


def client_in(state: str) -> ClientConnection:
    """A client's end in the state that the vectors' README describes."""
    client = ClientConnection()
    if state == "new":
        for seq in range(1, 7):
            client.send(Ping())
            assert len(ready(client, encode(Pong(seq=seq)))) == 1
        client.send(Login(user="ann"))
    else:
        client.send(Login(user="ann"))
        assert len(ready(client, encode(WELCOME.with_seq(1)))) == 1
        for seq in range(2, 7):
            client.send(Message(content="before"))
            assert len(ready(client, encode(Ack(seq=seq, position=seq)))) == 1
        client.send(Message(content="open"))
    client.data_to_send()
    return client


WELCOME = Welcome(user="ann", ticket=1, position=1, max_frame=65_536, heartbeat=0)
RECEIVERS: dict[tuple[str, str | None], Callable[[], Any]] = {
    ("server", "new"): lambda: server_in("new"),
    ("server", "member"): lambda: server_in("member"),
    ("client", "new"): lambda: client_in("new"),
    ("client", "member"): lambda: client_in("member"),
}


def receivers_of(vector: Invalid) -> list[Any]:
    """All that must find the fault: for a fault of the bytes every reader there is."""
    if vector.receiver == "codec":
        decoder = Decoder(max_frame=vector.limit)
        return [decoder, *(make() for make in RECEIVERS.values())]
    return [RECEIVERS[vector.receiver, vector.state]()]


def received(receiver: Any, chunks: Iterable[bytes]) -> list[Any]:
    """What comes out; requests that a server refuses are answered, the first good one ends it."""
    got = []
    for chunk in chunks:
        feed(receiver, chunk)
        for event in receiver.events():
            got.append(event)
            if isinstance(event, InvalidRequest):
                receiver.reply(event, event.error)
            elif isinstance(receiver, ServerConnection):
                return got
    return got


def found(receiver: Any, chunks: Iterable[bytes]) -> int:
    """The code of the one fault that a receiver finds, and nothing before it."""
    [found] = received(receiver, chunks)
    if isinstance(found, ConnectionEnded):
        assert isinstance(found.error, RemoteProtocolError)
        return found.error.code
    assert isinstance(found, InvalidRequest)
    return found.error.code


@proof_of_each(IN_THE_PROTOCOL)
@together("chunks", CHUNKED)
@pytest.mark.unmeasured
def test_every_receiver_finds_the_error(vector: Invalid, chunks: Chunking) -> None:
    for receiver in receivers_of(vector):
        assert found(receiver, chunks(vector.data)) == vector.code


@together("vector", IN_THE_PROTOCOL)
def test_the_error_is_found_when_its_last_byte_is_in_and_not_before(vector: Invalid) -> None:
    for receiver in receivers_of(vector):
        before, last = vector.data[: vector.known_after - 1], vector.data[vector.known_after - 1]

        assert ready(receiver, before) == []
        assert found(receiver, [bytes([last])]) == vector.code


@pytest.mark.proves("EP-8.2-1", "EP-8.2-6", "EP-8.3-5")
@together("vector", [v for v in IN_THE_PROTOCOL if v.receiver in ("codec", "server") and v.fatal])
def test_a_fatal_error_is_the_last_that_a_server_says(vector: Invalid) -> None:
    server = server_in(vector.state or "member")
    error = error_of(received(server, [vector.data]))
    assert isinstance(error, RemoteProtocolError)

    server.goodbye(error.code)

    verdict = oracle.judge(server.data_to_send())

    assert vector.reply_seq == 0
    assert verdict[0] == "event" and verdict[1]["event"] == "Error"
    assert (verdict[1]["seq"], verdict[1]["code"]) == ("0", vector.code)
    assert ready(server, encode(Ping(seq=8))) == []


@pytest.mark.proves("EP-4.2-2", "EP-4.2-9", "EP-8.2-2")
@together("vector", [v for v in IN_THE_PROTOCOL if v.receiver == "server" and not v.fatal])
def test_another_error_is_a_reply_and_the_server_goes_on(vector: Invalid) -> None:
    assert vector.state is not None
    server = server_in(vector.state)
    [refused] = ready(server, vector.data + encode(Ping(seq=8)))
    assert isinstance(refused, InvalidRequest)

    server.reply(refused, refused.error)
    reply = decode(server.data_to_send())

    assert isinstance(reply, Error)
    assert (reply.seq, reply.code) == (vector.reply_seq, vector.code)
    assert server.next_event() == Ping(seq=8)
    assert server.state.value == vector.state


@pytest.mark.proves("EP-4.2-12")
@together("vector", [v for v in IN_THE_PROTOCOL if v.receiver == "client"])
def test_a_client_ends_the_connection_and_says_nothing(vector: Invalid) -> None:
    assert vector.state is not None
    client = client_in(vector.state)

    assert isinstance(error_of(received(client, [vector.data])), RemoteProtocolError)

    assert (vector.fatal, vector.reply_seq) == (True, None)
    assert client.ended
    assert client.data_to_send() == b""


@pytest.mark.proves("EP-6.2-5")
@together("vector", IN_A_LOGIN)
def test_what_a_login_asks_for_is_not_judged_by_the_codec(vector: Invalid) -> None:
    [login] = received(server_in("new"), [vector.data])

    assert isinstance(login, Login)
    assert encode(login) == vector.data


# --- Mended ----------------------------------------------------------------------


def taken(receiver: Any, data: bytes) -> bool:
    """Whether a receiver takes `data` without fault: it says something, or answers by itself."""
    got = received(receiver, [data])
    answered = isinstance(receiver, ClientConnection) and bool(receiver.data_to_send())
    return (len(got) == 1 or answered) and not any(isinstance(each, InvalidRequest) for each in got)


@together("vector", [v for v in VECTORS.invalid if v.repair is not None])
def test_the_repair_mends_all_that_is_wrong(vector: Invalid) -> None:
    assert vector.repair is not None
    data = vector.data if vector.repair.data is None else vector.repair.data
    place = (vector.repair.receiver or vector.receiver, vector.repair.state or vector.state)

    if place[0] == "codec":
        assert encode(decode(data)) == data
    else:
        assert taken(RECEIVERS[place](), data)


@together("vector", [v for v in VECTORS.invalid if v.hidden is not None])
def test_the_hidden_fault_shows_once_the_first_is_mended(vector: Invalid) -> None:
    assert vector.hidden is not None
    change = vector.hidden.change
    data = vector.data if change.data is None else change.data
    state = change.state or vector.state
    judged_elsewhere = vector.hidden.name in LOGIN_JUDGED_BY_THE_SERVER

    for receiver in receivers_of(dataclasses.replace(vector, state=state)):
        if judged_elsewhere:
            assert taken(receiver, data)
        else:
            assert found(receiver, [data]) == vector.hidden.code
