"""One side's bytes -> its frames, right or wrong, with the place of each.

Rule: the length alone says where a frame ends; nothing else in it is believed. After a gap, a
frame is one only where two more headers follow in their places.

Layer: above `conversation`, below the judge.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["HEADER", "LEAST", "Cutter", "Frame"]

HEADER = struct.Struct(">IBBHQ")
WORDS = struct.Struct(">IIQ")
"""The same header, with version, type and reserved as one number."""
VERSION = 1
"""The byte behind a length."""
LEAST = 12
"""The least `length`."""
KEPT = (16 << 20) + 512
"""Bytes of one frame that are held; of a longer one only the header is."""
LONGEST_CHAIN = 1 << 24
"""A greater length is not believed where frames are looked for after a gap."""
CHAINED = 3
"""After a gap, a frame counts as one if so many headers, its own included, are in their places."""
SOUGHT = 1 << 18
"""Bytes behind a gap that are held while frames are looked for; older ones are given up."""


class Frame:
    """A frame, or its beginning where the stream goes no further.

    Its header is read here, once: the judge looks at it again and again.
    """

    __slots__ = (
        *("at", "data", "event", "has_body", "length", "number", "offset", "reply", "seq"),
        *("type", "whole", "word"),
    )

    def __init__(
        self, number: int, offset: int, at: float, length: int, data: bytes, whole: bool = True
    ) -> None:
        self.number = number
        """Its number on its side, from 1; behind a gap, among those that were seen."""
        self.offset = offset
        """Where it begins, in bytes of its side's stream."""
        self.at = at
        """When its last byte passed."""
        self.length = length
        """What its length says; -1 where its four bytes are not all there."""
        self.data = data
        """Its bytes, as far as they are held."""
        self.whole = whole
        self.event: object = None
        """What it says to a reader without a limit of its own, once one has read it."""
        self.reply: object = None
        """The event that answers it, once that has passed."""
        self.has_body = whole and len(data) == length + 4
        """Whether the whole frame is held."""
        if len(data) >= 16:
            _, self.word, self.seq = WORDS.unpack_from(data)
            """Version, type and reserved as one number, and the seq; -1 where they are not."""
            self.type = self.word >> 16 & 0xFF
        else:
            self.word = self.seq = -1
            self.type = data[5] if len(data) > 5 else -1


class Cutter:
    """Cuts one stream.

    `lost` is True while it is not known where a frame begins, `dead` when a length has come that
    no frame has: nothing behind it can be cut.
    """

    def __init__(self, *, whole: bool = True) -> None:
        self.lost = not whole
        self.dead = False
        self.unjudged = 0
        """Bytes that are in no frame, because it is not known where one begins."""
        self._buffer = bytearray()
        self._offset = 0  # of _buffer in the stream
        self._number = 0
        self._skip = 0  # bytes to come of a frame that is too long to be held
        self._long: tuple[bytes, int, int] = (b"", 0, 0)

    def gap(self, size: int | None) -> None:
        """So many bytes were not seen."""
        self.unjudged += len(self._buffer)
        self._offset += len(self._buffer) + (size or 0)
        self._buffer.clear()
        self._skip = 0
        self.lost = True

    @property
    def partial(self) -> Frame | None:
        """The frame of which only the beginning has come."""
        if self._skip:
            head, offset, length = self._long
            return Frame(self._number + 1, offset, 0.0, length, head, False)
        if self.lost or self.dead or not self._buffer:
            return None
        data = bytes(self._buffer[:16]) if len(self._buffer) > 16 else bytes(self._buffer)
        length = int.from_bytes(data[:4], "big") if len(data) >= 4 else -1
        return Frame(self._number + 1, self._offset, 0.0, length, data, False)

    def feed(self, data: bytes, at: float) -> Iterator[Frame]:
        """The frames that become whole by these bytes, and a beginning that can be none."""
        if self.dead:
            self.unjudged += len(data)
            self._offset += len(data)
            return
        if self._skip:
            took = min(self._skip, len(data))
            self._skip -= took
            self._offset += took
            if self._skip:
                return
            self._number += 1
            head, offset, length = self._long
            yield Frame(self._number, offset, at, length, head)
            data = data[took:]
        buffer = self._buffer
        buffer += data
        if self.lost and not self._found():
            return
        start, size = 0, len(buffer)
        while size - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "big")
            if length < LEAST:
                self._number += 1
                self.dead = True
                piece = bytes(buffer[start : start + 16])
                yield Frame(self._number, self._offset + start, at, length, piece, False)
                break
            stop = start + 4 + length
            if stop > size:
                if length + 4 > KEPT and size - start >= 16:
                    self._long = bytes(buffer[start : start + 16]), self._offset + start, length
                    self._skip = stop - size
                    start = size
                break
            self._number += 1
            yield Frame(self._number, self._offset + start, at, length, bytes(buffer[start:stop]))
            start = stop
        if self.dead:
            start = size
        if start:
            del buffer[:start]
            self._offset += start

    def _found(self) -> bool:
        """Whether a frame begins somewhere in what came behind a gap; the rest is dropped."""
        buffer = self._buffer
        stop = max(0, len(buffer) - 16 * CHAINED + 5)
        at = buffer.find(VERSION, 4, stop)
        while at > 0:
            start = at - 4
            if self._is_chain(start):
                self.unjudged += start
                self._offset += start
                del buffer[:start]
                self.lost = False
                return True
            at = buffer.find(VERSION, at + 1, stop)
        if len(buffer) > SOUGHT:
            dropped = len(buffer) - SOUGHT // 2
            self.unjudged += dropped
            self._offset += dropped
            del buffer[:dropped]
        return False

    def _is_chain(self, start: int) -> bool:
        for _ in range(CHAINED):
            if len(self._buffer) - start < 16:
                return False
            length, version, type, reserved, seq = HEADER.unpack_from(self._buffer, start)
            if version != 1 or reserved or not LEAST <= length <= LONGEST_CHAIN:
                return False
            if not (1 <= type <= 10 or type >= 0x80) or (not seq and type != 5):
                return False
            start += 4 + length
        return True
