"""A recorded stream on its way to a live peer, in the recorded writes.

Rule: a frame may be replaced, and still goes out in the writes in which it was recorded, unless its
size has changed.

Layer: above `cutting`, below `replay` and `replay_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .cutting import Cutter, Frame

__all__ = ["Outgoing"]

Replace = Callable[[Frame, bytes], bytes]


class Outgoing:
    """One side's stream. A frame is held until it is whole: only then it is known what it is."""

    def __init__(self, *, apart: bool = False) -> None:
        self._cutter = Cutter()
        self._held = bytearray()
        self._breaks: list[int] = []
        """Where writes ended in what is held."""
        self._apart = apart
        """Each frame is a write of its own."""

    def writes(self, data: bytes, replace: Replace) -> Iterator[bytes]:
        """What goes out when this was written: nothing, one write, or some."""
        if self._held:
            self._breaks.append(len(self._held))
        self._held += data
        write = b""
        for frame in self._cutter.feed(data, 0.0):
            if not frame.whole:
                break
            size = frame.length + 4
            new = replace(frame, bytes(self._held[:size]))
            del self._held[:size]
            start = 0
            for cut in self._breaks:
                if cut < size == len(new):
                    yield write + new[start:cut]
                    write, start = b"", cut
            self._breaks = [cut - size for cut in self._breaks if cut > size]
            write += new[start:]
            if self._apart and write:
                yield write
                write = b""
        if self._cutter.dead:  # no length of a frame: what follows is not cut any more
            write += self.rest()
        if write:
            yield write

    def rest(self) -> bytes:
        """What is held: the beginning of a frame whose rest does not come."""
        held = bytes(self._held)
        self._held.clear()
        self._breaks.clear()
        return held
