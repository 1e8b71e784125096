"""What usually breaks a statement, for a person who looks for it.

Rule: the kit's cases name the usual cause of a failure, and `python -m tools` copies it to
`causes.json`. Here are only the causes of what no case of the kit asks for.

Layer: beside `findings`.
"""

from __future__ import annotations

import json
from functools import cache
from pkgutil import get_data

from .conversation import Side

__all__ = ["usual_cause"]

FIELDS = "a field is missing, too many, or in another place"
OTHERS = {
    (Side.CLIENT, "EP-3.2-1"): FIELDS,
    (Side.CLIENT, "EP-3.3-1"): FIELDS,
    (Side.CLIENT, "EP-3.4-1"): FIELDS,
    (Side.CLIENT, "EP-3.11-1"): FIELDS,
    (Side.CLIENT, "EP-3.7-1"): "a Ping or its Pong carries a time, as in other protocols",
    (Side.CLIENT, "EP-3.1-1"): "the client sends back what it has received",
    (Side.CLIENT, "EP-3.6-3"): "an Error with seq 0 is taken for the reply to a request",
    (Side.CLIENT, "EP-3.7-2"): "the Pong has a number of the client's own",
    (Side.CLIENT, "EP-3.7-3"): "two parts of the client answer each Ping",
    (Side.CLIENT, "EP-4.4-3"): "a Login is sent again because its reply was not waited for",
    (Side.CLIENT, "EP-4.4-4"): "what is to be said goes out before the Login",
    (Side.CLIENT, "EP-6.3-1"): "TLS was left out, which is allowed only on one machine",
    (Side.CLIENT, "EP-7.1-1"): "the Login is too long: its credential or its name",
    (Side.SERVER, "EP-5.1-2"): "a position is read or written little-endian",
    (Side.SERVER, "EP-6.1-9"): "a fresh Login is treated as a resume",
    (
        Side.SERVER,
        "EP-8.3-1",
    ): "a right request is refused, or not its first fault is told",
    (Side.SERVER, "EP-9.1-5"): "the heartbeat that the Welcome tells is not the one that is used",
}


def usual_cause(statement: str, side: Side) -> str:
    """In a few words; empty where nobody knows.

    >>> usual_cause("EP-3.3-2", Side.CLIENT)
    'the client writes its own name as the sender'
    """
    return OTHERS.get((side, statement)) or _of_cases()[side].get(statement, "")


@cache
def _of_cases() -> dict[str, dict[str, str]]:
    data = get_data(__name__, "causes.json")
    assert data is not None, "the file is installed beside this one"
    causes: dict[str, dict[str, str]] = json.loads(data)
    return causes
