"""Numbers in text for people.

Rule: a noun agrees with its number, in every output.

Layer: the bottom layer of refserver.
"""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, many: str = "") -> str:
    """The number with its noun; `many` is the plural where it is not the noun and an s.

    >>> counted(1, "frame"), counted(0, "frame"), counted(2, "entry", "entries")
    ('1 frame', '0 frames', '2 entries')
    """
    return f"{number} {noun if number == 1 else many or noun + 's'}"
