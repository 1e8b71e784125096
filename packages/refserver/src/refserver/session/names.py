"""Which names a member may have, and which of them are the same.

Rule: the code points that the protocol refuses are refused first; what comes after
is this server's policy. Judged here and nowhere else.

Layer: the ground of `session`, above `characters`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterator

from eventcodec.limits import MAX_SHORT_TEXT

from ..characters import has_invisible

__all__ = ["ASSIGNED_PREFIX", "assigned", "fault_of", "is_kept", "key_of"]

ASSIGNED_PREFIX = "guest-"
"""Begins every name that the server makes up; nobody may ask for one."""


def fault_of(name: str) -> str | None:
    """What keeps a member from having this name, for people; None where nothing does.

    >>> fault_of("ann"), fault_of("an\\u202en")
    (None, 'has a character that cannot be seen')
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # from a command line: no frame can carry it
        return "is not well-formed text"
    if size > MAX_SHORT_TEXT:
        return f"is longer than {MAX_SHORT_TEXT} bytes"
    if has_invisible(name):
        return "has a character that cannot be seen"
    categories = [unicodedata.category(each) for each in name]
    if "Cn" in categories:
        return f"has a character that Unicode {unicodedata.unidata_version} does not know"
    if categories and categories[0].startswith("M"):
        return "begins with a mark, which would stand on the character before it"
    if unicodedata.normalize("NFC", name) != name:
        return "is not in Unicode's composed form (NFC)"
    if name != name.strip():
        return "begins or ends with a space"
    return None


def is_kept(name: str) -> bool:
    """Whether the server keeps this name for those that it makes up."""
    return key_of(name).startswith(ASSIGNED_PREFIX)


def key_of(name: str) -> str:
    """Two names are the same where their keys are equal.

    >>> key_of("Ann") == key_of("ann")
    True
    >>> key_of("ann  lee") == key_of("ann lee")
    True
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    shaped = " ".join(unicodedata.normalize("NFKC", folded).split())
    return "".join("-" if is_dash(each) else each for each in shaped)


def is_dash(each: str) -> bool:
    """Whether it looks like a hyphen, which stands in the server's own names."""
    return unicodedata.category(each) == "Pd" or each == "\u2212"


def assigned(numbers: Iterator[int], taken: Container[str]) -> str:
    """A free name of the server's own, with the next free number; `taken` holds keys.

    A number is used once, so that a guest's name stays its own while its session can be
    resumed, and nobody has to search for a free one.

    >>> numbers = iter([1, 2, 3])
    >>> assigned(numbers, {"guest-1"}), assigned(numbers, {})
    ('guest-2', 'guest-3')
    """
    return next(name for n in numbers if key_of(name := f"{ASSIGNED_PREFIX}{n}") not in taken)
