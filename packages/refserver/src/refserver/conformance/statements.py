"""The specification's numbered sentences, for those who have only this package.

Rule: `python -m tools` writes the sentences of `statements.json` from docs/protocol.md. Where
a breach can be seen stands beside each, and only a person writes it.

Layer: the bottom layer of the kit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pkgutil import get_data
from types import MappingProxyType

__all__ = ["VISIBLE", "statements", "visibility"]

VISIBLE = {
    "connection": "on one connection",
    "session": "over the connections of a session",
    "room": "over the connections of a room",
    "times": "by the times at which bytes pass",
    "websocket": "in the handshake and the frames of WebSocket, below the two streams",
    "permission": "never: it permits",
    "never": "never: nothing of it passes between the two",
}
"""Where an observer of connections can see a breach of a statement."""


def visibility() -> Mapping[str, str]:
    """For each statement the word of `VISIBLE`.

    >>> visibility()["EP-2.2-1"]
    'connection'
    """
    return MappingProxyType({number: each["visible"] for number, each in _shipped().items()})


@cache
def statements() -> Mapping[str, str]:
    """Each statement under its number, in the specification's order.

    >>> statements()["EP-2.2-1"]
    'A sender MUST write `version` 1.'
    """
    return MappingProxyType({number: each["text"] for number, each in _shipped().items()})


def _shipped() -> dict[str, dict[str, str]]:
    data = get_data(__name__, "statements.json")
    assert data is not None, "the file is installed beside this one"
    shipped: dict[str, dict[str, str]] = json.loads(data)
    return shipped
