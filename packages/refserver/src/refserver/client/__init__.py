"""Clients: a room for asyncio, a room for blocking programs, and the commands of the shell.

    from refserver.client import connect

    async with connect("localhost", 3000, user="ann") as room:
        await room.say("hello")
        async for fact in room:
            print(fact)

`refserver.client.blocking` is the same without asyncio.
"""

from .aio import Room, connect
from .exceptions import BacklogError, NotSaidError, PausedError, PlaintextError

__all__ = [
    "BacklogError",
    "NotSaidError",
    "PausedError",
    "PlaintextError",
    "Room",
    "connect",
]
