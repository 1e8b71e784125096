"""The annotated dump: what it shows, what it hides, and what it guesses.

Rule: what is a fault is not decided twice; every fault here is compared with the
decoder's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.streams import END_OF_STREAM, error_of, ready
from tests.together import together

from eventcodec import (
    Ack,
    ApplicationEvent,
    Codec,
    ConnectionLostError,
    Decoder,
    Error,
    ErrorCode,
    Event,
    Left,
    Login,
    Message,
    Ping,
    RemoteProtocolError,
    Unknown,
    Welcome,
    application_event,
    decode,
    encode,
    field,
    hints,
    vectors,
    wire,
)
from eventcodec.codec import Buffer
from eventcodec.dissect import Dissection, FrameError, dissect

VECTORS = vectors.load()
HELLO = encode(Message(content="hello", seq=7))
LOGIN = encode(Login(user="ann", credential=b"s3cret-key", ticket=0x1122334455667788, seq=1))
WELCOME = encode(
    Welcome(user="a", ticket=0x1122334455667788, position=0, max_frame=1, heartbeat=0, seq=1)
)
SECRETS = (b"s3cret-key", bytes.fromhex("1122334455667788"))


@application_event(0x80)
class Moved(ApplicationEvent):
    """An application's own event."""

    x: int = field(wire.I32)
    fast: bool = field(wire.Flag)


@application_event(0x81)
class Paid(ApplicationEvent):
    """One with a secret in it."""

    amount: int = field(wire.U16)
    card: bytes = field(wire.ShortBytes, repr=False)


CODEC = Codec([Moved, Paid])


def fault_of_decoder(data: bytes, codec: Codec, limit: int) -> tuple[object, ...] | None:
    """What a decoder says of the same bytes; at their end without a word."""
    decoder = Decoder(codec=codec, max_frame=limit)
    [end] = [*ready(decoder, data), *ready(decoder, END_OF_STREAM)][-1:]
    match end.error:
        case RemoteProtocolError() as error:
            return error.code, error.offset, error.field, error.reason
        case ConnectionLostError():
            return None, len(data), None
    return None


def seen(dissection: Dissection) -> tuple[object, ...] | None:
    fault = dissection.error
    if fault is None:
        return None
    place = (fault.code, fault.offset, fault.field)
    return place if fault.code is None else (*place, fault.reason)


def bytes_covered(dissection: Dissection) -> int:
    """How far the rows reach; they must do so without a gap."""
    at = 0
    for frame in dissection.frames:
        assert frame.offset == at
        for row in frame.rows:
            assert row.offset == at
            assert row.data is None or len(row.data) == row.size
            at += row.size
        assert frame.offset + frame.size == at
    return at


