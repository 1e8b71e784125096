"""The frame: what is judged of it before its body, in which order, at which byte."""

from __future__ import annotations

import pytest

from eventcodec import ErrorCode, RemoteProtocolError
from eventcodec.framing import pack_header, validate_header, validate_length, word_of
from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE, MIN_LENGTH

PLACE = 1_000
WORD = 0x01_42_0000


@pytest.mark.proves("EP-2.1-1", "EP-2.2-1", "EP-2.2-3", "EP-2.3-1")
def test_a_header_says_length_version_type_reserved_and_seq() -> None:
    header = pack_header(0x42, 0x0102030405060708, 3)

    assert header == bytes.fromhex("0000000f 01 42 0000 0102030405060708")


@pytest.mark.proves("EP-11-1")
def test_length_version_and_type_are_the_first_six_bytes() -> None:
    header = pack_header(0x42, 1, 0)

    assert len(header) == HEADER_SIZE
    assert int.from_bytes(header[:LENGTH_SIZE], "big") == MIN_LENGTH == 12
    assert header[4:6] == bytes([1, 0x42])


@pytest.mark.proves("EP-2.1-2")
@pytest.mark.parametrize("length", range(MIN_LENGTH))
def test_a_length_below_the_header_is_malformed(length: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        validate_length(length, 100, PLACE)

    assert caught.value.code is ErrorCode.MALFORMED
    assert (caught.value.field, caught.value.offset, caught.value.seq) == ("length", PLACE, 0)


@pytest.mark.proves("EP-2.1-4")
@pytest.mark.parametrize("length", [101, 2**31, 2**32 - 1])
def test_a_length_above_the_limit_is_too_large(length: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        validate_length(length, 100, PLACE)

    assert caught.value.code is ErrorCode.FRAME_TOO_LARGE
    assert (caught.value.field, caught.value.offset) == ("length", PLACE)


@pytest.mark.parametrize("length", [MIN_LENGTH, 99, 100])
def test_a_length_up_to_the_limit_is_taken(length: int) -> None:
    validate_length(length, 100, PLACE)


@pytest.mark.parametrize(
    ("word", "seq", "code", "field", "at"),
    [
        (0x00_42_0000, 1, ErrorCode.UNSUPPORTED_VERSION, "version", 4),
        (0x02_42_0000, 1, ErrorCode.UNSUPPORTED_VERSION, "version", 4),
        (0xFF_42_0000, 1, ErrorCode.UNSUPPORTED_VERSION, "version", 4),
        (0x01_42_0001, 1, ErrorCode.MALFORMED, "reserved", 6),
        (0x01_42_8000, 1, ErrorCode.MALFORMED, "reserved", 6),
        (0x01_42_0000, 0, ErrorCode.MALFORMED, "seq", 8),
        (0x02_42_0001, 0, ErrorCode.UNSUPPORTED_VERSION, "version", 4),
        (0x01_42_0001, 0, ErrorCode.MALFORMED, "reserved", 6),
    ],
)
@pytest.mark.proves("EP-2.2-2", "EP-2.2-4", "EP-2.2-6", "EP-2.2-8", "EP-8.3-1", "EP-8.3-4")
def test_a_header_is_judged_by_version_then_reserved_then_seq(
    word: int, seq: int, code: ErrorCode, field: str, at: int
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        validate_header(word, seq, PLACE, unnumbered=None)

    assert caught.value.code is code
    assert (caught.value.field, caught.value.offset) == (field, PLACE + at)


@pytest.mark.parametrize(("seq", "unnumbered"), [(1, None), (2**64 - 1, None), (0, WORD)])
def test_a_good_header_passes_whatever_its_type(seq: int, unnumbered: int | None) -> None:
    validate_header(WORD, seq, PLACE, unnumbered=unnumbered)


@pytest.mark.parametrize("type", [0x00, 0x42, 0xFF])
def test_the_word_of_a_type_is_what_its_frames_have_behind_the_length(type: int) -> None:
    assert pack_header(type, 1, 0)[4:8] == word_of(type).to_bytes(4, "big")
