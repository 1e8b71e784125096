"""Who is who in one attempt: each client of a case has a name that nobody else has.

Rule: a name is given out once, from those that may log in, or made up.

Layer: above `raw` and `suite`, below `connection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .raw import Frame
from .suite import Unsupported

__all__ = ["Identity", "Names"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A name that may log in, and what proves it."""

    name: str
    credential: bytes = field(repr=False, default=b"")


class Names:
    """The names of one attempt. `given` may log in; where it is empty, everybody may.

    `token` keeps made-up names apart from those of other attempts.
    """

    def __init__(self, given: Sequence[Identity], token: str) -> None:
        self._given = given
        self._token = token
        self._names: dict[str, Identity] = {}

    def identity(self, who: str) -> Identity:
        """Who `who` is in this attempt. Raises Unsupported where too few may log in."""
        if who not in self._names:
            if self._given and len(self._names) >= len(self._given):
                need, have = len(self._names) + 1, len(self._given)
                raise Unsupported(f"needs {need} name:credential pairs, {have} given")
            made_up = Identity(f"{who}-{self._token}")
            self._names[who] = self._given[len(self._names)] if self._given else made_up
        return self._names[who]

    def is_ours(self, frame: Frame) -> bool:
        """Whether a fact is about somebody of this case, or about nobody that it could be."""
        author = frame.author
        known = {identity.name.encode() for identity in self._names.values()}
        return author is None or author in known
