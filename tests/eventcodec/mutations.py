"""Frames with something wrong in them, the same ones for the same seed.

Rule: a mutation knows no layout but the length, which is put right again two times of
three, so that the fault lies behind it where readers can differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.eventcodec.cases import CASES

from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE

SHORT_FRAMES = tuple(case.frame for case in CASES if len(case.frame) < 600)
EDGES = b"\x00\x01\x7f\x80\xff"
NOT_UTF8 = tuple(
    bytes.fromhex(wrong)
    for wrong in (
        *("80", "bf"),  # a letter's second byte without its first
        *("c3", "e2 82", "f0 9f 98"),  # cut before its last
        *("c0 80", "e0 80 80", "f0 80 80 80"),  # NUL, longer than it need be
        *("c0 af", "e0 80 af", "f0 80 80 af"),  # a slash, so
        *("c1 bf", "e0 9f bf", "f0 8f bf bf"),  # the last letter of each length, so
        *("ed a0 80", "ed bf bf", "ed a0 bd ed b8 80"),  # surrogates: first, last, a pair
        *("f4 90 80 80", "f5 80 80 80", "f7 bf bf bf"),  # beyond U+10FFFF
        *("f8 88 80 80 80", "fc 84 80 80 80 80", "fe", "ff"),  # longer than four bytes
    )
)


def flip(frame: bytes, random: Random) -> bytes:
    """One byte changed: a bit of it, or to a value at an edge."""
    at = random.randrange(len(frame))
    new = random.choice(EDGES) if random.random() < 0.3 else frame[at] ^ 1 << random.randrange(8)
    return frame[:at] + bytes([new]) + frame[at + 1 :]


def insert(frame: bytes, random: Random) -> bytes:
    """Some bytes more."""
    at = random.randint(0, len(frame))
    new = (
        random.choice(NOT_UTF8) if random.random() < 0.3 else random.randbytes(random.randint(1, 4))
    )
    return frame[:at] + new + frame[at:]


def delete(frame: bytes, random: Random) -> bytes:
    """Some bytes less."""
    at = random.randrange(len(frame))
    return frame[:at] + frame[at + random.randint(1, 4) :]


def splice(frame: bytes, random: Random) -> bytes:
    """The front of one frame and the back of another; often one's header, the other's body."""
    other = random.choice(SHORT_FRAMES)
    if random.random() < 0.5:
        return frame[:HEADER_SIZE] + other[HEADER_SIZE:]
    return frame[: random.randint(0, len(frame))] + other[random.randint(0, len(other)) :]


def truncate(frame: bytes, random: Random) -> bytes:
    """Its end cut off."""
    return frame[: random.randrange(len(frame))]


MUTATIONS: Sequence[Callable[[bytes, Random], bytes]] = (flip, insert, delete, splice, truncate)


def with_right_length(frame: bytes) -> bytes:
    """The same behind the length, and a length that fits it."""
    return (len(frame) - LENGTH_SIZE).to_bytes(LENGTH_SIZE, "big") + frame[LENGTH_SIZE:]


def mutate(frame: bytes, random: Random) -> bytes:
    """A frame with one to three faults; now and then it is still a good one."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if frame:
            frame = random.choice(MUTATIONS)(frame, random)
    repair = len(frame) >= LENGTH_SIZE and random.random() < 2 / 3
    return with_right_length(frame) if repair else frame


def mutated_frames(count: int, *, seed: int) -> Iterator[bytes]:
    """So many mutated frames, the same for the same seed; one of four behind good ones of
    its kind, for those may be read in one go."""
    random = Random(seed)
    for _ in range(count):
        frame = random.choice(SHORT_FRAMES)
        before = frame * random.randint(1, 3) if random.random() < 0.25 else b""
        yield before + mutate(frame, random)
