"""One stream of bytes, cut in several ways.

Rule: how a stream is cut may change nothing that anybody sees. EP-2.1-5.

Layer: the bottom layer of the kit.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from random import Random

__all__ = ["Segmentation"]


class Segmentation(StrEnum):
    """How the kit cuts what it sends."""

    WHOLE = "whole"
    """Everything that is said at once in one piece."""
    BYTEWISE = "bytewise"
    RANDOM = "random"
    """Pieces of 1 to 40 bytes, from a seed: inside of fields, across frames."""

    def cut(self, data: bytes, rng: Random) -> Iterator[bytes]:
        """The pieces of `data`, none of them empty.

        >>> list(Segmentation.BYTEWISE.cut(b"abc", Random()))
        [b'a', b'b', b'c']
        """
        start = 0
        while start < len(data):
            size = self._size(rng)
            yield data[start : start + size] if size else data[start:]
            start += size or len(data)

    def _size(self, rng: Random) -> int:
        match self:
            case Segmentation.WHOLE:
                return 0
            case Segmentation.BYTEWISE:
                return 1
            case Segmentation.RANDOM:
                return rng.randint(1, 40)
