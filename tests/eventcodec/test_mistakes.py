"""What somebody writes who uses the package for the first time: each mistake says what is wrong.

Rule: a row for each mistake. None of them sends anything or changes a state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    Codec,
    ConnectionEnded,
    Decoder,
    Event,
    Fact,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    ServerConnection,
    application_event,
    decode,
    encode,
    field,
    wire,
)

NO_EVENTS: list[tuple[Any, str]] = [
    ("hello", "str is no event of the wire"),
    (b"hello", "bytes is no event of the wire"),
    (None, "NoneType is no event of the wire"),
    ([Login()], "list is no event of the wire"),
    (ConnectionEnded(), "ConnectionEnded is no event of the wire"),
    (Event(seq=1), "Event is no event of the wire"),
    (Fact(seq=1), "Fact is no event of the wire"),
    (Logout, "Logout is a class, no event; write Logout(…)"),
]
ids = [text.partition(" ")[0] for _, text in NO_EVENTS]


def raised(call: Callable[[], object]) -> str:
    """The text of the caller's error."""
    with pytest.raises(LocalProtocolError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(("thing", "text"), NO_EVENTS, ids=ids)
def test_what_is_no_event_is_not_encoded(thing: Any, text: str) -> None:
    assert raised(lambda: encode(thing)) == text


@pytest.mark.parametrize(("thing", "text"), NO_EVENTS, ids=ids)
def test_a_client_sends_nothing_that_is_no_event(thing: Any, text: str) -> None:
    client = ClientConnection()

    assert raised(lambda: client.send(thing)) == text

    assert client.data_to_send() == b""
    assert client.outstanding == ()


@pytest.mark.parametrize(("thing", "text"), NO_EVENTS, ids=ids)
def test_a_server_replies_with_nothing_that_is_no_event(thing: Any, text: str) -> None:
    server = ServerConnection()
    server.receive_data(encode(Ping(seq=7)))
    ping: Any = server.next_event()

    assert raised(lambda: server.reply(ping, thing)) == text

    assert server.data_to_send() == b""
    assert server.open_request is ping


def test_a_server_without_an_open_request_replies_to_nothing() -> None:
    nothing: Any = ServerConnection().next_event()

    assert raised(lambda: ServerConnection().reply(nothing, Pong())) == (
        "this request is not the open one"
    )


@pytest.mark.parametrize("thing", ["text", None, 20, [0, 1], Message(content="hi")])
def test_what_is_not_bytes_is_neither_decoded_nor_received(thing: Any) -> None:
    with pytest.raises(TypeError, match="a bytes-like object is required, not"):
        decode(thing)
    with pytest.raises(TypeError, match="a bytes-like object is required, not"):
        Decoder().receive_data(thing)


@pytest.mark.parametrize("limit", [None, "4096", 4096.0, 11, 2**32])
def test_a_limit_is_a_possible_length(limit: Any) -> None:
    for reader in (Decoder, ClientConnection):
        assert raised(partial(reader, max_frame=limit)) == (
            "max_frame: not an int in 12 … 4294967295"
        )


@pytest.mark.parametrize("codec", [None, Codec, [ApplicationEvent]])
def test_a_codec_is_a_codec(codec: Any) -> None:
    for reader in (Decoder, ClientConnection, ServerConnection):
        assert raised(partial(reader, codec=codec)) == (
            "codec: not a Codec, which has the events: Codec([…])"
        )


class Undeclared(ApplicationEvent):
    x: int = field(wire.U8)


@application_event(0x81)
class Declared(ApplicationEvent):
    x: int = field(wire.U8)


class Derived(Declared):
    y: int = field(wire.U8)


def test_an_application_event_that_lacks_its_decorator_is_none() -> None:
    """Its own fields would be lost on the wire without a word."""
    text = raised(lambda: Undeclared(type=0x80))

    assert text == "Undeclared lacks the decorator application_event"


@pytest.mark.parametrize("event", [5, "Moved", Event, Undeclared, Derived])
def test_a_codec_takes_declared_events(event: Any) -> None:
    text = raised(lambda: Codec([event]))

    assert text == f"events: {event!r} is no class with the decorator application_event"


def test_an_application_event_needs_its_number() -> None:
    bare: Any = application_event

    assert raised(lambda: bare(Undeclared)) == "type: not in 0x80 … 0xFF"
