"""Bytes are named, also where they are no frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcodec import Error, Left, Login, Message, Welcome, encode
from eventcodec.dissect import dissect
from refserver.conformance.annotate import annotate, summary


@given(st.binary(max_size=200))
def test_the_pieces_of_any_bytes_are_the_bytes(data: bytes) -> None:
    pieces = annotate(data)

    assert b"".join(piece.data for piece in pieces) == data
    assert [piece.offset for piece in pieces] == [
        sum(len(before.data) for before in pieces[:n]) for n in range(len(pieces))
    ]


@given(st.binary(min_size=1, max_size=60))
def test_one_line_is_one_line_of_ascii(body: bytes) -> None:
    frame = (12 + len(body)).to_bytes(4, "big") + b"\1\2\0\0" + bytes(8) + body

    assert summary(frame).isascii()
    assert summary(frame).isprintable()


def test_every_field_has_its_name() -> None:
    frame = encode(Left(user="bob", reason=1, seq=9))

    assert [(piece.name, piece.said) for piece in annotate(frame)] == [
        ("length", "17"),
        ("version", "1"),
        ("type", "Left"),
        ("reserved", "0"),
        ("seq", "9"),
        ("user", "'bob'"),
        ("reason", "1"),
    ]


def test_stray_bytes_are_told_from_fields() -> None:
    frame = bytes.fromhex("00000012 01050000 0000000000000001 0004 00 ffffff")

    assert [piece.kind for piece in annotate(frame)][-3:] == ["body", "body", "stray"]


@pytest.mark.parametrize(
    "event",
    [
        Login(user="ann", credential=b"sesame", ticket=7777),
        Welcome(user="ann", ticket=7777, position=1, max_frame=4096, heartbeat=0),
    ],
)
def test_credentials_and_tickets_are_not_said(event: Login | Welcome) -> None:
    said = " ".join(piece.said for piece in annotate(encode(event.with_seq(1))))

    assert "hidden" in said
    assert "7777" not in said and "sesame" not in said


def test_the_header_has_the_fields_that_dissect_shows() -> None:
    frame = encode(Message(content="hi", seq=2))

    (dissected,) = dissect(frame).frames

    assert [(piece.name, piece.offset, piece.data) for piece in annotate(frame)] == [
        (row.name, row.offset, row.data) for row in dissected.rows if row.size
    ]


def test_several_frames_follow_each_other() -> None:
    two = encode(Error(code=4, seq=1)) + encode(Message(content="hi", seq=2))

    assert [piece.said for piece in annotate(two) if piece.name == "type"] == ["Error", "Message"]
