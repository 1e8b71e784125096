"""What is measured, by whom, and the bar that eventcodec has to reach.

Rule: data only. The contenders, the tables and the plot walk it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

COUNT = 1_000
FRAME_SIZE = 54
CHUNK = 1 << 16

OURS = "eventcodec"
CONNECTION = "eventcodec, through ClientConnection"
CHUNKED = "eventcodec, in chunks of 64 KiB"
HAND = "hand-written struct code"
CONSTRUCT = "construct, interpreted"
CONSTRUCT_BODY = "construct, interpreted, the body alone"
JSON = "json.loads, events made by their class"
JSON_UNCHECKED = "json.loads, events made unchecked"
MSGPACK = "msgpack (C), events made by their class"
MSGPACK_UNCHECKED = "msgpack (C), events made unchecked"
MSGPACK_ARRAYS = "msgpack (C), arrays without names, unchecked"
MSGSPEC = "msgspec (C), into its structs"
COPY = "one copy and one UTF-8 check"


def in_python(name: str) -> str:
    """What a contender of eventcodec is called without the native module."""
    return f"{name}, pure Python"


@dataclass(frozen=True)
class Task:
    """One thing to do, so many items at a time."""

    id: str
    title: str
    items: int = COUNT


TASKS = {
    task.id: task
    for task in (
        Task("decode", f"decode a stream of {COUNT:,} messages of {FRAME_SIZE} bytes"),
        Task("encode", "encode the same messages"),
        Task("application", f"decode {COUNT:,} application events of two numbers"),
        Task("mebibyte", "decode one message with 1 MiB of content", 1),
    )
}


@dataclass(frozen=True)
class Bar:
    """A bound on the time of `ours` against `theirs`: so many times as fast, or at most so much."""

    task: str
    ours: str
    theirs: str
    sense: Literal["≥", "≤"]
    bound: float


BARS = (
    Bar("decode", OURS, CONSTRUCT, "≥", 30),
    Bar("encode", OURS, CONSTRUCT, "≥", 30),
    Bar("application", OURS, CONSTRUCT, "≥", 30),
    Bar("decode", OURS, HAND, "≤", 1.25),
    Bar("decode", OURS, JSON, "≤", 1),
    Bar("decode", OURS, MSGPACK, "≤", 1),
    Bar("decode", OURS, MSGSPEC, "≤", 1.2),
    Bar("decode", in_python(OURS), MSGSPEC, "≤", 4),
    Bar("encode", OURS, MSGSPEC, "≤", 1.2),
    Bar("decode", CONNECTION, OURS, "≤", 1.6),
    Bar("decode", in_python(OURS), CONSTRUCT, "≥", 30),
    Bar("decode", in_python(OURS), HAND, "≤", 1.25),
    Bar("mebibyte", OURS, COPY, "≤", 2),
    Bar("mebibyte", CHUNKED, COPY, "≤", 2),
)
IMPORT_BAR_MS = 15.0
