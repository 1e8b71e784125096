"""What a case waits for: one frame, told in the specification's words.

Rule: an expectation knows whether a frame is it, and which frames it lets pass. Who
awaits a reply lets facts pass; who awaits a fact lets presence and strangers pass.

Layer: above `raw`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from . import raw
from .raw import Frame

__all__ = [
    "END",
    "Expectation",
    "Lane",
    "ack",
    "application",
    "either",
    "end",
    "error",
    "fatal",
    "joined",
    "left",
    "message",
    "pong",
    "question",
    "welcome",
]


class Lane(Enum):
    """What kind of frames an expectation looks at."""

    REPLY = "reply"
    FACT = "fact"
    PRESENCE = "presence"


@dataclass(frozen=True, slots=True)
class Expectation:
    """`says` in words what is awaited, any one of it; `fits` knows it; None is the end."""

    says: tuple[str, ...]
    fits: Callable[[Frame | None], bool]
    lane: Lane = Lane.REPLY
    about: Callable[[Frame], bool] = lambda frame: True
    """Of the frames in the lane, those that must be it."""


def _reply(says: str, type: int, seq: int, fits: Callable[[Frame], bool]) -> Expectation:
    def is_it(frame: Frame | None) -> bool:
        return frame is not None and frame.type == type and frame.seq == seq and fits(frame)

    return Expectation((f"{says} seq {seq}",), is_it)


def welcome(seq: int = 1) -> Expectation:
    return _reply("Welcome", raw.WELCOME, seq, lambda f: f.fields is not None)


def ack(seq: int, position: int | None = None) -> Expectation:
    says = "Ack" if position is None else f"Ack of position {position},"
    fits = (lambda f: f.number("position") >= 0) if position is None else None
    return _reply(says, raw.ACK, seq, fits or (lambda f: f.number("position") == position))


def pong(seq: int) -> Expectation:
    return _reply("Pong", raw.PONG, seq, lambda f: f.fields is not None)


def error(code: int, seq: int) -> Expectation:
    """An Error that answers a request."""
    return _reply(f"Error {raw.CODES[code]}", raw.ERROR, seq, lambda f: f.number("code") == code)


def fatal(code: int) -> Expectation:
    """An Error that ends the connection."""
    return error(code, 0)


def question() -> Expectation:
    """A Ping of the server's own."""

    def is_it(frame: Frame | None) -> bool:
        return frame is not None and frame.type == raw.PING and not frame.body

    return Expectation(("a Ping",), is_it)


def _end(frame: Frame | None) -> bool:
    return frame is None


END = Expectation(("the end of the stream",), _end)


def end() -> Expectation:
    return END


def either(*all: Expectation) -> Expectation:
    """Any of several."""
    return Expectation(
        tuple(says for each in all for says in each.says),
        lambda frame: any(each.fits(frame) for each in all),
        all[0].lane,
        all[0].about,
    )


def _shown(data: bytes | str) -> tuple[bytes, str]:
    data = data.encode() if isinstance(data, str) else data
    return data, repr(data[:40])[1:]


def message(sender: str, content: bytes | str, position: int | None = None) -> Expectation:
    return application(raw.MESSAGE, sender, content, position)


def application(
    type: int, sender: str, data: bytes | str, position: int | None = None
) -> Expectation:
    """A fact of this type; a Message too."""
    wanted, shown = _shown(data)
    body = raw.short(sender) + wanted
    name = "Message" if type == raw.MESSAGE else f"application event 0x{type:02X}"
    where = "" if position is None else f", position {position}"

    def is_it(frame: Frame | None) -> bool:
        return (
            frame is not None
            and frame.type == type
            and frame.body == body
            and position in (None, frame.seq)
        )

    return Expectation((f"{name} of {sender}, {shown}{where}",), is_it, Lane.FACT)


def _presence(type: int, user: str, says: str, reason: int | None) -> Expectation:
    def is_it(frame: Frame | None) -> bool:
        return (
            frame is not None
            and frame.type == type
            and frame.author == user.encode()
            and reason in (None, frame.number("reason"))
        )

    def about(frame: Frame) -> bool:
        return frame.type == type and frame.body[1 : 1 + len(user.encode())] == user.encode()

    return Expectation((says,), is_it, Lane.PRESENCE, about)


def joined(user: str) -> Expectation:
    return _presence(raw.JOINED, user, f"Joined {user}", None)


def left(user: str, reason: int | None = None) -> Expectation:
    why = "" if reason is None else f", reason {reason}"
    return _presence(raw.LEFT, user, f"Left {user}{why}", reason)
