"""Conversations as lines for people: what passed, frame by frame.

Rule: a line is about one item or one frame. Secrets are not in it, and what a peer wrote is
escaped.

Layer: above `cutting` and `reading`, below the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..wording import counted
from .conversation import Bytes, Did, Ended, Item, Missing, Opened, Side
from .cutting import Cutter
from .reading import summary

__all__ = ["Row", "Timeline", "unseen"]

ARROWS = {Side.CLIENT: ">", Side.SERVER: "<"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `frame` is 0 where it is about no frame."""

    at: float
    connection: int
    side: Side | None
    frame: int
    offset: int
    text: str

    def __str__(self) -> str:
        arrow = " " if self.side is None else ARROWS[self.side]
        return f"{self.at:10.3f}  {self.connection:>4} {arrow} {self.text}"


def unseen(item: Missing) -> str:
    """How many bytes are missing, in words."""
    if item.size is None:
        return "some bytes were not seen"
    return f"{counted(item.size, 'byte')} {'was' if item.size == 1 else 'were'} not seen"


class Timeline:
    """Cuts what passes into frames, and tells each."""

    def __init__(self) -> None:
        self._cutters: dict[tuple[int, Side], Cutter] = {}

    def take(self, item: Item) -> Iterator[Row]:
        """The lines about this item."""
        if isinstance(item, Opened):
            for side in Side:
                self._cutters[item.connection, side] = Cutter(whole=item.whole)
            begins = "opened" if item.whole else "seen from its middle on"
            text = f"{begins}: {item.client or '?'} to {item.server or '?'}"
            yield Row(item.at, item.connection, None, 0, 0, text)
            return
        if isinstance(item, Bytes):
            cutter = self._cutters.get((item.connection, item.side))
            for frame in () if cutter is None else cutter.feed(item.data, item.at):
                yield Row(
                    item.at, item.connection, item.side, frame.number, frame.offset, summary(frame)
                )
            return
        yield Row(item.at, item.connection, item.side, 0, 0, self._aside(item))

    def _aside(self, item: Missing | Ended | Did) -> str:
        if isinstance(item, Did):
            return f"the proxy {item.what}"
        cutter = self._cutters.get((item.connection, item.side))
        if isinstance(item, Missing):
            if cutter is not None:
                cutter.gap(item.size)
            return unseen(item)
        partial = None if cutter is None else cutter.partial
        self._cutters.pop((item.connection, item.side), None)
        inside = "" if partial is None else ", inside a frame"
        return f"end of the {item.side}'s stream: {item.how}{inside}"
