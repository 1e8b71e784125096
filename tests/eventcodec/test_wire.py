"""The words that fields are made of: each takes exactly what has one encoding."""

from __future__ import annotations

from typing import Any

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.strategies import VALUES

from eventcodec import ApplicationEvent, LocalProtocolError, application_event, field, wire
from eventcodec.wire import Wire

ENCODINGS: list[tuple[Wire[Any], object, str]] = [
    (wire.U8, 0, "00"),
    (wire.U8, 255, "ff"),
    (wire.U16, 258, "0102"),
    (wire.U32, 0x01020304, "01020304"),
    (wire.U64, 0x0102030405060708, "0102030405060708"),
    (wire.U64, 2**64 - 1, "ffffffffffffffff"),
    (wire.I8, -1, "ff"),
    (wire.I16, -2, "fffe"),
    (wire.I32, -(2**31), "80000000"),
    (wire.I64, -(2**63), "8000000000000000"),
    (wire.Flag, False, "00"),
    (wire.Flag, True, "01"),
    (wire.ShortText, "", "00"),
    (wire.ShortText, "Änne", "05c3846e6e65"),
    (wire.ShortText, "a" * 255, "ff" + "61" * 255),
    (wire.Text, "", ""),
    (wire.Text, "\ufeff\0", "efbbbf00"),
    (wire.ShortBytes, b"", "00"),
    (wire.ShortBytes, b"\xff" * 255, "ff" * 256),
    (wire.Bytes16, b"", "0000"),
    (wire.Bytes16, b"\x01\x02", "00020102"),
    (wire.Rest, b"\xff\x00", "ff00"),
]

NO_VALUES: list[tuple[Wire[Any], object]] = [
    *((word, -1) for word in (wire.U8, wire.U16, wire.U32, wire.U64)),
    (wire.U8, 2**8),
    (wire.U16, 2**16),
    (wire.U32, 2**32),
    (wire.U64, 2**64),
    (wire.I8, 2**7),
    (wire.I8, -(2**7) - 1),
    (wire.I16, 2**15),
    (wire.I32, -(2**31) - 1),
    (wire.I64, 2**63),
    (wire.U8, True),
    (wire.U8, 1.0),
    (wire.I64, "1"),
    (wire.U16, None),
    (wire.Flag, 1),
    (wire.Flag, 0),
    (wire.Flag, None),
    (wire.ShortText, "a" * 256),
    (wire.ShortText, "ß" * 128),
    (wire.ShortText, b"ann"),
    (wire.ShortText, "\ud800"),
    (wire.Text, "half of a pair: \udfff"),
    (wire.Text, b""),
    (wire.ShortBytes, b"\x00" * 256),
    (wire.ShortBytes, "ann"),
    (wire.ShortBytes, bytearray(b"ann")),
    (wire.Bytes16, b"\x00" * 65_536),
    (wire.Rest, "ann"),
]

NO_ENCODINGS: list[tuple[Wire[Any], str]] = [
    (wire.U16, "01"),
    (wire.U64, "01020304050607"),
    (wire.I32, ""),
    *((wire.Flag, f"{byte:02x}") for byte in (2, 3, 0x7F, 0x80, 0xFF)),
    (wire.Flag, ""),
    (wire.ShortText, ""),
    (wire.ShortText, "0161"[:2]),
    (wire.ShortText, "ff" + "61" * 254),
    (wire.ShortText, "01ff"),
    (wire.Text, "c3"),
    (wire.ShortBytes, "0200"),
    (wire.Bytes16, "00"),
    (wire.Bytes16, "000201"),
]


def layout_of(word: Wire[Any]) -> str:
    return str(getattr(word, "layout", word))


@pytest.mark.proves("EP-2.3-1", "EP-2.3-2")
@pytest.mark.parametrize(("word", "value", "encoding"), ENCODINGS)
def test_a_word_has_one_encoding_for_a_value(word: Wire[Any], value: object, encoding: str) -> None:
    data = bytes.fromhex(encoding)

    assert word.build(value) == data
    assert word.parse(data) == value
    assert type(word.parse(data)) is type(value)


@pytest.mark.parametrize(("word", "value"), NO_VALUES)
def test_a_value_without_an_encoding_is_refused(word: Wire[Any], value: object) -> None:
    with pytest.raises(construct.ConstructError):
        word.build(value)


@pytest.mark.proves("EP-2.4-2", "EP-2.4-3")
@pytest.mark.parametrize(("word", "encoding"), NO_ENCODINGS)
def test_bytes_that_encode_nothing_are_refused(word: Wire[Any], encoding: str) -> None:
    with pytest.raises(construct.ConstructError):
        word.parse(bytes.fromhex(encoding))


@pytest.mark.parametrize(("word", "value"), NO_VALUES)
def test_an_event_with_such_a_value_is_never_born(word: Wire[Any], value: object) -> None:
    @application_event(0x90)
    class Holding(ApplicationEvent):
        held: object = field(word)

    with pytest.raises(LocalProtocolError) as caught:
        Holding(held=value)

    assert caught.value.field == "held"


@pytest.mark.proves("EP-2.3-2", "EP-2.4-1")
@pytest.mark.parametrize("word", [w for w in VALUES if hasattr(w, "layout")], ids=layout_of)
@given(data=st.data())
def test_every_value_comes_back_from_its_encoding(word: Wire[Any], data: st.DataObject) -> None:
    value = data.draw(VALUES[word])

    assert word.parse(word.build(value)) == value


@pytest.mark.proves("EP-2.3-2")
@pytest.mark.parametrize(
    ("word", "size"),
    [
        (wire.U8, 1),
        (wire.U16, 2),
        (wire.U32, 4),
        (wire.U64, 8),
        (wire.I8, 1),
        (wire.I16, 2),
        (wire.I32, 4),
        (wire.I64, 8),
    ],
)
@given(data=st.data())
def test_an_integer_takes_every_value_of_its_width(
    word: Wire[Any], size: int, data: st.DataObject
) -> None:
    encoding = data.draw(st.binary(min_size=size, max_size=size))

    assert word.build(word.parse(encoding)) == encoding


def test_every_word_says_how_it_stands_on_the_wire() -> None:
    layouts = {name: layout_of(getattr(wire, name)) for name in wire.__all__ if name != "Wire"}

    assert layouts["U64"] == "u64"
    assert layouts["I8"] == "i8"
    assert len(set(layouts.values())) == len(layouts)