def mutants(count: int) -> Iterator[bytes]:
    """Streams of frames with something changed, from a fixed seed."""
    rng = random.Random(2)
    frames = [vector.frame for vector in VECTORS.valid if len(vector.frame) < 400]
    for _ in range(count):
        stream = bytearray(b"".join(rng.choices(frames, k=rng.randint(1, 3))))
        for _ in range(rng.randint(0, 3)):
            at = rng.randrange(len(stream))
            stream[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        yield bytes(stream)


# --- What it shows ---------------------------------------------------------------


def test_every_field_has_a_row_with_its_place_its_bytes_and_its_value() -> None:
    [frame] = dissect(HELLO).frames

    assert (frame.offset, frame.size, frame.name) == (0, len(HELLO), "Message")
    assert [(row.offset, row.data, row.name, row.value) for row in frame.rows] == [
        (0, b"\0\0\0\x12", "length", "18"),
        (4, b"\1", "version", "1"),
        (5, b"\2", "type", "2"),
        (6, b"\0\0", "reserved", "0"),
        (8, b"\0\0\0\0\0\0\0\7", "seq", "7"),
        (16, b"\0", "sender", "''"),
        (17, b"hello", "content", "'hello'"),
    ]


def meaning(event: Event, name: str, codec: Codec = CODEC) -> str:
    rows = dissect(encode(event.with_seq(7)), codec=codec).frames[0].rows
    return next(row.meaning for row in rows if row.name == name)


def test_numbers_with_names_are_named() -> None:
    assert meaning(Ping(), "type") == "Ping"
    assert meaning(Error(code=13), "code").startswith("USER_TAKEN: ")
    assert meaning(Error(code=999), "code") == "unknown"
    assert meaning(Left(user="", reason=2), "reason") == "EVICTED"
    assert meaning(Left(user="", reason=9), "reason") == "unknown, so LOST"


def test_types_without_a_name_of_their_own_show_their_number() -> None:
    assert meaning(Unknown(type=0x0B), "type") == "Unknown 0x0b"
    assert meaning(ApplicationEvent(type=0xFF), "type") == "ApplicationEvent 0xff"


def test_a_declared_application_event_shows_its_own_fields() -> None:
    [frame] = dissect(encode(Moved(x=-2, fast=True, seq=1)), codec=CODEC).frames

    assert frame.name == "Moved"
    assert [(row.name, row.value) for row in frame.rows[5:]] == [
        ("sender", "''"),
        ("x", "-2"),
        ("fast", "True"),
    ]


def test_an_application_event_that_does_not_fit_is_shown_as_the_general_one() -> None:
    dissection = dissect(encode(ApplicationEvent(type=0x80, data=b"up", seq=1)), codec=CODEC)

    assert dissection.error is None
    assert dissection.frames[0].name == "ApplicationEvent 0x80, not as Moved is declared"
    assert dissection.frames[0].rows[-1].data == b"up"


def test_the_text_form_is_one_line_for_each_row() -> None:
    assert dissect(HELLO).text().splitlines()[:3] == [
        "frame 1 at byte 0: Message, 22 bytes",
        "       0  00 00 00 12              length      18  (12 of header, 6 of body)",
        "       4  01                       version     1  (u8)",
    ]


def test_a_long_field_is_cut_in_the_text_form_and_whole_in_the_rows() -> None:
    dissection = dissect(encode(Message(content="m" * 1000, seq=7)))

    assert dissection.frames[0].rows[-1].data == b"m" * 1000
    assert len(dissection.text().splitlines()) < 20
    assert "... 936 bytes more" in dissection.text()


def test_a_faulty_row_is_marked() -> None:
    dissection = dissect(HELLO[:6] + b"\0\1" + HELLO[8:])

    assert [row.name for row in dissection.frames[0].rows if row.faulty] == ["reserved"]
    assert [line[:8] for line in dissection.text().splitlines() if line[0] == "!"] == ["!      6"]


def test_nothing_at_all_is_no_frame_and_no_fault() -> None:
    assert dissect(b"") == Dissection((), None, None)


# --- Where it ends ---------------------------------------------------------------


@together(
    "data",
    [*(v.data for v in VECTORS.invalid), *(v.frame[: len(v.frame) // 2] for v in VECTORS.valid)],
    [*(v.id for v in VECTORS.invalid), *(f"half {v.id}" for v in VECTORS.valid)],
)
@pytest.mark.unmeasured
def test_the_fault_is_the_decoder_s(data: bytes) -> None:
    dissection = dissect(data, max_frame=65_791)

    assert seen(dissection) == fault_of_decoder(data, Codec(), 65_791)
    assert bytes_covered(dissection) == len(data)


@pytest.mark.unmeasured
def test_the_fault_is_the_decoder_s_on_mutated_streams() -> None:
    faults = 0
    for data in mutants(3000):
        dissection = dissect(data, codec=CODEC, max_frame=500)

        assert seen(dissection) == fault_of_decoder(data, CODEC, 500)
        assert bytes_covered(dissection) == len(data)
        faults += dissection.error is not None
    assert 1000 < faults < 2900


@given(st.binary(max_size=100))
def test_any_bytes_can_be_taken_apart(data: bytes) -> None:
    for max_frame in (65_791, 2**32 - 1):
        assert bytes_covered(dissect(data, max_frame=max_frame)) == len(data)


def test_all_fields_before_the_fault_are_shown() -> None:
    welcome = encode(Welcome(user="ann", ticket=9, position=3, max_frame=9999, heartbeat=20, seq=1))
    broken = welcome[:-1] + b"\1"  # the server's name is a byte longer than the frame

    [frame] = dissect(broken).frames

    assert [row.name for row in frame.rows[5:]] == [
        "user", "ticket", "position", "max_frame", "heartbeat", "server",
    ]  # fmt: skip
    assert [row.faulty for row in frame.rows[5:]] == [False] * 5 + [True]


def test_a_fault_says_the_same_as_the_error() -> None:
    error = error_of(ready(Decoder(), HELLO + bytes(4)))

    assert str(dissect(HELLO + bytes(4)).error) == str(error)


def test_a_cut_frame_is_no_error_but_incomplete() -> None:
    fault = dissect(HELLO[:-2]).error

    assert fault == FrameError(None, 20, None, "2 bytes of the frame are missing")
    assert str(fault).startswith("INCOMPLETE: byte 20: ")


# --- What it hides ---------------------------------------------------------------


@pytest.mark.proves("EP-12-1")
@together(
    "data",
    [
        LOGIN,
        HELLO + LOGIN,
        *(LOGIN[:size] for size in range(len(LOGIN))),
        LOGIN + b"\0",
        LOGIN[:3] + bytes([LOGIN[3] - 1]) + LOGIN[4:],
        LOGIN[:3] + bytes([LOGIN[3] + 1]) + LOGIN[4:] + b"\0",
        LOGIN[:16] + b"\xff" + LOGIN[17:],
        LOGIN[:16] + b"\2" + LOGIN[17:],
        LOGIN[:17] + b"\xff" + LOGIN[18:],
        LOGIN[:20] + b"\xff" + LOGIN[21:],
        LOGIN[3::-1] + LOGIN[4:],
        LOGIN[:4] + b"\2" + LOGIN[5:],
        LOGIN[4:],
        b"GET /?key=" + SECRETS[0] + b" HTTP/1.1\r\n\r\n",
        encode(
            Welcome(
                user="a", ticket=0x1122334455667788, position=0, max_frame=1, heartbeat=0, seq=1
            )
        ),
    ],
)
def test_no_byte_of_a_secret_is_shown_even_where_the_frame_is_broken(data: bytes) -> None:
    dissection = dissect(data)

    shown = b"".join(row.data or b"" for frame in dissection.frames for row in frame.rows)
    for secret in SECRETS:
        assert not any(secret[at : at + 3] in shown for at in range(len(secret) - 2))
        assert secret.decode("latin-1") not in dissection.text()
        assert secret.hex(" ") not in dissection.text()
        assert str(int.from_bytes(secret, "big")) not in dissection.text()


def test_secrets_stand_with_their_size() -> None:
    rows = {row.name: row.value for row in dissect(LOGIN).frames[0].rows}

    assert rows["credential"] == "10 bytes, hidden"
    assert rows["ticket"] == "8 bytes, hidden"


def test_who_asks_for_secrets_sees_everything() -> None:
    for data in (LOGIN, LOGIN[:-9], LOGIN[3::-1] + LOGIN[4:]):
        dissection = dissect(data, secrets=True)

        shown = b"".join(row.data or b"" for frame in dissection.frames for row in frame.rows)
        assert shown == data


def test_the_secret_of_an_application_is_hidden_where_its_class_does_not_fit_too() -> None:
    fits = encode(Paid(amount=1, card=b"card", seq=1))
    for data in (fits, fits[:3] + bytes([fits[3] + 1]) + fits[4:] + b"x"):
        dissection = dissect(data, codec=CODEC)

        assert dissection.error is None
        assert b"card" not in b"".join(row.data or b"" for row in dissection.frames[0].rows)


@pytest.mark.proves("EP-12-6")
@given(st.one_of(st.binary(max_size=60), st.text().map(lambda said: b"\0" + said.encode())))
def test_what_a_peer_says_reaches_a_terminal_as_ascii_only(body: bytes) -> None:
    head = b"\1\2\0\0" + (7).to_bytes(8, "big")
    frame = (12 + len(body)).to_bytes(4, "big") + head + body

    for data in (frame, body):
        assert dissect(data).text().replace("\n", "").isascii()
        assert dissect(data).text().replace("\n", "").isprintable()


# --- What it guesses -------------------------------------------------------------

BODIES = {
    "Message": Message(content="hello there, everybody", seq=7),
    "Login": Login(user="ann", credential=b"key", seq=1),
    "Ping": Ping(seq=3),
    "Ack": Ack(position=9, seq=3),
    "ApplicationEvent": ApplicationEvent(type=0x99, data=b"a few bytes of it", seq=3),
}
LENGTHS: dict[str, Callable[[bytes], bytes]] = {
    "the length is little-endian": lambda frame: frame[3::-1] + frame[4:],
    "the length counts its own": lambda frame: len(frame).to_bytes(4, "big") + frame[4:],
    "the length counts only the body": lambda frame: (
        (len(frame) - 16).to_bytes(4, "big") + frame[4:]
    ),
    "the length has 8 bytes": lambda frame: bytes(4) + frame,
    "the length has 2 bytes": lambda frame: frame[2:],
}


@pytest.mark.parametrize("event", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(("hint", "wrong"), LENGTHS.items(), ids=LENGTHS)
def test_a_wrong_length_is_recognised_alone_and_in_a_stream(
    hint: str, wrong: Callable[[bytes], bytes], event: Event
) -> None:
    for frames in (1, 3):
        dissection = dissect(wrong(encode(event)) * frames)

        assert dissection.hint is not None
        assert dissection.hint.startswith(hint)


def with_length(rest: bytes) -> bytes:
    return len(rest).to_bytes(4, "big") + rest


CAUSES: dict[str, tuple[bytes, str]] = {
    "no length": (HELLO[4:], "there is no length"),
    "swapped type and version": (HELLO[:4] + b"\2\1" + HELLO[6:], "type and version are swapped"),
    "no reserved": (with_length(HELLO[4:6] + HELLO[8:]), "the 2 reserved bytes"),
    "short seq": (with_length(b"\1\6\0\0" + b"\0\0\0\7"), "seq has 4 bytes"),
    "no sender": (with_length(HELLO[4:16] + HELLO[17:]), "the sender is missing"),
    "no sender of an application event": (
        with_length(b"\1\x80\0\0" + bytes(7) + b"\7" + b"\xffdata"),
        "the sender is missing",
    ),
    "NUL": (with_length(encode(Ping(seq=1))[4:] + b"\0"), "there is a NUL"),
    "line end": (with_length(encode(Ping(seq=1))[4:] + b"\n"), "there is a line end"),
    "line end of two": (with_length(encode(Ping(seq=1))[4:] + b"\r\n"), "there is a line end"),
    "seq 0": (HELLO[:8] + bytes(8) + HELLO[16:], "requests are numbered from 1"),
    "a frame above the limit": (encode(Message(content="m" * 70_000, seq=7)), "the header is good"),
    "the frame before": (HELLO + b"\0\0\0\1", "perhaps the length of the frame before, at byte 0"),
    "UTF-16": (
        with_length(HELLO[4:17] + "grüße".encode("utf-16-le")),
        "the text seems to be UTF-16",
    ),
    "UTF-16 without a fault": (
        with_length(HELLO[4:17] + "hello".encode("utf-16-be")),
        "the text seems to be UTF-16",
    ),
    "Latin-1": (with_length(HELLO[4:17] + "grüße".encode("latin-1")), "the text seems to be Latin"),
    "CESU-8": (with_length(HELLO[4:17] + b"\xed\xa0\xbd\xed\xb8\x80"), "NUL or surrogates"),
    "modified UTF-8": (with_length(HELLO[4:17] + b"a\xc0\x80b"), "NUL or surrogates"),
    "a length in characters": (
        with_length(b"\1\x09\0\0" + bytes(7) + b"\7" + b"\3" + "zoë".encode()),
        "its length counts characters",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "hint"), CAUSES.values(), ids=CAUSES)
def test_a_common_mistake_is_recognised(data: bytes, hint: str) -> None:
    dissection = dissect(data)

    assert dissection.hint is not None
    assert dissection.hint.startswith(hint)


BEGINNINGS: dict[str, bytes] = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an HTTP response": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030102000100") + bytes(40),
    "a TLS alert": bytes.fromhex("15030300020228"),
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a PROXY header": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    "an MQTT CONNECT": bytes.fromhex("101000044d5154540402003c000474657374"),
    "a Redis command": b"*1\r\n$4\r\nPING\r\n",
    "telnet negotiation": bytes.fromhex("fffb1ffffd03"),
    "JSON": b'{"event": "Ping", "seq": "1"}\n',
    "UTF-16 text": "hello".encode("utf-16"),
    "plain text": b"hello\r\n",
    "only zeros": bytes(64),
}


@pytest.mark.proves("EP-2.1-4")
@pytest.mark.parametrize(("hint", "data"), BEGINNINGS.items(), ids=BEGINNINGS)
def test_another_protocol_is_named_and_refused_at_its_first_bytes(hint: str, data: bytes) -> None:
    for size in (4, len(data)):
        dissection = dissect(data[:size])

        assert dissection.error is not None and dissection.error.field == "length"
        assert dissection.hint is not None and dissection.hint.startswith(hint)


def test_every_other_protocol_in_the_table_has_an_example_here() -> None:
    named = {what.split(":")[0] for what, _ in hints.FOREIGN}

    assert named == set(BEGINNINGS)


def test_every_mistake_in_the_tables_has_an_example_here() -> None:
    examples = [*LENGTHS, *(hint for _, hint in CAUSES.values())]

    for what, _ in (*hints.LENGTHS, *hints.EDITS):
        assert any(what.startswith(example) for example in examples), what


@together("vector", VECTORS.valid)
def test_a_good_frame_gets_no_hint(vector: vectors.Valid) -> None:
    assert dissect(vector.frame).hint is None


def test_a_guess_that_makes_a_number_of_other_bytes_is_no_hint() -> None:
    reserved = bytes.fromhex("00000012 0102 0001 0000000000000007 00 68656c6c6f")

    assert dissect(reserved).hint is None


def test_noise_gets_no_hint() -> None:
    for data in (bytes.fromhex("ffffffff"), bytes.fromhex("80818283a0b0"), b"\xde\xad\xbe\xef" * 9):
        dissection = dissect(data)

        assert dissection.error is not None
        assert dissection.error.code is ErrorCode.FRAME_TOO_LARGE
        assert dissection.hint is None


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_bytes_of_every_type_are_read(buffer: Callable[[bytes], Buffer]) -> None:
    frames = b"".join(map(encode, (Ping(seq=1), Message(content="h\u00e9", sender="ann", seq=2))))

    assert dissect(buffer(frames)).text() == dissect(frames).text()
    assert decode(buffer(encode(Ping(seq=1)))) == Ping(seq=1)
