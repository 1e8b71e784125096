"""What a client's command must say about each frame: a line of JSON.

Rule: the form is that of `eventcodec.jsonlines`, made here from the bytes by the
kit's own reading of them; of a line only what the frame says is compared.

Layer: the bottom layer of `peer`, above `raw`.
"""

from __future__ import annotations

import json
from typing import Any

from .. import raw
from ..raw import Frame
from ..suite import CaseFailed

__all__ = ["END", "differs", "line_of", "parsed", "told"]

Line = dict[str, Any]
END = "End"

_NAMES = {
    raw.MESSAGE: "Message",
    raw.ACK: "Ack",
    raw.ERROR: "Error",
    raw.PONG: "Pong",
    raw.WELCOME: "Welcome",
    raw.JOINED: "Joined",
    raw.LEFT: "Left",
}
_TEXTS = ("user", "sender", "content", "server")


def line_of(frame: Frame) -> Line:
    """What must be said about a frame from the server."""
    if frame.type in raw.UNKNOWN:
        return {"event": "Unknown", "type": frame.type, "body": frame.body.hex()}
    said: Line = {"event": _NAMES.get(frame.type, "ApplicationEvent"), "seq": str(frame.seq)}
    if frame.type in raw.APPLICATION:
        said["type"] = frame.type
    for name, value in (frame.fields or {}).items():
        if name == "position":
            said[name] = str(value)
        elif name == "reason":
            said[name] = value if value in (0, 1, 2) else 1  # EP-3.10-2
        elif isinstance(value, int):
            said[name] = value
        elif name == "data":
            said[name] = value.hex()
        elif name in _TEXTS:
            said[name] = value.decode()
    said.pop("ticket", None)
    return said


def parsed(line: bytes) -> Line:
    """A line as the object that it is. Raises CaseFailed where it is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("event"), str):
        raise CaseFailed(
            ('stdout has JSON objects with an "event", one a line',), ascii(line[:200])[1:]
        )
    return said


def differs(line: Line, wanted: Line) -> bool:
    """Whether a line says something else than what is wanted; more it may say."""
    return any(_differ(line.get(name), value) for name, value in wanted.items())


def _differ(said: object, wanted: object) -> bool:
    if isinstance(wanted, str) and isinstance(said, int) and not isinstance(said, bool):
        return str(said) != wanted  # a number that should be a string: one case asks for that
    return said != wanted


def told(line: Line) -> str:
    """A line for people, short."""
    text = json.dumps(line)
    return text if len(text) <= 200 else text[:199] + "…"
