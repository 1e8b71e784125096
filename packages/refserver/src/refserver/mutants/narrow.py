"""Mutants that keep numbers and sizes in fewer bits than they have.

Rule: each is right for small numbers.

Layer: above `points`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    ErrorCode,
    Event,
    InvalidRequest,
    Login,
    Logout,
    Message,
    Pong,
    Welcome,
)

from . import points
from .registry import Patch, mutant
from .replying import no_fast_path, on_reply


def low(seq: int) -> int:
    """The low 32 bits."""
    return seq % 2**32


def rounded(seq: int) -> int:
    """As a floating-point number keeps it."""
    return min(int(float(seq)), 2**64 - 1)


def seq_of(
    name: str,
    wrong: str,
    request: type,
    event: type[Event],
    width: Callable[[int], int],
) -> None:
    """A mutant that answers these requests with this event under another seq."""

    def changed(asked: Any, answer: Any, frame: bytes) -> bytes:
        if not (isinstance(asked, request) and isinstance(answer, event)):
            return frame
        return frame[:8] + width(answer.seq).to_bytes(8, "big") + frame[16:]

    mutant(name, wrong)(lambda patch: on_reply(patch, changed))


seq_of("ack-seq-of-32-bits", "a Message's Ack has 32 bits of its seq", Message, Ack, low)
seq_of("ack-seq-as-double", "a Message's Ack has 53 bits of its seq", Message, Ack, rounded)
seq_of(
    "application-seq-of-32-bits",
    "an application event's Ack has 32 bits of its seq",
    ApplicationEvent,
    Ack,
    low,
)
seq_of("pong-seq-as-double", "a Pong has 53 bits of its seq", object, Pong, rounded)
seq_of(
    "error-seq-of-32-bits",
    "the Error to a request that is not allowed has 32 bits of its seq",
    InvalidRequest,
    Error,
    low,
)
seq_of("refusal-seq-of-32-bits", "the Error to a Login has 32 bits of its seq", Login, Error, low)
seq_of("welcome-seq-of-32-bits", "a Welcome has 32 bits of its seq", Login, Welcome, low)
seq_of("logout-seq-of-32-bits", "a Logout's Ack has 32 bits of its seq", Logout, Ack, low)


@mutant("position-of-one-byte", "an Ack counts from its session on, in one byte")
def _(patch: Patch) -> None:
    def ack(self: Any, position: int) -> int:
        since: int = self.member.since
        return since + (position - since) % 256

    no_fast_path(patch)
    points.on_ack(patch, ack)


def refuses(name: str, wrong: str, is_wrong: Callable[[bytes], bool]) -> None:
    """A mutant that ends the connection at a frame that is right."""

    def seen(self: Any, frame: bytes) -> None:
        if is_wrong(frame) and not points.is_ending(self):
            self.goodbye(ErrorCode.MALFORMED)

    mutant(name, wrong)(lambda patch: points.on_frames(patch, seen))


refuses(
    "negative-pong-refused",
    "a Pong's seq from 2^63 on is treated as a negative number",
    lambda frame: frame[5] == 0x07 and frame[8] > 0x7F,
)
refuses(
    "long-sender-refused",
    "a sender of more than 127 bytes is MALFORMED",
    lambda frame: frame[5] == 0x02 and len(frame) > 16 and frame[16] > 127,
)
refuses(
    "long-credential-refused",
    "a credential of more than 255 bytes is MALFORMED",
    lambda frame: frame[5] == 0x01 and len(frame) > 18 + frame[16] and frame[17 + frame[16]] > 0,
)


@mutant("content-of-one-byte-size", "a content of 256 bytes loses its last one")
def _(patch: Patch) -> None:
    def publish(original: Any, self: Any, said: Any) -> None:
        if isinstance(said, Message) and len(said.content) == 256:
            object.__setattr__(said, "content", said.content[:255])
        original(self, said)

    points.on_publish(patch, publish)
