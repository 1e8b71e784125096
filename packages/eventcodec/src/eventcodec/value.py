"""Equality and representation of the small values, once for all of their classes.

Rule: two values are equal if their classes and all their fields are. To write these methods for
each class, as `dataclass` does at the import, takes half of what it takes to make the class.

Layer: the bottom layer. Imports nothing of this package.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Value"]


class Value:
    """The base of a frozen dataclass that is made with `eq=False` and `repr=False`."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__match_args__))

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{self.__class__.__qualname__}({', '.join(values)})"
