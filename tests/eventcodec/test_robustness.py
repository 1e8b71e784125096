"""What a peer can do to a codec, and what it costs: the rows C1 to C9.

C1  a great length announced: refused at once, nothing of its body held
C2  every length of a frame with every length inside it: the outcome of each pair
C3  another protocol on this port: refused in its first bytes
C4  millions of mutated frames: all readers agree (test_differential)
C5  thousands of streams, each in five cuts: same events, same error, same place
C6  cost grows with the bytes, however they are cut (counted in instructions: test_cost)
C7  text that is not UTF-8, both ways: a documented error, never UnicodeError
C8  the same under -O, -OO and -X dev -W error (test_modes)
C9  fuzzing, guided by coverage and blind, and its old findings (test_fuzz)
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random

import pytest
from tests.eventcodec.declared import CODEC
from tests.eventcodec.mutations import NOT_UTF8, SHORT_FRAMES, mutate, with_right_length
from tests.eventcodec.streams import (
    END_OF_STREAM,
    byte_by_byte,
    cut_by,
    error_of,
    read,
    ready,
    whole,
)
from tests.together import together

from eventcodec import (
    ClientConnection,
    Decoder,
    Error,
    ErrorCode,
    Joined,
    LocalProtocolError,
    Login,
    Message,
    Ping,
    RemoteProtocolError,
    ServerConnection,
    decode,
    encode,
)
from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE, MAX_FRAME, MAX_FRAME_BEFORE_WELCOME

MIB = 2**20
RECEIVERS: list[tuple[Callable[[], Decoder | ClientConnection | ServerConnection], int]] = [
    (lambda: Decoder(max_frame=MAX_FRAME), MAX_FRAME),
    (ClientConnection, MAX_FRAME_BEFORE_WELCOME + 255),
    (ServerConnection, MAX_FRAME_BEFORE_WELCOME),
]
EACH_RECEIVER = pytest.mark.parametrize(
    ("make", "limit"), RECEIVERS, ids=["decoder", "client", "server"]
)


# ---------------------------------------------------------------- C1


@EACH_RECEIVER
@pytest.mark.parametrize("beyond", ["one more", "2**32 - 1"])
@pytest.mark.proves("EP-2.1-3", "EP-2.1-4", "EP-7.2-1", "EP-8.3-5")
def test_a_great_length_is_refused_at_once_and_nothing_of_its_body_held(
    make: Callable[[], Decoder | ClientConnection | ServerConnection], limit: int, beyond: str
) -> None:
    """C1."""
    length = limit + 1 if beyond == "one more" else 2**32 - 1
    reader = make()
    body = bytes(MIB)
    assert ready(reader, length.to_bytes(LENGTH_SIZE, "big")[:-1]) == []
    error = error_of(ready(reader, length.to_bytes(LENGTH_SIZE, "big")[-1:]))
    assert isinstance(error, RemoteProtocolError)

    tracemalloc.start()
    for _ in range(64):
        assert ready(reader, body) == []
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert error.code is ErrorCode.FRAME_TOO_LARGE
    assert grown < MIB / 4
    if not isinstance(reader, ClientConnection):
        assert reader.held == 0


@pytest.mark.proves("EP-7.2-1", "EP-7.2-4")
def test_an_announced_body_takes_no_memory_before_it_comes() -> None:
    """C1."""
    decoder = Decoder(max_frame=2**32 - 1)
    header = (2**32 - 1).to_bytes(LENGTH_SIZE, "big") + encode(Ping(seq=1))[LENGTH_SIZE:]

    tracemalloc.start()
    assert ready(decoder, header) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert decoder.held == HEADER_SIZE
    assert most < 64 * 1024


# ---------------------------------------------------------------- C2

LIMIT = 300
TAKEN = "taken"
TOO_SHORT = (ErrorCode.MALFORMED, "length")
TOO_LARGE = (ErrorCode.FRAME_TOO_LARGE, "length")
CUT = (ErrorCode.MALFORMED, "user")
STRAY = (ErrorCode.MALFORMED, None)

LENGTHS: list[tuple[int, dict[int, object]]] = [
    (0, {0: TOO_SHORT, 1: TOO_SHORT, 255: TOO_SHORT}),
    (11, {0: TOO_SHORT, 1: TOO_SHORT, 255: TOO_SHORT}),
    (12, {0: CUT, 1: CUT, 255: CUT}),
    (13, {0: TAKEN, 1: CUT, 2: CUT, 255: CUT}),
    (14, {0: STRAY, 1: TAKEN, 2: CUT, 255: CUT}),
    (20, {0: STRAY, 6: STRAY, 7: TAKEN, 8: CUT, 255: CUT}),
    (267, {0: STRAY, 253: STRAY, 254: TAKEN, 255: CUT}),
    (268, {0: STRAY, 254: STRAY, 255: TAKEN}),
    (269, {0: STRAY, 254: STRAY, 255: STRAY}),
    (LIMIT, {0: STRAY, 255: STRAY}),
    (LIMIT + 1, {0: TOO_LARGE, 255: TOO_LARGE}),
    (2**31, {0: TOO_LARGE, 255: TOO_LARGE}),
    (2**32 - 1, {0: TOO_LARGE, 255: TOO_LARGE}),
]


@pytest.mark.parametrize(
    ("outer", "inner", "outcome"),
    [(outer, inner, outcome) for outer, row in LENGTHS for inner, outcome in row.items()],
)
@pytest.mark.proves("EP-2.1-2", "EP-2.1-4", "EP-2.4-2", "EP-2.4-3", "EP-2.4-4")
def test_every_length_of_a_frame_with_every_length_inside_it(
    outer: int, inner: int, outcome: object
) -> None:
    """C2."""
    header = outer.to_bytes(LENGTH_SIZE, "big") + encode(Joined(user="", seq=1))[4:HEADER_SIZE]
    stream = header + (bytes([inner]) + b"u" * LIMIT)[: max(0, outer - 12)][:LIMIT]

    found = read(Decoder(max_frame=LIMIT), [stream])

    if outcome == TAKEN:
        assert found.events == [Joined(user="u" * inner, seq=1)]
        assert found.fault is None
    else:
        assert found.events == []
        assert found.fault is not None
        assert (found.fault.code, found.fault.field) == outcome


@pytest.mark.parametrize(
    ("claimed", "there", "outcome"),
    [
        (0, 0, TAKEN),
        (0, 1, STRAY),
        (1, 0, (ErrorCode.MALFORMED, "position")),
        (20, 0, (ErrorCode.MALFORMED, "credential")),
        (300, 299, (ErrorCode.MALFORMED, "position")),
        (300, 300, TAKEN),
        (300, 301, STRAY),
        (65_535, 300, (ErrorCode.MALFORMED, "credential")),
    ],
)
@pytest.mark.proves("EP-2.4-2", "EP-2.4-3", "EP-2.4-4")
def test_a_length_of_two_bytes_inside_a_frame_is_held_against_what_is_there(
    claimed: int, there: int, outcome: object
) -> None:
    """C2."""
    login = encode(Login(credential=b"k" * there, seq=1))
    credential = HEADER_SIZE + 1
    frame = login[:credential] + claimed.to_bytes(2, "big") + login[credential + 2 :]

    found = read(Decoder(), [frame])

    if outcome == TAKEN:
        assert found.fault is None
    else:
        assert found.fault is not None
        assert (found.fault.code, found.fault.field) == outcome


# ---------------------------------------------------------------- C3

STRANGERS = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost:3000\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303"),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"EHLO localhost\r\n",
    "zeros": bytes(40),
    "0xFF": b"\xff" * 40,
    "length in the other order": bytes.fromhex("0c000000 01 06 0000 0100000000000000"),
    "length that counts itself less": bytes.fromhex("00000008 01 06 0000 0000000000000001"),
}


@EACH_RECEIVER
@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.proves("EP-2.1-3")
def test_another_protocol_is_refused_in_its_first_four_bytes(
    make: Callable[[], Decoder | ClientConnection | ServerConnection], limit: int, stranger: str
) -> None:
    """C3."""
    reader = make()
    data = STRANGERS[stranger]

    assert ready(reader, data[: LENGTH_SIZE - 1]) == []
    error = error_of(ready(reader, data[LENGTH_SIZE - 1 :]))
    assert isinstance(error, RemoteProtocolError)

    short = data[:LENGTH_SIZE] in (bytes(4), b"\0\0\0\x08")
    assert error.code is (ErrorCode.MALFORMED if short else ErrorCode.FRAME_TOO_LARGE)
    assert (error.field, error.offset) == ("length", 0)


# ---------------------------------------------------------------- C5


def check_streams(count: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(count):
        frames = random.choices(SHORT_FRAMES, k=random.randint(1, 50))
        if random.random() < 0.7:
            at = random.randrange(len(frames))
            frames[at] = mutate(frames[at], random)
        stream = b"".join(frames)
        cuts = (whole, byte_by_byte, cut_by(random), cut_by(random), cut_by(random))

        outcomes = [read(Decoder(codec=CODEC), [*cut(stream), END_OF_STREAM]) for cut in cuts]

        assert outcomes == [outcomes[0]] * len(cuts), stream.hex()


@pytest.mark.proves("EP-2.1-5")
@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("count", "seed"), [(130, 1), pytest.param(270, 22, marks=pytest.mark.once)]
)
def test_a_stream_says_the_same_in_five_cuts(count: int, seed: int) -> None:
    """C5, the short form: a third of it on each Python."""
    check_streams(count, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("part", range(20))
def test_two_hundred_thousand_streams_say_the_same_in_five_cuts(part: int) -> None:
    """C5."""
    check_streams(10_000, seed=2 + part)


# ---------------------------------------------------------------- C6


def decoding(chunks: list[bytes]) -> None:
    decoder = Decoder(max_frame=32 * MIB)
    assert sum(1 for chunk in chunks for _ in ready(decoder, chunk))
    assert not decoder.held


def copying(chunks: list[bytes]) -> None:
    """What no reader can do without: gather the bytes, cut them out, read them as text."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
    assert bytes(gathered)[HEADER_SIZE:].decode("latin-1")


