"""The two scripts that the engine runs, and the keys that they work on.

Rule: everything of a room is in these keys, which have one hash tag, and no other program knows
their form.

Layer: the bottom layer of `cluster`. No socket, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

from ..session.names import ASSIGNED_PREFIX
from ..session.tickets import KEPT, KEPT_BY_GUESTS, KEPT_BY_USER

__all__ = ["KEYS", "Script", "keys", "script"]

KEYS = (
    "room",  # hash: epoch, clock, end, first, digest, settings
    "log",  # stream: the records
    "nodes",  # hash: node -> lease, place, state
    "calls",  # hash: node -> the number of its last call, and the answer
    "connections",  # hash: connection -> the digest of its ticket
    "names",  # hash: key of a name -> connection
    "tickets",  # hash: digest -> since, connection, name
    "members",  # sorted set: the connections, by node
    "released",  # sorted set: digests without a connection, the oldest first
    "owned",  # sorted set: the same by owner
    "held",  # list: the records that are history, with their sizes
    "passed",  # list: the records that are older, and that a node has not read
)
"""What each key of a room has, in the order of the scripts."""

LIMITS = (
    f"local KEPT, KEPT_BY_USER, KEPT_BY_GUESTS = {KEPT}, {KEPT_BY_USER}, {KEPT_BY_GUESTS}\n"
    f"local GUEST = '{ASSIGNED_PREFIX}'\n"
)
"""The first lines of both scripts: what one user may keep is the same in every room."""

ALLOWED_WITHOUT_MEMORY = "#!lua flags=allow-oom\n"
"""Of Redis 7 and later: run the script although `maxmemory` is reached."""


def keys(room: str) -> list[str]:
    """The keys of a room, for both scripts.

    >>> keys("lobby")[:2]
    ['{lobby}:room', '{lobby}:log']
    """
    return [f"{{{room}}}:{each}" for each in KEYS]


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the name under which an engine that has loaded it knows it."""

    text: str
    sha: str


def script(name: str, *, without_memory: bool = False) -> Script:
    """The script `open` or `turn`; `without_memory` is for what makes the room smaller."""
    folder = files("refserver.cluster") / "lua"
    parts = [(folder / f"{each}.lua").read_text() for each in ("common", name)]
    text = "\n".join([LIMITS, *parts])
    if without_memory:
        text = ALLOWED_WITHOUT_MEMORY + text
    return Script(text, sha1(text.encode()).hexdigest())
