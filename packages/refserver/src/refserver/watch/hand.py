"""Frames that a person sends from the live page.

Rule: they go to the place that is watched, and to no other; what comes back is read, and seen
where everything that passes is seen.

Layer: above `cutting`, below `live`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from eventcodec import (
    ApplicationEvent,
    Event,
    EventCodecError,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    encode,
)

from .cutting import Cutter

__all__ = ["Hand", "HandError", "composed"]

TIMEOUT = 10.0
"""Seconds that connecting may take."""
MOST_BYTES = 1 << 20
MOST_OPEN = 16
PING = 0x06


class HandError(ValueError):
    """What cannot be sent; the message says why."""


def composed(said: Mapping[str, Any]) -> bytes:
    """The frame that a form says: `hex`, or an `event` with its fields. Raises HandError.

    >>> composed({"event": "Ping", "seq": 7}).hex()
    '0000000c010600000000000000000007'
    """
    if "hex" in said:
        try:
            data = bytes.fromhex(str(said["hex"]))
        except ValueError:
            raise HandError("these are not pairs of hexadecimal digits") from None
        if not 0 < len(data) <= MOST_BYTES:
            raise HandError(f"1 to {MOST_BYTES} bytes, not {len(data)}")
        return data
    try:
        return encode(_event(said))
    except (EventCodecError, OverflowError, ValueError, TypeError) as error:
        raise HandError(str(error)) from None


def _event(said: Mapping[str, Any]) -> Event:
    seq = int(said.get("seq") or 1)
    match said.get("event"):
        case "Login":
            return Login(
                seq=seq,
                user=str(said.get("user", "")),
                credential=str(said.get("credential", "")).encode(),
                ticket=int(str(said.get("ticket") or "0"), 0),
                position=int(said.get("position") or 0),
            )
        case "Message":
            return Message(seq=seq, content=str(said.get("content", "")))
        case "Application event":
            return ApplicationEvent(
                seq=seq,
                type=int(str(said.get("type") or "0x80"), 0),
                data=str(said.get("content", "")).encode(),
            )
        case "Ping":
            return Ping(seq=seq)
        case "Pong":
            return Pong(seq=seq)
        case "Logout":
            return Logout(seq=seq)
    raise HandError("no such event")


class Hand:
    """The connections of the page. `place` is set when the watched place listens."""

    def __init__(self) -> None:
        self.place: tuple[str, int, bool] | None = None
        """Host, port, and whether it speaks TLS."""
        self._open: dict[int, asyncio.StreamWriter] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._last = 0

    @property
    def connections(self) -> list[int]:
        """The numbers of those that are open, counted here."""
        return sorted(self._open)

    async def send(self, connection: int, data: bytes) -> int:
        """Send on this connection; 0 opens one. Returns its number. Raises HandError."""
        writer = self._open.get(connection)
        if writer is None:
            if connection:
                raise HandError("this connection has ended")
            connection, writer = await self._connect()
        writer.write(data)
        return connection

    async def _connect(self) -> tuple[int, asyncio.StreamWriter]:
        if self.place is None:
            raise HandError("it does not listen yet")
        if len(self._open) >= MOST_OPEN:
            raise HandError(f"{MOST_OPEN} connections are open: close one")
        host, port, secure = self.place
        context = None
        if secure:  # the certificate of our own end, on this machine: its name does not matter
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await asyncio.open_connection(host, port, ssl=context)
        except (OSError, TimeoutError) as error:
            raise HandError(str(error) or "no connection in time") from None
        self._last += 1
        number = self._last
        self._open[number] = writer
        task = asyncio.create_task(self._read(number, reader, writer))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return number, writer

    async def _read(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read to the end, and answer Pings: a person is too slow for them."""
        cutter = Cutter()
        try:
            while data := await reader.read(1 << 16):
                for frame in cutter.feed(data, 0.0):
                    if frame.type == PING and frame.has_body:
                        writer.write(encode(Pong(seq=frame.seq)))
        except OSError:
            pass  # it was reset: the timeline says so
        finally:
            self._open.pop(number, None)
            writer.close()

    def close(self, connection: int) -> None:
        """End this connection."""
        writer = self._open.pop(connection, None)
        if writer is not None:
            writer.close()

    async def close_all(self) -> None:
        """End all of them, and the tasks that read them."""
        for number in self.connections:
            self.close(number)
        for task in list(self._readers):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
