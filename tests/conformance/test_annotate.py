"""Bytes are named, also where they are no frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcodec import Error, Left, Login, Message, Welcome, encode
from eventcodec.dissect import dissect
from refserver.conformance.annotate import NOTHING, Begun, annotate, summaries, summary


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

    assert summary(frame).replace("…", "").isascii()
    assert summary(frame).isprintable()


def test_a_text_that_is_not_said_whole_says_so() -> None:
    said = [annotate(encode(Error(code=1, text="x" * n, seq=0)))[-1].said for n in (60, 61)]

    assert said == [repr("x" * 60), repr("x" * 60) + "…"]


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


def pieces_of(*cuts: bytes) -> Iterator[tuple[bytes, Begun]]:
    begun = NOTHING
    for data in cuts:
        yield data, begun
        begun = begun.after(data)


def test_a_frame_in_two_pieces_is_one_frame() -> None:
    frame = encode(Message(sender="ann", content="hello", seq=9))

    first, second = pieces_of(frame[:23], frame[23:])

    assert [(piece.name, piece.said) for piece in annotate(*first)][-2:] == [
        ("sender", "'ann'"),
        ("content", "'hel'"),
    ]
    assert [(p.offset, p.name, p.said, p.data) for p in annotate(*second)] == [
        (0, "content", "(continued) 'lo'", b"lo")
    ]
    assert summary(*second) == "2 more bytes of Message seq 9"


def test_a_header_in_two_pieces_has_its_fields() -> None:
    frame = encode(Message(content="hello", seq=9))

    first, second = pieces_of(frame[:11], frame[11:])

    assert [piece.said for piece in annotate(*first)] == ["18", "1", "Message", "0", "0 (cut)"]
    assert [(piece.name, piece.said) for piece in annotate(*second)] == [
        ("seq", "(continued) 9"),
        ("sender", "''"),
        ("content", "'hello'"),
    ]
    assert summary(*first) == "11 bytes of a header"
    assert summary(*second) == "11 more bytes of Message seq 9"


def test_what_follows_in_a_long_frame_is_no_frame_of_its_own() -> None:
    frame = encode(Message(content="x" * 2_000, seq=9))
    *_, last = pieces_of(frame[:1_000], frame[1_000:1_500], frame[1_500:])

    (piece,) = annotate(*last)

    assert (piece.name, piece.said) == ("body", "(continued) 517 bytes")
    assert summary(*last) == "517 more bytes of Message seq 9"


def test_a_credential_in_two_pieces_is_hidden_in_both() -> None:
    frame = encode(Login(user="ann", credential=b"sesame", ticket=7777, seq=1))

    said = [piece.said for piece in annotate(*list(pieces_of(frame[:25], frame[25:]))[1])]

    assert said == ["(continued) hidden", "hidden", "0"]


@given(st.lists(st.binary(max_size=60)), st.booleans())
def test_the_pieces_of_any_stream_are_the_stream(cuts: list[bytes], is_framed: bool) -> None:
    if is_framed:
        stream = b"".join(encode(Message(content=cut.hex(), seq=1)) for cut in cuts)
        sizes = [len(cut) for cut in cuts]
        cuts = [stream[sum(sizes[:n]) :][:size] for n, size in enumerate(sizes)]

    for data, begun in pieces_of(*cuts):
        pieces = annotate(data, begun)
        assert b"".join(piece.data for piece in pieces) == data
        assert all(piece.offset >= 0 for piece in pieces)
        summaries(data, begun)


@given(st.lists(st.integers(1, 60)))
def test_where_a_stream_stands_does_not_depend_on_its_cuts(sizes: list[int]) -> None:
    stream = encode(Message(content="x" * 700, seq=1)) * 3
    begun, at = NOTHING, 0
    for size in sizes:
        begun, at = begun.after(stream[at : at + size]), min(at + size, len(stream))

    assert begun == NOTHING.after(stream[:at])
