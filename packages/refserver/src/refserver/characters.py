"""Which code points can be seen, and how a terminal is shown the others.

Rule: one table lists the invisible code points, and one function escapes them. Names, logs, the
kit's reports and the client commands all use these two.

Layer: the bottom layer of refserver, beside `arguments`.
"""

from __future__ import annotations

import re

__all__ = ["INVISIBLE", "escape", "has_invisible"]

INVISIBLE: tuple[tuple[int, int], ...] = (
    (0x0000, 0x001F),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x16FE4, 0x16FE4),
    (0x1BCA0, 0x1BCA3),
    (0x1D159, 0x1D159),
    (0x1D173, 0x1D17A),
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(0x1, 0xD)),
    (0xDFFFE, 0xE0FFF),
    (0xEFFFE, 0x10FFFF),
)
"""First and last code point of each range, as EP-6.2-6 lists them.

Unicode 16.0 calls them controls, formats, line or paragraph separators (general categories
Cc, Cf, Zl, Zp), Default_Ignorable_Code_Point, private use (Co) or noncharacters. Three that
it calls otherwise are blank all the same: U+2800, U+16FE4 and U+1D159. The ranges are written
out, because `unicodedata` lacks the property and its version differs with Python's.
"""

_INVISIBLE = re.compile(
    "[" + "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in INVISIBLE) + "]"
)


def has_invisible(text: str) -> bool:
    """Whether a code point of `INVISIBLE` stands in the text. EP-6.2-6."""
    return _INVISIBLE.search(text) is not None


def escape(text: str, keep: str = "") -> str:
    r"""Returns text of a peer's making as a terminal may get it: in one line, all of it seen.

    Escaped as in Python is all that EP-12-6 names, and what this Python cannot print: spaces
    but U+0020, surrogates, code points that its Unicode does not know. `keep` stays.

    >>> escape("zoë\x1b[2J"), escape("ann\ufe0f")
    ('zoë\\x1b[2J', 'ann\\ufe0f')
    """
    if text.isprintable() and not has_invisible(text):
        return text
    return "".join(
        each
        if each in keep or (each.isprintable() and not has_invisible(each))
        else ascii(each)[1:-1]
        for each in text
    )
