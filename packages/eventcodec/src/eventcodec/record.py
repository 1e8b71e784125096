"""An immutable mapping: the value of a field that is a group of named values.

Rule: a record is as immutable as its event, and equal to any mapping of the same items.

Layer: the bottom layer. Imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Record"]


class Record(Mapping[str, Any]):
    """Named values: an immutable mapping with its items as attributes.

    >>> point = Record({"x": 1, "y": 2})
    >>> point.x, point["y"], point == {"x": 1, "y": 2}
    (1, 2, True)
    """

    __slots__ = ("_items",)

    _items: dict[str, Any]

    def __init__(self, items: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_items", dict(items))

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __getattr__(self, name: str) -> Any:
        if name in Record.__slots__:  # in the middle of a copy
            raise AttributeError(name)
        try:
            return self._items[name]
        except KeyError:
            raise AttributeError(f"no item {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot change {name!r}: a record is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot change {name!r}: a record is frozen")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"Record({self._items!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Record, (self._items,)
