"""Which statements the conversations put to the test.

Rule: a statement is exercised where its premise occurred in a state that was known, and a breach
would have shown. What a frame of a type exercises stands in a table here; the judge itself notes
what depends on more.

Layer: above `findings`, below `judgement`.
"""

from __future__ import annotations

from collections import Counter

from .conversation import Side
from .findings import Notes
from .reading import LAYOUT

__all__ = ["coverage"]

EVERY = {
    Side.CLIENT: ("EP-2.1-1", "EP-2.2-1", "EP-2.2-3", "EP-2.2-5", "EP-3.1-1"),
    Side.SERVER: ("EP-2.1-1", "EP-2.2-1", "EP-2.2-3", "EP-2.2-7", "EP-3.1-2", "EP-7.1-4"),
}
"""What each frame of a side exercises."""
FACT = ("EP-5.1-2", "EP-5.2-1", "EP-5.2-2")
PRESENCE = (*FACT, "EP-5.4-2")
ALSO: dict[tuple[Side, int], tuple[str, ...]] = {
    (Side.CLIENT, 0x01): ("EP-2.3-4", "EP-4.4-3"),
    (Side.CLIENT, 0x02): ("EP-2.3-4", "EP-3.3-2", "EP-4.4-4"),
    (Side.CLIENT, 0x03): ("EP-4.4-4",),
    (Side.CLIENT, 0x07): ("EP-3.7-2",),
    (Side.CLIENT, 0x80): ("EP-3.11-2", "EP-4.4-4"),
    (Side.SERVER, 0x02): ("EP-2.3-4", "EP-3.3-4", *FACT),
    (Side.SERVER, 0x05): ("EP-2.3-4", "EP-8.1-1", "EP-8.2-1", "EP-8.2-2"),
    (Side.SERVER, 0x08): ("EP-2.3-4", "EP-3.8-2", "EP-3.8-3", "EP-6.2-7"),
    (Side.SERVER, 0x09): ("EP-2.3-4", *PRESENCE),
    (Side.SERVER, 0x0A): ("EP-2.3-4", "EP-5.2-7", *PRESENCE),
    (Side.SERVER, 0x80): ("EP-3.11-2", *FACT),
}
REPLY = ("EP-4.2-1", "EP-4.2-2", "EP-4.2-7")
ANSWERS: dict[int, tuple[str, ...]] = {
    0x04: ("EP-4.2-10", "EP-3.5-2", "EP-5.2-1", "EP-5.3-5"),
    0x05: (),
    0x07: ("EP-4.2-10", "EP-3.7-2", "EP-3.7-4"),
    0x08: ("EP-4.2-10",),
}
"""What a reply of a type exercises besides, where it is known what it answers."""


def coverage(notes: Notes) -> Counter[str]:
    """How often each statement was exercised."""
    found = Counter(notes.exercised)
    for (side, type), count in notes.good.items():
        kind = min(type, 0x80)
        layout = LAYOUT[type] if type < len(LAYOUT) else "EP-3.11-1"
        for statement in (*EVERY[side], layout, *ALSO.get((side, kind), ())):
            found[statement] += count
    for type, count in notes.replies.items():
        for statement in (*REPLY, *ANSWERS[type]):
            found[statement] += count
    del found[""]
    return found