Work = Callable[[list[bytes]], None]


def least(works: Sequence[tuple[Work, list[bytes]]], turns: int) -> list[float]:
    """The least time of each; in turn, so that all meet what else the machine does."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(turns):
        for (work, pieces), taken in zip(works, times, strict=True):
            start = time.process_time()
            work(pieces)
            taken.append(time.process_time() - start)
    return [min(taken) for taken in times]


def big_frame(size: int) -> bytes:
    return encode(Message(content="m" * (size - HEADER_SIZE - 1), seq=1))


def minimal_frames(size: int) -> bytes:
    return encode(Ping(seq=1)) * (size // HEADER_SIZE)


def growth(make: Callable[[int], bytes], small: int, piece: int, repeats: int) -> float:
    """What 16 times the bytes cost, of what a linear reader would.

    Memory has its own price for what no cache holds: a plain copy of 16 MiB took six times as
    long for a byte as one of 1 MiB. What a copy costs beyond linear, a linear reader may too.
    """
    little, much = (
        [stream[at : at + piece] for at in range(0, len(stream), piece)]
        for stream in (make(small), make(16 * small))
    )
    few, few_copied, many, many_copied = least(
        [(decoding, little), (copying, little), (decoding, much), (copying, much)], repeats
    )

    ratio = many / (16 * few + max(0.0, many_copied - 16 * few_copied))
    print(f"16 times {small} bytes in pieces of {piece}: {ratio:.2f} of linear")
    return ratio


@pytest.mark.parametrize(
    ("make", "piece"),
    [(big_frame, 64), (minimal_frames, 1_000), (minimal_frames, MIB)],
    ids=["segments", "minimal frames", "minimal frames at once"],
)
def test_cost_does_not_grow_with_the_square_of_the_bytes(
    make: Callable[[int], bytes], piece: int
) -> None:
    """C6, the short form: copying what is left, for each piece or frame, makes it 15 and more."""
    assert growth(make, MIB // 16, piece, repeats=5) < 4


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("make", "small", "piece", "repeats"),
    [
        (big_frame, MIB, 1, 2),  # a minute each
        (big_frame, MIB, 1_448, 9),
        (big_frame, MIB, 64 * 1024, 9),
        (minimal_frames, MIB // 4, 64 * 1024, 9),
        (minimal_frames, MIB // 4, 4 * MIB, 9),
    ],
    ids=["byte by byte", "segments", "64 KiB", "minimal frames", "minimal frames at once"],
)
def test_cost_grows_with_the_bytes_and_no_faster(
    make: Callable[[int], bytes], small: int, piece: int, repeats: int
) -> None:
    """C6: in one run, and at most 1.25 of linear."""
    assert growth(make, small, piece, repeats) <= 1.25


# ---------------------------------------------------------------- C7

LETTERS = "aß€😀\U0010ffff"


@together("wrong", NOT_UTF8)
@pytest.mark.parametrize("event", [Message(content="", seq=1), Joined(user="", seq=1)], ids=repr)
@pytest.mark.proves("EP-2.3-3")
def test_what_is_not_utf8_is_malformed_wherever_it_stands(
    event: Message | Joined, wrong: bytes
) -> None:
    """C7."""
    header = encode(event)[:HEADER_SIZE]
    for text in (wrong, b"a" + wrong, wrong + b"a", "ß".encode() + wrong + "ß".encode()):
        body = b"\x00" + text if isinstance(event, Message) else bytes([len(text)]) + text

        with pytest.raises(RemoteProtocolError) as caught:
            decode(with_right_length(header + body))

        assert caught.value.code is ErrorCode.MALFORMED
        assert caught.value.field == event.parts[-1].name


@pytest.mark.proves("EP-2.3-3", "EP-2.3-5")
def test_text_cut_inside_a_letter_is_malformed_and_between_two_it_is_not() -> None:
    """C7."""
    data = LETTERS.encode()
    between = {len(LETTERS[:n].encode()) for n in range(len(LETTERS) + 1)}
    header = encode(Message(content="", seq=1))

    for size in range(len(data) + 1):
        frame = with_right_length(header + data[:size])
        try:
            event = decode(frame)
        except RemoteProtocolError as error:
            assert (error.code, error.field) == (ErrorCode.MALFORMED, "content")
            assert size not in between
        else:
            assert encode(event) == frame
            assert size in between


@pytest.mark.parametrize("point", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
@pytest.mark.proves("EP-2.3-4")
def test_a_lone_surrogate_has_no_frame(point: int) -> None:
    """C7."""
    makers: list[Callable[[str], object]] = [
        lambda text: Message(content=text),
        lambda text: Message(sender=text, content=""),
        lambda text: Login(user=text),
        lambda text: Error(code=1, text=text),
    ]
    for make in makers:
        with pytest.raises(LocalProtocolError):
            make(f"a{chr(point)}b")


@pytest.mark.proves("EP-2.3-5")
@pytest.mark.parametrize(
    "text", ["\ufeffbom", "nul\0", "e\u0301", "é", "\u2028", "\r\n", "\ufffd", "\uffff"]
)
def test_text_is_kept_as_it_came(text: str) -> None:
    """C7."""
    assert decode(encode(Message(content=text, seq=1))) == Message(content=text, seq=1)
