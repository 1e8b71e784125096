"""The names that a member can have, and which names are the same.

Rule: only this module decides on names.

It first refuses the code points of the protocol, then applies the policy of this server.

Layer: the bottom layer of `session`, above `characters`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterator
from functools import lru_cache

from eventcodec.limits import MAX_SHORT_TEXT

from ..characters import has_invisible

__all__ = ["ASSIGNED_PREFIX", "assigned", "error_of", "is_kept", "key_of"]

ASSIGNED_PREFIX = "guest-"
"""The beginning of every name that the server chooses. A client cannot request such a name."""


def error_of(name: str) -> str | None:
    """The reason why a member cannot have this name, for people; None if it can.

    >>> error_of("ann"), error_of("an\\u202en")
    (None, 'has a character that cannot be seen')
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # possible on a command line, but not in a frame
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
    """Whether this name is reserved for names that the server chooses."""
    return key_of(name).startswith(ASSIGNED_PREFIX)


@lru_cache(1_024)  # a login asks three times for the key of one name, and a departure as well
def key_of(name: str) -> str:
    """The key of a name. Names with equal keys are the same.

    >>> key_of("Ann") == key_of("ann")
    True
    >>> key_of("ann  lee") == key_of("ann lee")
    True
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    shaped = " ".join(unicodedata.normalize("NFKC", folded).split())
    return "".join("-" if is_dash(each) else each for each in shaped)


def is_dash(each: str) -> bool:
    """Whether it looks like the hyphen in the server's own names."""
    return unicodedata.category(each) == "Pd" or each == "\u2212"


def assigned(numbers: Iterator[int], taken: Container[str]) -> str:
    """A free name that the server chooses, with the next free number. `taken` has the keys in use.

    A number is used once. So a name stays free for its session while that can be resumed, and no
    search for a free name is needed.

    >>> numbers = iter([1, 2, 3])
    >>> assigned(numbers, {"guest-1"}), assigned(numbers, {})
    ('guest-2', 'guest-3')
    """
    return next(name for n in numbers if key_of(name := f"{ASSIGNED_PREFIX}{n}") not in taken)
