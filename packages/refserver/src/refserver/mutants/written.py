"""Mutants that write invalid frames, or serve clients without login after all others.

Rule: each is wrong about what the server writes by itself.

Layer: above `points`.
"""

from __future__ import annotations

import struct
from typing import Any

from eventcodec import ErrorCode, InvalidRequest, Ping, Welcome

from . import points
from .registry import Patch, mutant
from .replying import on_goodbye, on_reply


def with_bad_text(frame: bytes) -> bytes:
    """The same Error, with a text that is not UTF-8."""
    return struct.pack(">I", 17) + frame[4:18] + b"\2\xc3\x28"


@mutant("server-name-no-text", "the server's own name is not UTF-8")
def _(patch: Patch) -> None:
    on_reply(
        patch,
        lambda request, event, frame: frame[:-1] + b"\xff" if isinstance(event, Welcome) else frame,
    )


@mutant("refusal-no-text", "the text of an Error that answers a request is not UTF-8")
def _(patch: Patch) -> None:
    on_reply(
        patch,
        lambda request, event, frame: (
            with_bad_text(frame) if isinstance(request, InvalidRequest) else frame
        ),
    )


@mutant("last-words-no-text", "the text of MALFORMED is not UTF-8")
def _(patch: Patch) -> None:
    on_goodbye(
        patch,
        lambda code, frame: with_bad_text(frame) if code == ErrorCode.MALFORMED else frame,
    )


@mutant(
    "limit-of-the-room",
    "with three members in the room, clients without login have the limit of members",
)
def _(patch: Patch) -> None:
    def then(self: Any, data: bytes, now: float) -> None:
        if self.member is None and len(self.room.members) > 2:
            points.limit(self, 65_536)

    points.on_bytes(patch, lambda self, data: then(self, data, 0.0))


@mutant(
    "strangers-wait-for-quiet", "a Ping of a client without login is not answered after a Message"
)
def _(patch: Patch) -> None:
    def instead(self: Any, request: Any) -> bool:
        waits = (
            isinstance(request, Ping)
            and self.member is None
            and points.last_entry(self.room)[5:6] == b"\2"
        )
        if waits:
            points.swallow(self, request)
        return waits

    points.on_request(patch, instead)
