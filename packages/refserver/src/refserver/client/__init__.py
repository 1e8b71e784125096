"""Clients: a room for asyncio, a room for blocking programs, and the commands of the shell.

    from refserver.client import connect

    async with connect("localhost", 3000, user="ann") as room:
        await room.say("hello")
        async for fact in room:
            print(fact)

`refserver.client.blocking` is the same without asyncio.
"""

from typing import TYPE_CHECKING, Any

from .exceptions import BacklogError, NotSaidError, PausedError, PlaintextError

if TYPE_CHECKING:
    from .aio import Room, connect

__all__ = [
    "BacklogError",
    "NotSaidError",
    "PausedError",
    "PlaintextError",
    "Room",
    "connect",
]


def __getattr__(name: str) -> Any:
    """`Room` and `connect`: asyncio is imported for these two only, not for the commands."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import aio

    return getattr(aio, name)
