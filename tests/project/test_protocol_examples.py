"""The hex examples of docs/protocol.md are true: bytes, comments and both directions.

Rule: every block marked `hex` or `session` is read here; none is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    Error,
    ErrorCode,
    Event,
    Fact,
    LeftReason,
    Message,
    Ping,
    Pong,
    Reply,
    ServerConnection,
    Unknown,
    decode,
    encode,
)
from eventcodec.tables import STANDARD_EVENTS

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def bytes_of(lines: str) -> bytes:
    return bytes.fromhex("".join(line.partition(";")[0] for line in lines.splitlines()))


FRAMES = blocks("hex")
SESSIONS = blocks("session")
EVENTS = [decode(bytes_of(block)) for block in FRAMES]


# ---------------------------------------------------------------- single frames


def said(name: str, value: object) -> str:
    """How a comment says a field's value."""
    if isinstance(value, bytes):
        return f"{name} {len(value)} bytes" + (f', "{value.decode()}"' if value else "")
    if isinstance(value, str):
        return f'{name} "{value}"' if value else f"{name} empty"
    assert isinstance(value, int)
    if name == "ticket" and value:
        return f"ticket 0x{value:016X}"
    if name == "code":
        return f"code {value} {ErrorCode(value).name}"
    return (
        f"reason {value} {LeftReason(value).name.lower()}"
        if name == "reason"
        else f"{name} {value}"
    )


def is_fact(event: Event) -> bool:
    """A fact, and not the request that it came from."""
    if isinstance(event, Message | ApplicationEvent):
        return event.sender != ""
    return isinstance(event, Fact)


def comments(event: Event) -> list[str]:
    """What the comments beside an event's bytes say, field by field."""
    generic = isinstance(event, ApplicationEvent | Unknown)
    position = ", its position" if is_fact(event) else ""
    head = [
        f"length {len(encode(event)) - 4}",
        "version 1",
        f"type 0x{event.type:02X}" if generic else f"type {type(event).__name__}",
        "reserved",
        f"seq {event.seq}{position}",
    ]
    return head + [
        part.name if part.name in ("data", "body") else said(part.name, getattr(event, part.name))
        for part in event.parts
    ]


@pytest.mark.parametrize("block", FRAMES, ids=lambda block: str(FRAMES.index(block)))
def test_each_frame_encodes_to_the_bytes_that_are_printed(block: str) -> None:
    frame = bytes_of(block)

    assert encode(decode(frame)) == frame


@pytest.mark.parametrize("block", FRAMES, ids=lambda block: str(FRAMES.index(block)))
def test_each_comment_says_what_its_bytes_say(block: str) -> None:
    printed = [line.partition("; ")[2] for line in block.splitlines() if ";" in line]

    assert printed == comments(decode(bytes_of(block)))


def test_there_is_an_example_of_every_event_in_every_form() -> None:
    assert {type(event) for event in EVENTS} == {*STANDARD_EVENTS, ApplicationEvent, Unknown}
    for relayed in (Message, ApplicationEvent):
        forms = {is_fact(event) for event in EVENTS if isinstance(event, relayed)}
        assert forms == {False, True}, relayed
    assert {event.seq == 0 for event in EVENTS if isinstance(event, Error)} == {False, True}


# ---------------------------------------------------------------- sessions


def steps(session: str) -> Iterator[tuple[str, bytes]]:
    """The frames of a session in their order, each with its direction."""
    for step in re.split(r"^;.*\n", session, flags=re.MULTILINE)[1:]:
        lines = step.splitlines()
        (direction,) = {line[0] for line in lines}
        yield direction, bytes.fromhex("".join(line[1:] for line in lines))


def test_there_are_three_sessions() -> None:
    assert len(SESSIONS) == 3


def play(client: ClientConnection, session: str) -> None:
    """Let the client send and take a session, and compare each step with what is printed."""
    for direction, frame in steps(session):
        event = decode(frame)
        if direction == ">":
            if not isinstance(event, Pong):  # the client answers a Ping by itself
                client.send(event.with_seq(0))
            assert client.data_to_send() == frame
        else:
            client.receive_data(frame)
            received = [e.event if isinstance(e, Reply) else e for e in client.events()]
            if client.ended:
                assert received.pop() == ConnectionEnded()
            assert received == ([] if isinstance(event, Ping) else [event])


@pytest.mark.parametrize(
    ("session", "position"),
    list(zip(SESSIONS, (7, 7, 2), strict=True)),
    ids=["fresh", "resumed", "refused"],
)
def test_a_client_sends_and_takes_the_session_as_printed(session: str, position: int) -> None:
    client = ClientConnection()

    play(client, session)

    assert client.position == position
    assert client.outstanding == ()
    assert client.ended == (session == SESSIONS[0])


@pytest.mark.parametrize("session", SESSIONS, ids=["fresh", "resumed", "refused"])
def test_a_server_answers_the_session_as_printed(session: str) -> None:
    server = ServerConnection()
    sent = b"".join(frame for direction, frame in steps(session) if direction == ">")
    received = [frame for direction, frame in steps(session) if direction == "<"]
    replies = [frame for frame in received if not isinstance(decode(frame), Ping | Fact)]

    server.receive_data(sent)
    for request, reply in zip(server.events(), replies, strict=False):
        assert not isinstance(request, ConnectionEnded)
        server.reply(request, decode(reply))

    assert server.data_to_send() == b"".join(replies)
